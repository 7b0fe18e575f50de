// Package slots replaces {{name}} in the texts of config.yml. A name has letters,
// digits, '_', '-' and '.'.
package slots

import (
	"errors"
	"strings"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// slot matches a name in braces, or braces without a name.
var slot = lazyregexp.New(`\{\{(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)\}\})?`)

// Names returns the names in a text in order.
func Names(text string) ([]string, error) {
	var names []string
	_, err := Fill(text, func(name string) (string, error) {
		names = append(names, name)
		return "", nil
	})
	return names, err
}

// Fill replaces each {{name}} by value(name).
func Fill(text string, value func(name string) (string, error)) (string, error) {
	var b strings.Builder
	end := 0
	for _, at := range slot().FindAllStringSubmatchIndex(text, -1) {
		if at[2] < 0 {
			return "", errors.New("{{ is not followed by a name and }}")
		}
		filled, err := value(text[at[2]:at[3]])
		if err != nil {
			return "", err
		}
		b.WriteString(text[end:at[0]] + filled)
		end = at[1]
	}
	return b.String() + text[end:], nil
}
