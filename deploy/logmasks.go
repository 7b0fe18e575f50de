package deploy

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
)

// Masks hide the secrets of stacks in lines of logs.
type Masks struct {
	replace *strings.Replacer
	forms   []string        // of the secrets, the longest first
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
			values = append(values, secretParts(whole)...)
		}
	}
	var forms []string
	for _, value := range values {
		if len(value) < shortestMasked {
			continue
		}
		forms = append(forms, value, hex.EncodeToString([]byte(value)), base64.StdEncoding.EncodeToString([]byte(value)),
			base64.RawStdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)))
		forms = append(forms, quotedForms(value)...)
		forms = append(forms, urlForms(value)...)
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }) // one may contain another
	m.forms = slices.Compact(forms)
	pairs := make([]string, 0, 2*len(m.forms))
	for _, form := range m.forms {
		pairs = append(pairs, form, Hidden)
	}
	m.replace = strings.NewReplacer(pairs...)
	return m
}

// Text masks a text: the secrets in it, and what looks like one.
func (m *Masks) Text(text string) string { return clean(m.replace.Replace(text)) }

// Part masks a text that was cut out of another, at its beginning, its end or both: a secret
// that the cut went through is hidden, too.
func (m *Masks) Part(text string, begins, ends bool) string {
	from, to := 0, len(text)
	for _, form := range m.forms {
		if begins && len(text) >= shortestMasked && strings.Contains(form, text) {
			return Hidden
		}
		first, last := form[:shortestMasked], form[len(form)-shortestMasked:]
		for at := strings.Index(text, last); begins && at >= 0; at = next(text, last, at) {
			if strings.HasSuffix(form, text[:at+len(last)]) {
				from = max(from, at+len(last))
			}
		}
		for at := strings.Index(text, first); ends && at >= 0; at = next(text, first, at) {
			if strings.HasPrefix(form, text[at:]) {
				to = min(to, at)
				break
			}
		}
	}
	if from >= to && from+len(text)-to > 0 {
		return Hidden
	}
	masked := m.Text(text[from:to])
	if from > 0 {
		masked = Hidden + masked
	}
	if to < len(text) {
		masked += Hidden
	}
	return masked
}

// next gives where a part is in a text after a place; negative if it is there no more.
func next(text, part string, at int) int {
	if found := strings.Index(text[at+1:], part); found >= 0 {
		return at + 1 + found
	}
	return -1
}

// Unknown names a secret of a service whose value the masks do not know, so that what the
// service prints may have it; "" for none.
func (m *Masks) Unknown(spec swarm.ServiceSpec) string { return m.unknown(spec.TaskTemplate) }

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
