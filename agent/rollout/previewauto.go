package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// running gives the versions of secrets with SV_x=auto in a preview. The author of a branch
// could choose the key that a version is derived with, or add a guess of a value: the version
// of the real content would then tell them whether the guess is right. So it is the version
// that runs if the node's secret files are those of what runs, and else unknownAuto.
type running struct{ good *record.GoodState }

const unknownAuto = "auto"

type renderer = func(*manifests.Node, *secrets.Set, compose.Options) (*compose.Stack, error)

func (r running) render(next renderer) renderer {
	if next == nil {
		next = compose.Render
	}
	return func(node *manifests.Node, set *secrets.Set, options compose.Options) (*compose.Stack, error) {
		options.Auto = r.version
		if !r.same(node) {
			options.Auto = func(string, string) string { return unknownAuto }
		}
		return next(node, set, options)
	}
}

// same reports whether the node's secret files are those of what runs.
func (r running) same(node *manifests.Node) bool {
	if r.good == nil {
		return false
	}
	files, err := desired.ReadSecretFiles(node)
	if err != nil {
		return false
	}
	for _, file := range files {
		sum := sha256.Sum256(file.Data)
		if r.good.Files[file.Path].Sum != hex.EncodeToString(sum[:]) {
			return false
		}
	}
	return true
}

var derivedForm = lazyregexp.New(`^[0-9a-f]{12}$`)

// version gives the version in the only name of a running secret that has one between these
// texts.
func (r running) version(before, after string) string {
	found := ""
	for _, secret := range r.good.Secrets {
		rest, begins := strings.CutPrefix(secret.Name, before)
		version, ends := strings.CutSuffix(rest, after)
		if !begins || !ends || !derivedForm().MatchString(version) {
			continue
		}
		if found != "" {
			return unknownAuto
		}
		found = version
	}
	if found == "" {
		return unknownAuto
	}
	return found
}

// announced gives the digest that the plan of a stack has in a preview, where the version of a
// secret that the engine does not have yet is unknownAuto; "" if there is no such secret.
func (r running) announced(node *manifests.Node, live *deploy.Live, stack *compose.Stack) (string, error) {
	var derived []string
	for _, secret := range stack.Secrets {
		if _, there := live.Secrets[secret.Spec.Name]; !there && derivedForm().MatchString(secret.Derived) {
			derived = append(derived, secret.Derived, unknownAuto)
		}
	}
	if len(derived) == 0 || r.same(node) {
		return "", nil
	}
	unknown := strings.NewReplacer(derived...)
	shown := *stack
	shown.Services, shown.Secrets = map[string]swarm.ServiceSpec{}, slices.Clone(stack.Secrets)
	for i := range shown.Secrets {
		if err := reread(&shown.Secrets[i].Spec, unknown); err != nil {
			return "", err
		}
	}
	for name, spec := range stack.Services {
		if err := reread(&spec, unknown); err != nil {
			return "", err
		}
		if container := spec.TaskTemplate.ContainerSpec; container != nil {
			slices.SortStableFunc(container.Secrets, func(a, b *swarm.SecretReference) int { return strings.Compare(a.SecretName, b.SecretName) }) // as in a rendered one
		}
		shown.Services[name] = spec
	}
	plan, err := deploy.Diff(live, &shown)
	return plan.Digest(), err
}

// reread replaces texts in a spec, which then shares no memory with the one before.
func reread[T any](spec *T, replace *strings.Replacer) error {
	text, err := json.Marshal(spec)
	if err == nil {
		*spec = *new(T)
		err = json.Unmarshal([]byte(replace.Replace(string(text))), spec)
	}
	if err != nil {
		return fmt.Errorf("copy a spec: %w", err)
	}
	return nil
}
