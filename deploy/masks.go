package deploy

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Masks hide the secrets of stacks in lines of logs.
type Masks struct {
	replace *strings.Replacer
	known   map[string]bool // names in the engine of secrets whose values are known
}

// NewMasks makes masks of the secrets of stacks, in the forms in which programs print
// them.
func NewMasks(stacks ...*compose.Stack) *Masks {
	m := &Masks{known: map[string]bool{}}
	var values []string
	for _, stack := range stacks {
		for _, secret := range stack.Secrets {
			if !secret.Value.Known() {
				continue
			}
			m.known[secret.Spec.Name] = true
			whole := string(secret.Value.Reveal())
			values = append(values, whole, strings.TrimSpace(whole))
			for line := range strings.Lines(whole) {
				values = append(values, strings.TrimSpace(line))
			}
		}
	}
	var forms []string
	for _, value := range values {
		if len(value) < shortestMasked {
			continue
		}
		forms = append(forms, value, url.QueryEscape(value), url.PathEscape(value),
			base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)))
		forms = append(forms, quotedForms(value)...)
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }) // one may contain another
	forms = slices.Compact(forms)
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, Hidden)
	}
	m.replace = strings.NewReplacer(pairs...)
	return m
}

// Text masks a text: the secrets in it, and what looks like one.
func (m *Masks) Text(text string) string { return clean(m.replace.Replace(text)) }

// Unknown reports whether a service has a secret that the masks do not know.
func (m *Masks) Unknown(spec swarm.ServiceSpec) bool { return m.unknown(spec.TaskTemplate) != "" }

// unknown names a secret of a task whose value the masks do not know; "" for none.
func (m *Masks) unknown(spec swarm.TaskSpec) string {
	if spec.ContainerSpec == nil {
		return ""
	}
	for _, one := range spec.ContainerSpec.Secrets {
		if !m.known[one.SecretName] {
			return one.SecretName
		}
	}
	return ""
}
