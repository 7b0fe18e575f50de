package cosign

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/loopback"
)

// certificates is the folder in which the engine looks for the authorities of registries. The
// agent trusts the same ones.
const certificates = "/etc/docker/certs.d"

// Secret is a value that must not be shown, such as a secrets.Value.
type Secret interface {
	Reveal() []byte
}

// Options say how registries are asked.
type Options struct {
	// Login gives the login for a registry; an empty user for none.
	Login  func(ctx context.Context, host string) (user string, password Secret, err error)
	CAFile string       // authorities that are trusted beside the system's; "" for none
	Bytes  limits.Bytes // that all answers about one image may have; 0 for the default
}

// client asks one registry about one image.
type client struct {
	*remote.Repository

	host string // as the image names it

	password []byte
	close    func()
}

// open prepares the requests about an image. It sends none.
func (o Options) open(ctx context.Context, image Image) (*client, error) {
	c := &client{host: image.registry()}
	folder := filepath.Join(certificates, c.host)
	transport, err := authorities.Transport(o.CAFile)
	if err == nil {
		err = trust(transport, folder)
	}
	if err != nil {
		return nil, err
	}
	c.close = func() {
		transport.CloseIdleConnections()
		clear(c.password)
	}
	repository, err := remote.NewRepository(image.Name)
	if err != nil {
		return nil, err
	}
	var login auth.Credential
	if o.Login != nil {
		user, password, err := o.Login(ctx, c.host)
		if err != nil {
			return nil, err
		}
		if user != "" {
			c.password = password.Reveal()
			login = auth.Credential{Username: user, Password: string(c.password)}
		}
	}
	_, missing := os.Stat(folder)
	repository.PlainHTTP = loopback.Is(hostname(c.host)) && missing != nil
	repository.ReferrerListMaxPages = maxPages
	most := o.Bytes
	if most == 0 {
		most = limits.Default().AnswerBytes
	}
	host := repository.Reference.Host()
	repository.Client = &auth.Client{
		Client:     guarded(transport, host, bounded.Answers(c.host, most)),
		Header:     http.Header{"User-Agent": {"coin-agent"}},
		Credential: auth.StaticCredential(host, login),
		Cache:      auth.NewCache(),
	}
	c.Repository = repository
	return c, nil
}

// hostname gives a registry's host without its port.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// trust adds the authorities of a registry's folder to those that a transport trusts.
func trust(transport *http.Transport, folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Place{File: folder}, "check that it is a readable folder", "list the authorities of the registry: %w", fault.WithoutPath(err))
	}
	entries = slices.DeleteFunc(entries, func(one fs.DirEntry) bool { return filepath.Ext(one.Name()) != ".crt" })
	if len(entries) == 0 {
		return nil
	}
	pool := transport.TLSClientConfig.RootCAs
	if pool == nil {
		pool = authorities.System()
	}
	for _, one := range entries {
		if err := add(pool, filepath.Join(folder, one.Name())); err != nil {
			return err
		}
	}
	transport.TLSClientConfig.RootCAs = pool
	return nil
}

func add(pool *x509.CertPool, file string) error {
	content, err := os.ReadFile(file)
	if err == nil && !pool.AppendCertsFromPEM(content) {
		err = errors.New("the file has no certificates")
	}
	if err != nil {
		return fault.New(fault.Place{File: file}, "write the certificate authority of the registry into it in PEM form", "read the certificate authority: %w", err)
	}
	return nil
}

// guarded makes a client of a registry that sends its requests through a guard.
func guarded(next http.RoundTripper, host string, budget *bounded.Budget) *http.Client {
	return &http.Client{Transport: guard{next, host, budget}, CheckRedirect: checkRedirect}
}

// guard is the way of all requests: it bounds the answers, sends nothing without TLS to another
// machine, nothing to what only this machine reaches, and lets no server but the registry ask for
// a login.
type guard struct {
	next   http.RoundTripper
	host   string
	budget *bounded.Budget
}

// errPlain refuses a request without TLS.
var errPlain = errors.New("it asks for a request without TLS, which the agent sends to this machine only")

// errInside refuses a request to another service of this machine or its link.
var errInside = errors.New("it asks for a request to an address that only this machine reaches")

func (g guard) RoundTrip(request *http.Request) (*http.Response, error) {
	switch to := request.URL; {
	case to.Host != g.host && inside(to.Hostname()) && !loopback.Is(hostname(g.host)):
		return nil, errInside
	case to.Scheme != "https" && !loopback.Is(to.Hostname()):
		return nil, errPlain
	}
	response, err := g.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	response.Body = g.budget.Body(response.Body)
	if request.URL.Host != g.host {
		response.Header.Del("Www-Authenticate")
	}
	return response, nil
}

// inside reports whether a host is this machine, or an address of its link only, such as that of
// a cloud's metadata. A name that is looked up there needs TLS with a certificate.
func inside(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	address = address.Unmap()
	return err == nil && (address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast() || address.IsMulticast())
}

// errElsewhere refuses a redirect.
var errElsewhere = errors.New("it redirects to another server, which the agent does not follow")

// maxRedirects bounds the redirects of one request.
const maxRedirects = 3

// checkRedirect follows redirects of contents, which registries keep in other storage and whose
// digest is known, and no others.
func checkRedirect(request *http.Request, via []*http.Request) error {
	first := via[0].URL
	same := request.URL.Host == first.Host && request.URL.Scheme == first.Scheme
	if content := path.Base(path.Dir(first.Path)) == "blobs"; len(via) > maxRedirects || !same && !content {
		return errElsewhere
	}
	return nil
}
