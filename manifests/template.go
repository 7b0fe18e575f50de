package manifests

import (
	"fmt"
	"regexp"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

var placeholder = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// fillTemplate replaces each {{NAME}} in a template by its value and reads the result. Swarm's
// templates such as {{.Node.Hostname}} stay unchanged.
func fillTemplate(l *loader, template []byte, values []setting, valuesFile string) []setting {
	f := filling{values: map[string]setting{}, used: map[string]bool{}, given: func(name string) (setting, bool) { return giveSetting(l, name) }, size: limits.Bytes(len(template))}
	for _, s := range values {
		f.values[s.name] = s
	}
	most := l.repository.Limits().StackBytes
	all := lines(template)
	for i, line := range all {
		if blank(line) {
			continue
		}
		all[i] = f.line(i+1, line, most)
		if f.size > most {
			l.faults = append(l.faults, limits.Over(fault.Place{File: templateFile, Line: i + 1}, "stack_bytes", "the filled template has", most))
			return nil
		}
	}
	if len(f.missing) > 0 {
		l.faults.add(f.first, "set them in "+valuesFile, "values are missing for %s", f.list())
		return nil
	}
	for _, s := range merge(values) {
		if !f.used[s.name] {
			l.warn(s.place, fmt.Sprintf("add a line with {{%s}} to the template, or remove %s here", s.name, s.name),
				"%s has no effect: %s does not use it", s.name, templateFile)
		}
	}
	return l.readSettings(templateFile, all)
}

// filling is what is found out while a template is filled.
type filling struct {
	values map[string]setting
	used   map[string]bool
	given  func(name string) (setting, bool) // what config.yml gives
	size   limits.Bytes                      // of the template and the values in it

	first   fault.Place // of a placeholder without a value
	missing []string    // the placeholders without a value, as far as they are listed
	more    int         // and those that are not
}

// line replaces the placeholders of one line, until the size is over the limit.
func (f *filling) line(number int, line string, most limits.Bytes) string {
	return placeholder.ReplaceAllStringFunc(line, func(match string) string {
		name := strings.TrimSpace(match[2 : len(match)-2])
		if strings.ContainsAny(name, ". \t\"") {
			return match
		}
		value, ok := f.values[name]
		if !ok {
			value, ok = f.given(name)
		}
		if !ok || value.bare {
			f.miss(name, fault.Place{File: templateFile, Line: number, Column: 1 + strings.Index(line, match)})
			return ""
		}
		f.used[name] = true
		if f.size += limits.Bytes(len(value.value)); f.size > most {
			return ""
		}
		return value.value
	})
}

// maxMissing is how many placeholders without a value are listed.
const maxMissing = 50

func (f *filling) miss(name string, place fault.Place) {
	if len(f.missing) == 0 {
		f.first = place
	}
	if len(f.missing) == maxMissing {
		f.more++
		return
	}
	f.missing = append(f.missing, fmt.Sprintf("{{%s}} (line %d)", name, place.Line))
}

func (f *filling) list() string {
	if f.more > 0 {
		return fmt.Sprintf("%s, and %d more", strings.Join(f.missing, ", "), f.more)
	}
	return strings.Join(f.missing, ", ")
}
