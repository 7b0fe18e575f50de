// Package slots replaces {{name}} in the texts of config.yml. A name has letters,
// digits, '_', '-' and '.'.
package slots

import (
	"errors"
	"regexp"
	"strings"
)

const name = `^\{\{([A-Za-z0-9_][A-Za-z0-9_.-]*)\}\}`

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
	pattern := regexp.MustCompile(name)
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		match := pattern.FindStringSubmatch("{{" + rest)
		if match == nil {
			return "", errors.New("{{ is not followed by a name and }}")
		}
		filled, err := value(match[1])
		if err != nil {
			return "", err
		}
		b.WriteString(filled)
		text = ("{{" + rest)[len(match[0]):]
	}
}
