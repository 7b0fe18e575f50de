package checks

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/oneline"
	"coin.internal/coin-agent/internal/slots"
)

const (
	hidden = "***"
	// secretPrefix is the prefix of the names of secrets in texts.
	secretPrefix = "secret."
	// shortestMasked is the minimum length of a text that is masked.
	shortestMasked = 4
	// longestExcerpt is the maximum length of a quoted answer.
	longestExcerpt = 120
)

// fill replaces all names in a text. It escapes saved values and secrets.
func (r *run) fill(text string, escape func(string) string) (string, error) {
	return slots.Fill(text, func(name string) (string, error) {
		if fact, ok := r.options.Facts[name]; ok {
			return fact, nil
		}
		if secret, ok := strings.CutPrefix(name, secretPrefix); ok {
			value, known := r.options.Secrets[secret]
			if !known {
				return "", fmt.Errorf("the secret %q does not exist", secret)
			}
			return escape(reveal(value)), nil
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		value, ok := r.saved[name]
		if !ok {
			return "", fmt.Errorf("{{%s}} is not defined", name)
		}
		return escape(value), nil
	})
}

// public replaces only the facts in a text, so that it can be shown.
func (r *run) public(text string) string {
	filled, err := slots.Fill(text, func(name string) (string, error) {
		if fact, ok := r.options.Facts[name]; ok {
			return fact, nil
		}
		return "{{" + name + "}}", nil
	})
	if err != nil {
		return text
	}
	return filled
}

// all replaces the facts in each text.
func (r *run) all(texts []string) []string {
	filled := make([]string, 0, len(texts))
	for _, text := range texts {
		filled = append(filled, r.public(text))
	}
	return filled
}

// carries reports whether a text contains names other than facts.
func (r *run) carries(texts []string) bool {
	return slices.ContainsFunc(namesIn(texts), func(name string) bool {
		_, fact := r.options.Facts[name]
		return !fact
	})
}

func namesIn(texts []string) []string {
	var all []string
	for _, text := range texts {
		names, err := slots.Names(text)
		if err == nil {
			all = append(all, names...)
		}
	}
	return all
}

func (r *run) save(name, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved[name] = value
}

// reveal returns a secret as a text without the line break at the end of a file.
func reveal(secret Secret) string {
	if secret == nil {
		return ""
	}
	return strings.TrimRight(string(secret.Reveal()), "\r\n")
}

// mask hides the secrets and saved values, and texts that look like secrets.
func (r *run) mask(text string) string {
	text = r.hide(text)
	if r.options.Mask != nil {
		text = r.options.Mask(text)
	}
	return text
}

// hide hides the secrets and saved values in all forms in which a server may return them.
// It starts with the longest form, because forms can contain each other.
func (r *run) hide(text string) string {
	var forms []string
	for _, value := range r.hideable() {
		for _, plain := range append(strings.Split(value, "\n"), value) {
			if plain = strings.TrimSpace(plain); len(plain) >= shortestMasked {
				forms = append(forms, plain, url.QueryEscape(plain), url.PathEscape(plain), escapeJSON(plain), hex.EncodeToString([]byte(plain)),
					base64.StdEncoding.EncodeToString([]byte(plain)), base64.RawURLEncoding.EncodeToString([]byte(plain)))
			}
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, form := range forms {
		text = strings.ReplaceAll(text, form, hidden)
	}
	return text
}

func (r *run) hideable() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var values []string
	for _, value := range r.saved {
		values = append(values, value)
	}
	for _, secret := range r.options.Secrets {
		values = append(values, reveal(secret))
	}
	for _, check := range r.list {
		if check.HTTP != nil {
			values = append(values, reveal(check.HTTP.Token))
		}
		if check.SQL != nil {
			values = append(values, reveal(check.SQL.Database.Password))
		}
	}
	return values
}

// excerpt quotes the start of an answer on one line, with masked secrets.
func (r *run) excerpt(text string) string {
	return fmt.Sprintf("%q", oneline.Cut(r.mask(strings.ToValidUTF8(text, "?")), longestExcerpt))
}

func oneOf(texts []string) string {
	quoted := make([]string, 0, len(texts))
	for _, text := range texts {
		quoted = append(quoted, fmt.Sprintf("%q", text))
	}
	return strings.Join(quoted, " or ")
}

// escapeURL escapes a value for any part of a URL's path or query.
func escapeURL(value string) string { return strings.ReplaceAll(url.QueryEscape(value), "+", "%20") }

// escapeJSON escapes a value for a JSON text.
func escapeJSON(value string) string {
	quoted, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(quoted[1 : len(quoted)-1])
}

func asIs(value string) string { return value }
