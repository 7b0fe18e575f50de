package deploy

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/visible"
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

const (
	// readBytes is how much of a line is read: masked first, so that no secret is cut, and
	// cut then.
	readBytes = 64 << 10
	// shownBytes is how much of a line is shown.
	shownBytes = 4 << 10
	// keyLines bounds the lines of a private key.
	keyLines = 200
)

// lineWriter makes lines of what a task prints to one stream.
type lineWriter struct {
	masks *Masks
	line  LogLine // what the lines share
	each  func(LogLine)

	text []byte // of the line that has begun
	key  int    // how many lines of a private key may follow
}

func (w *lineWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		w.text = append(w.text, part[:min(len(part), readBytes-len(w.text))]...)
		if ended {
			w.flush()
		}
		rest = after
	}
	return len(p), nil
}

// end gives the rest as a line.
func (w *lineWriter) end() {
	if len(w.text) > 0 {
		w.flush()
	}
}

func (w *lineWriter) flush() {
	stamp, text, _ := strings.Cut(string(w.text), " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		text = string(w.text)
	}
	w.text = w.text[:0]
	line := w.line
	line.At, line.Text = at, shownLine(w.mask(strings.TrimSuffix(text, "\r")))
	w.each(line)
}

// mask hides the secrets in a line, and what looks like one. The lines of a private key are
// hidden to its end.
func (w *lineWriter) mask(text string) string {
	begins := strings.Contains(text, "-----BEGIN ") && strings.Contains(text, "PRIVATE KEY")
	ends := strings.Contains(text, "-----END ")
	if !begins && w.key > 0 {
		w.key--
		if ends {
			w.key = 0
		}
		return Hidden
	}
	if begins && !ends {
		w.key = keyLines
	}
	return clean(w.masks.replace.Replace(text))
}

// shownLine makes a text one visible line of bounded length.
func shownLine(text string) string {
	text = visible.Line(strings.ReplaceAll(text, "\t", "    "))
	if len(text) <= shownBytes {
		return text
	}
	return strings.ToValidUTF8(text[:shownBytes], "") + "…"
}
