package manifests

import (
	"bufio"
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing/fstest" // the standard library's file system in memory
	"unicode"
	"unicode/utf8"

	"coin.internal/coin-agent/internal/fault"
)

// Names of the project settings.
const (
	mergedSettings   = ".project.tmp.env"
	templateFile     = "templates/project.env.template"
	settingsVariable = "PROJECT_SETTINGS"
)

// extract is a derived file with the settings whose names start with prefix. It
// removes cut from the names.
type extract struct{ file, prefix, cut string }

func extracts() []extract {
	return []extract{
		{".project.client.tmp.env", "CLIENT_API", "CLIENT_"},
		{".project.admin.tmp.env", "ADMIN_API", "ADMIN_"},
		{".project.i_client.tmp.env", "I_CLIENT_API", "I_CLIENT_"},
		{".project.renderer.tmp.env", "REPORT_GENERATOR_", "REPORT_GENERATOR_"},
	}
}

// setting is one line of an env file. Quotes are part of its value.
type setting struct {
	name, value string
	place       fault.Place
}

// lines splits a file into lines as docker does.
func lines(content []byte) []string {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	all := strings.Split(string(content), "\n")
	for i, line := range all {
		all[i] = strings.TrimSuffix(line, "\r")
	}
	return all
}

// blank reports whether a line is empty or a comment.
func blank(line string) bool {
	line = strings.TrimLeftFunc(line, unicode.IsSpace)
	return line == "" || line[0] == '#'
}

// readSettings reads the lines of an env file as `docker stack deploy` does.
func (l *loader) readSettings(file string, all []string) []setting {
	var found []setting
	for i, line := range all {
		if blank(line) {
			continue
		}
		if s, ok := l.setting(line, fault.Place{File: file, Line: i + 1, Column: 1}); ok {
			found = append(found, s)
		}
	}
	return found
}

func (l *loader) setting(line string, place fault.Place) (setting, bool) {
	name, value, assigned := strings.Cut(line, "=")
	switch {
	case !utf8.ValidString(line) || strings.ContainsRune(line, 0):
		l.faults.add(place, "save the file as UTF-8", "the line is not UTF-8 text")
	case strings.ContainsRune(line, '\r'):
		l.faults.add(place, "convert the file to Unix line endings (dos2unix)", "the line contains a carriage return")
	case len(line) >= bufio.MaxScanTokenSize:
		l.faults.add(place, "put long values into a secret or a config", "the line is longer than docker accepts (%d bytes)", bufio.MaxScanTokenSize-1)
	case strings.HasPrefix(strings.TrimSpace(line), "export "):
		l.faults.add(place, "remove export: containers get these lines unchanged", "export is not allowed in an env file")
	case name == "":
		l.faults.add(place, "write NAME=value", "the name before the = is missing")
	case strings.TrimLeftFunc(name, unicode.IsSpace) != name:
		l.faults.add(place, "remove the spaces at the start of the line", "the line starts with spaces")
	case strings.ContainsFunc(name, unicode.IsSpace):
		l.faults.add(place, "write NAME=value, without spaces in or after the name", "the name has a space in it")
	case assigned:
		return setting{name, value, place}, true
	default:
		return l.bare(name, place)
	}
	return setting{}, false
}

// bare sets a name without = to the value of the interpolation variable. Docker would
// use the process's environment instead, which the agent must not depend on.
func (l *loader) bare(name string, place fault.Place) (setting, bool) {
	if v, ok := l.node.Variables[name]; ok {
		if strings.ContainsAny(v.Value, "\r\n") {
			l.faults.add(place, fmt.Sprintf("give %s a value on one line, or put it into a secret or a config", name),
				"the value of %s has a line break, which an env file cannot contain", name)
			return setting{}, false
		}
		return l.setting(name+"="+v.Value, place)
	}
	hint := fmt.Sprintf("write %s=value, or set %s in node.env", name, name)
	if l.node.lenient() {
		l.warn(place, hint, "%s has no value and is not set in node.env: it is left out", name)
	} else {
		l.faults.add(place, hint, "%s has no value and is not set in node.env", name)
	}
	return setting{}, false
}

var placeholder = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// fill replaces each {{NAME}} in a template by its value and reads the result. Swarm's
// templates such as {{.Node.Hostname}} stay unchanged.
func (l *loader) fill(template []byte, values []setting, valuesFile string) []setting {
	known := map[string]setting{}
	for _, s := range values {
		known[s.name] = s
	}
	used := map[string]bool{}
	var unfilled []string
	var first fault.Place
	all := lines(template)
	for i, line := range all {
		if blank(line) {
			continue
		}
		all[i] = placeholder.ReplaceAllStringFunc(line, func(match string) string {
			name := strings.TrimSpace(match[2 : len(match)-2])
			if strings.ContainsAny(name, ". \t\"") {
				return match
			}
			value, ok := known[name]
			if !ok {
				if unfilled = append(unfilled, fmt.Sprintf("{{%s}} (line %d)", name, i+1)); first.File == "" {
					first = fault.Place{File: templateFile, Line: i + 1, Column: 1 + strings.Index(line, match)}
				}
				return ""
			}
			used[name] = true
			return value.value
		})
	}
	if len(unfilled) > 0 {
		l.faults.add(first, "set them in "+valuesFile, "values are missing for %s", strings.Join(unfilled, ", "))
		return nil
	}
	for _, s := range merge(values) {
		if !used[s.name] {
			l.warn(s.place, fmt.Sprintf("add a line with {{%s}} to the template, or remove %s here", s.name, s.name),
				"%s has no effect: %s does not use it", s.name, templateFile)
		}
	}
	return l.readSettings(templateFile, all)
}

// merge keeps the last setting of each name, at the position of the first, so that
// an override does not change the order of lines.
func merge(layers ...[]setting) []setting {
	var merged []setting
	at := map[string]int{}
	for _, layer := range layers {
		for _, s := range layer {
			if i, ok := at[s.name]; ok {
				merged[i] = s
				continue
			}
			at[s.name] = len(merged)
			merged = append(merged, s)
		}
	}
	return merged
}

// derive returns the merged settings file and its extracts, and adds what is wrong with them.
func derive(settings []setting, wrong *faults) fstest.MapFS {
	files := fstest.MapFS{mergedSettings: derivedFile(settings)}
	for _, e := range extracts() {
		var drawn []setting
		for _, s := range settings {
			if !strings.HasPrefix(s.name, e.prefix) {
				continue
			}
			if s.name = strings.TrimPrefix(s.name, e.cut); s.name == "" {
				wrong.add(s.place, "use a longer name", "the name %s becomes empty in %s", e.prefix, e.file)
				continue
			}
			drawn = append(drawn, s)
		}
		files[e.file] = derivedFile(drawn)
	}
	return files
}

func derivedFile(settings []setting) *fstest.MapFile {
	var b bytes.Buffer
	for _, s := range settings {
		b.WriteString(s.name + "=" + s.value + "\n")
	}
	return &fstest.MapFile{Data: b.Bytes(), Mode: 0o444}
}
