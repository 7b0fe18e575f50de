package readiness

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"

	"coin.internal/coin-agent/harbor"
	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// harborAtOnce is how many requests to Harbors run at the same time.
const harborAtOnce = 4

// harborAnswer is the answer of a Harbor about an image.
type harborAnswer struct {
	name   string
	image  harbor.Image
	client *harbor.Client
	report harbor.Report
	err    error // there is no answer, or only an incomplete one
}

// Vulnerabilities checks the scanners' results for the images.
func (p *Probes) Vulnerabilities(ctx context.Context, v *Verdict, gate manifests.VulnerabilityGate) {
	level, blocks := harbor.Severity(gate.Severity), gate.Severity != "none"
	if !blocks {
		level = harbor.High
	}
	answers := p.askHarbors(ctx, gate)
	worst := harbor.None
	good := 0
	for _, one := range answers {
		worse := one.report.Severity.Reaches(level)
		if worse && blocks { // also if the scan is incomplete
			v.Refusals = append(v.Refusals, vulnerable(one, level))
			continue
		}
		if worse {
			v.Warn(vulnerable(one, level))
		}
		if one.err != nil {
			if blocks && gate.OnNoAnswer == manifests.NoAnswerBlock {
				v.Transient = append(v.Transient, one.err)
			} else {
				v.Warn(one.err)
			}
			continue
		}
		good++
		if one.report.Severity.Reaches(worst) {
			worst = one.report.Severity
		}
	}
	if good > 0 {
		v.Pass("%s scanned, at worst %s", plural.Count(good, "image"), worst)
	}
}

// vulnerable gives the error for a scanner's result.
func vulnerable(one harborAnswer, level harbor.Severity) error {
	words := one.report.Words()
	if words == "" {
		words = string(one.report.Severity)
	}
	if !one.report.Scanned.IsZero() {
		words += ", scanned " + one.report.Scanned.UTC().Format("2006-01-02")
	}
	return fault.New(fault.Place{}, "rebuild the image on a fixed base image and raise TAG; or, if you accept the risk, name the image in deployment.gates.vulnerabilities.except of config.yml: an allowlist in Harbor has no effect here",
		"image %s has vulnerabilities of severity %s or worse (%s)", shortImage(one.name), level, words)
}

// askHarbors asks about each image that is not excepted, in order. It keeps only the
// first of several answers with the same error.
func (p *Probes) askHarbors(ctx context.Context, gate manifests.VulnerabilityGate) []harborAnswer {
	harbors := &harbors{probes: p, gate: gate, known: map[string]*harborClient{}}
	defer harbors.close()
	var answers []harborAnswer
	for _, name := range slices.Compact(slices.Clone(p.Images)) { // sorted
		image, err := harbor.ParseImage(name)
		if err == nil && gate.Excepts(image.Name()) {
			continue
		}
		one := harborAnswer{name: name, image: image, err: err}
		if err == nil {
			one.client, one.err = harbors.of(ctx, image)
		}
		answers = append(answers, one)
	}
	room := make(chan struct{}, harborAtOnce)
	var group sync.WaitGroup
	for i := range answers {
		one := &answers[i]
		if one.err != nil {
			continue
		}
		room <- struct{}{}
		group.Go(func() {
			one.report, one.err = one.client.Report(ctx, one.image)
			<-room
		})
	}
	group.Wait()
	seen := map[string]bool{}
	return slices.DeleteFunc(answers, func(one harborAnswer) bool {
		before := one.err != nil && seen[one.err.Error()]
		if one.err != nil {
			seen[one.err.Error()] = true
		}
		return before
	})
}

// harbors are the Harbors that one verdict asks, each with its own login.
type harbors struct {
	probes *Probes
	gate   manifests.VulnerabilityGate
	known  map[string]*harborClient // by host
}

type harborClient struct {
	client   *harbor.Client
	password secrets.Value
	err      error
}

// of gives the client of the Harbor that has an image.
func (h *harbors) of(ctx context.Context, image harbor.Image) (*harbor.Client, error) {
	host := strings.TrimSuffix(strings.TrimPrefix(h.gate.Registry, "https://"), "/")
	switch {
	case host == "" && image.Host == "docker.io":
		return nil, fault.New(fault.Place{}, "name it in deployment.gates.vulnerabilities.except of config.yml", "image %s is not in a Harbor registry, so it is not scanned", image)
	case host == "":
		host = image.Host
	case host != image.Host && !strings.Contains(image.Reference, ":"):
		// Another registry may hold a different image under the same tag.
		return nil, fault.New(fault.Place{}, "name it in deployment.gates.vulnerabilities.except of config.yml, or give it by digest", "image %s is not in %s, and without a digest it cannot be found there", image, host)
	}
	one := h.known[host]
	if one == nil {
		one = &harborClient{}
		one.err = h.open(ctx, one, host)
		h.known[host] = one
	}
	return one.client, one.err
}

// open makes the client of a Harbor, with the login that config.yml names for it, or the
// node's login for it as a registry.
func (h *harbors) open(ctx context.Context, one *harborClient, host string) error {
	roots, err := h.roots()
	if err != nil {
		return err
	}
	user := ""
	switch {
	case h.gate.UserFile != "":
		user, one.password, err = h.fileLogin()
	case h.probes.Engine != nil:
		user, one.password, err = h.probes.Engine.Login(ctx, host)
	}
	if err != nil {
		return fault.WithHint(fmt.Errorf("log in to %s: %w", host, err), fault.Hint(err))
	}
	one.client, err = harbor.New(harbor.Options{URL: "https://" + host, User: user, Password: one.password, Roots: roots})
	return err
}

// fileLogin reads the login from check_dir.
func (h *harbors) fileLogin() (user string, password secrets.Value, err error) {
	name, err := h.probes.Files(h.gate.UserFile)
	if err != nil {
		return "", secrets.Value{}, err
	}
	token, err := h.probes.Files(h.gate.TokenFile)
	if err != nil {
		return "", secrets.Value{}, err
	}
	return string(bytes.TrimSpace(name.Reveal())), secrets.NewValue(bytes.TrimSpace(token.Reveal())), nil
}

// roots gives the certificates that Harbor's certificate is verified with.
func (h *harbors) roots() (*x509.CertPool, error) {
	pool, err := authorities.Load(h.probes.Settings.CAFile)
	if err != nil || h.gate.CAFile == "" {
		return pool, err
	}
	certificates, err := h.probes.Files(h.gate.CAFile)
	if err != nil {
		return nil, err
	}
	if pool == nil {
		pool = authorities.System()
	}
	if !pool.AppendCertsFromPEM(certificates.Reveal()) {
		return nil, fault.New(fault.Place{}, "put the certificate authority there in PEM form", "the file %s of check_dir holds no certificates", h.gate.CAFile)
	}
	return pool, nil
}

func (h *harbors) close() {
	for _, one := range h.known {
		one.password.Wipe()
		if one.client != nil {
			one.client.Close()
		}
	}
}
