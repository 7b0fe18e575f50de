package manifests

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
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
	written     bool // with =; docker takes the value of a bare name from the environment
	bare        bool // neither written nor known here
	indented    bool // spaces at the start of the line, which docker removes
	place       fault.Place
}

// line returns the line for docker.
func (s setting) line() string {
	if s.bare {
		return s.name
	}
	return s.name + "=" + s.value
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
		if s, ok := settingIn(l, line, fault.Place{File: file, Line: i + 1, Column: 1}); ok {
			found = append(found, s)
		}
	}
	return found
}

func settingIn(l *loader, line string, place fault.Place) (setting, bool) {
	text := strings.TrimLeftFunc(line, unicode.IsSpace)
	name, value, assigned := strings.Cut(text, "=")
	switch {
	case !utf8.ValidString(line) || strings.ContainsRune(line, 0):
		l.faults.add(place, "save the file as UTF-8", "the line is not UTF-8 text")
	case strings.ContainsRune(line, '\r'):
		l.faults.add(place, "convert the file to Unix line endings (dos2unix)", "the line contains a carriage return")
	case len(line) >= bufio.MaxScanTokenSize:
		l.faults.add(place, "put long values into a secret or a config", "the line is longer than docker accepts (%d bytes)", bufio.MaxScanTokenSize-1)
	case strings.HasPrefix(text, "export "):
		l.faults.add(place, "remove export: containers get these lines unchanged", "export is not allowed in an env file")
	case strings.HasPrefix(name, "\ufeff"): // docker removes it where it comes to the start of a file
		l.faults.add(place, "remove the invisible character U+FEFF before the name", "a byte order mark is before the name")
	case name == "":
		l.faults.add(place, "write NAME=value", "the name before the = is missing")
	case strings.ContainsFunc(name, unicode.IsSpace):
		l.faults.add(place, "write NAME=value, without spaces in or after the name", "the name has a space in it")
	default:
		s := setting{name: name, value: value, written: assigned, place: place}
		if !assigned && !bare(l, &s) {
			return setting{}, false
		}
		s.indented = text != line
		return s, true
	}
	return setting{}, false
}

// bare gives a name without = the value of the interpolation variable, and reports false
// if the line is left out, as docker does without a value. Docker would use the process's
// environment instead, which the agent must not depend on. A line stays bare if its value
// has several lines, or if only the compose files decide it.
func bare(l *loader, s *setting) bool {
	v, set := l.node.Variables[s.name]
	switch {
	case set && !strings.ContainsAny(v.Value, "\r\n"):
		s.value = v.Value
	case set, strings.HasPrefix(s.name, "TAG_"), strings.HasPrefix(s.name, "SV_"):
		s.bare = true
	default:
		l.warn(s.place, fmt.Sprintf("write %s=value, or set %s in node.env", s.name, s.name), "%s has no value and is not set in node.env: it is left out", s.name)
		return false
	}
	return true
}

// merge keeps the last setting of each name, at the position of the first, so that
// an override does not change the order of lines. A name without = keeps the setting
// before it, which counts if the name has no value.
func merge(layers ...[]setting) []setting {
	var merged []setting
	at := map[string]int{} // by name, behind which an assigned one has =
	for _, s := range slices.Concat(layers...) {
		key := s.name
		if !s.bare {
			key += "="
		}
		i, again := at[key]
		bare, both := at[s.name]
		switch {
		case s.bare || !both:
		case again:
			merged[bare].name = ""
		default:
			i, again = bare, true
		}
		if !s.bare {
			delete(at, s.name)
		}
		if !again {
			i = len(merged)
			merged = append(merged, s)
		}
		merged[i], at[key] = s, i
	}
	return slices.DeleteFunc(merged, func(s setting) bool { return s.name == "" })
}

// deriveFiles returns the merged settings file and its extracts.
func deriveFiles(l *loader, settings []setting) fstest.MapFS {
	files := fstest.MapFS{mergedSettings: derivedFile(settings)}
	for _, e := range extracts() {
		var drawn []setting
		for _, s := range settings {
			if !strings.HasPrefix(s.name, e.prefix) {
				continue
			}
			if s.indented { // deployment.sh looked for the prefix at the start of the line
				l.warn(s.place, "remove the spaces", "%s is not in %s, because its line starts with spaces", s.name, e.file)
				continue
			}
			if s.name = strings.TrimPrefix(s.name, e.cut); s.name == "" {
				l.faults.add(s.place, "use a longer name", "the name %s becomes empty in %s", e.prefix, e.file)
				continue
			}
			s.bare = !s.written // docker looks for the shorter name
			drawn = append(drawn, s)
		}
		files[e.file] = derivedFile(drawn)
	}
	return files
}

func derivedFile(settings []setting) *fstest.MapFile {
	var b bytes.Buffer
	for _, s := range settings {
		b.WriteString(s.line() + "\n")
	}
	return &fstest.MapFile{Data: b.Bytes(), Mode: 0o444}
}
