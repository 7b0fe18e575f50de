package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	composego "github.com/compose-spec/compose-go/v2/loader"
	composetypes "github.com/compose-spec/compose-go/v2/types"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
)

// includeEntry is an entry of an `include` list as in the file.
type includeEntry struct {
	composetypes.IncludeConfig
	source *source
	key    string // of the entry in the list
}

// includeEntries lists the includes of the file.
func (s *source) includeEntries() []includeEntry {
	var entries []includeEntry
	items := list(s.plain["include"])
	for i, item := range items {
		if text, ok := item.(string); ok {
			item = map[string]any{"path": text}
		}
		if mapping(item) == nil {
			continue // the schema of Compose refuses it when the file is loaded
		}
		entry := includeEntry{source: s, key: itemKey(i, len(items))}
		_ = composego.Transform(item, &entry.IncludeConfig) // the schema refuses invalid values
		entries = append(entries, entry)
	}
	return entries
}

// place returns the place of the entry, or of one of its keys.
func (e includeEntry) place(keys ...string) fault.Place {
	return e.source.place(append([]string{"include", e.key}, keys...)...)
}

// readIncludes reads the files that s includes, directly and indirectly. The chain
// lists the files that lead to s, and s itself.
func (f *files) readIncludes(s *source, chain []string) error {
	var faults []error
	for _, entry := range s.includeEntries() {
		files, err := f.readInclude(s, entry, chain)
		faults, s.included = append(faults, err), append(s.included, files)
	}
	return errors.Join(faults...)
}

func (f *files) readInclude(s *source, entry includeEntry, chain []string) (included []*source, err error) {
	if len(entry.Path) == 0 {
		return nil, fault.New(entry.place(), "write the path of a file", "the include does not name a file")
	}
	var files []string
	for _, text := range entry.Path {
		file, err := f.otherFile(s, text, entry.place("path"))
		if err != nil {
			return nil, err
		}
		if slices.Contains(chain, file) {
			return nil, fault.New(entry.place("path"), "remove one of the includes", "the files include each other: %s",
				strings.Join(append(slices.Clone(chain), file), " includes "))
		}
		files = append(files, file)
	}
	dir := path.Dir(files[0])
	if entry.ProjectDirectory != "" {
		if dir, err = f.otherFile(s, entry.ProjectDirectory, entry.place("project_directory")); err != nil {
			return nil, err
		}
	}
	variables, err := f.includedVariables(s, entry, dir)
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, file := range files {
		other, err := f.readOther(file, dir, variables, entry.place("path"))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		included = append(included, other)
		faults = append(faults, f.readIncludes(other, append(slices.Clone(chain), file)), f.readBases(other))
	}
	return included, errors.Join(faults...)
}

// remote matches the addresses that Compose would fetch.
var remote = regexp.MustCompile(`^[a-z+]+://|^oci:|^git@|^github\.com/`)

// otherFile returns the repository path of a file that s names.
func (f *files) otherFile(s *source, text string, place fault.Place) (string, error) {
	name, err := s.variables.substitute(text, s.variables.lookup)
	if err != nil {
		message, hint := advise(plainMessage(err))
		return "", fault.New(place, hint, "%s", message)
	}
	if remote.MatchString(name) {
		return "", fault.New(place, "put a copy of the file into the repository", "%s is not in the repository, and the agent does not fetch files", name)
	}
	file, err := manifests.Resolve(s.dir, name, place)
	if err != nil {
		return "", err
	}
	return file, notSecret(f.node, place, file)
}

// readOther reads a file that another file names at place.
func (f *files) readOther(file, dir string, variables *variables, place fault.Place) (*source, error) {
	if err := f.budget.exceeded; err != nil {
		return nil, err
	}
	if most := f.budget.limits.Includes; len(f.all) >= most+len(f.node.ComposeFiles) {
		return nil, f.budget.refuse(limits.Over(place, "includes", "the number of included and extended files is", most))
	}
	s, err := f.read(file, dir, variables)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(place, "add the file, or correct its path", "the file %s does not exist", file)
	}
	return s, err
}

// includedVariables returns the variables of an included file: those of the including
// file, then those of the include's env_file, or of .env in dir.
func (f *files) includedVariables(s *source, entry includeEntry, dir string) (*variables, error) {
	variables := s.variables.inner(map[string]string{})
	place := entry.place("env_file")
	if len(entry.EnvFile) == 0 {
		file := path.Join(dir, ".env")
		if info, err := fs.Stat(f.node.FS, file); err != nil || !info.Mode().IsRegular() {
			return variables, nil
		}
		return variables, f.includedSettings(variables, file, place)
	}
	for _, text := range entry.EnvFile {
		if text == "/dev/null" { // disables .env in Compose
			continue
		}
		file, err := f.otherFile(s, text, place)
		if err == nil {
			err = f.includedSettings(variables, file, place)
		}
		if err != nil {
			return nil, err
		}
	}
	return variables, nil
}

// includedSettings reads one env_file of an include, in the format of Compose.
func (f *files) includedSettings(into *variables, file string, place fault.Place) error {
	data, err := f.readNamed(place, "env_file", file)
	if err != nil {
		return err
	}
	if err := f.budget.settings(file, string(data), into.value); err != nil {
		return err
	}
	values, err := dotenv.ParseWithLookup(bytes.NewReader(data), into.value)
	if err != nil { // it would show the line's content
		place := fault.Place{File: file}
		if match := lineNumber.FindStringSubmatch(err.Error()); match != nil {
			place.Line, _ = strconv.Atoi(match[1]) // the pattern allows only digits
		}
		return fault.New(place, "write NAME=value, and close the quotes", "the line is not an assignment")
	}
	maps.Copy(into.values, values)
	if f.lenient() {
		return nil
	}
	return into.checkSettings(file, data)
}

// checkSettings refuses unset variables in an env_file, which the parser silently
// treats as empty.
func (v *variables) checkSettings(file string, data []byte) error {
	var faults []error
	place := fault.Place{File: file}
	for line := range strings.Lines(string(data)) {
		place.Line++
		_, value, _ := strings.Cut(strings.ReplaceAll(line, `\$`, "$$"), "=")
		value, _, _ = strings.Cut(strings.TrimSpace(value), " #")
		if strings.HasPrefix(strings.TrimSpace(line), "#") || strings.HasPrefix(value, "'") {
			continue
		}
		probe := v.inner(nil)
		if _, err := probe.substitute(value, v.lookup); err != nil {
			continue // part of a multi-line value, which the parser accepts
		}
		for _, name := range slices.Sorted(maps.Keys(probe.missing)) {
			faults = append(faults, fault.New(place, fmt.Sprintf("set %s in node.env, or add a default: ${%s:-value}", name, name),
				"the variable %s is not set and has no default", name))
		}
	}
	return errors.Join(faults...)
}
