package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// inclusion is one entry of an `include` list: files that Compose merges.
type inclusion struct {
	files []*source
}

// includeEntry is an entry of an `include` list as in the file.
type includeEntry struct {
	paths     []string
	directory string
	envFiles  []string
	place     fault.Place
	node      *yaml.Node
}

// includeEntries lists the includes of the file. It skips invalid entries, which the
// schema of Compose refuses when the file is loaded.
func (s *source) includeEntries() []includeEntry {
	_, node := lookup(s.root, "include")
	node = deref(node)
	var entries []includeEntry
	for i, item := range list(s.plain["include"]) {
		entry := includeEntry{place: s.place("include")}
		if node != nil && i < len(node.Content) {
			entry.node = node.Content[i]
			entry.place.Line = entry.node.Line
		}
		switch item := item.(type) {
		case string:
			entry.paths = []string{item}
		case map[string]any:
			entry.paths, entry.envFiles = texts(item["path"]), texts(item["env_file"])
			entry.directory, _ = item["project_directory"].(string)
		default:
			continue
		}
		entries = append(entries, entry)
	}
	return entries
}

// at returns the place of one of the entry's keys.
func (e includeEntry) at(key string) fault.Place {
	place := e.place
	if keyNode, _ := lookup(e.node, key); keyNode != nil {
		place.Line = keyNode.Line
	}
	return place
}

func texts(value any) []string {
	if text, ok := value.(string); ok {
		return []string{text}
	}
	var all []string
	for _, item := range list(value) {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// readIncludes reads the files that s includes, directly and indirectly. The chain
// lists the files that lead to s, and s itself.
func (r *reader) readIncludes(s *source, chain []string) error {
	var faults []error
	for _, entry := range s.includeEntries() {
		inclusion, err := r.readInclusion(s, entry, chain)
		faults = append(faults, err)
		if inclusion != nil {
			s.included = append(s.included, inclusion)
		}
	}
	return errors.Join(faults...)
}

func (r *reader) readInclusion(s *source, entry includeEntry, chain []string) (*inclusion, error) {
	if len(entry.paths) == 0 {
		return nil, fault.New(entry.place, "write the path of a file", "the include does not name a file")
	}
	var files []string
	for _, text := range entry.paths {
		file, err := r.otherFile(s, text, entry.at("path"))
		if err != nil {
			return nil, err
		}
		if slices.Contains(chain, file) {
			return nil, fault.New(entry.at("path"), "remove one of the includes", "the files include each other: %s",
				strings.Join(append(slices.Clone(chain), file), " includes "))
		}
		files = append(files, file)
	}
	dir := path.Dir(files[0])
	if entry.directory != "" {
		var err error
		if dir, err = r.otherFile(s, entry.directory, entry.at("project_directory")); err != nil {
			return nil, err
		}
	}
	variables, err := r.includedVariables(s, entry, dir)
	if err != nil {
		return nil, err
	}
	included := &inclusion{}
	var faults []error
	for _, file := range files {
		other, err := r.readOther(file, dir, variables, entry.at("path"))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		included.files = append(included.files, other)
		faults = append(faults, r.readIncludes(other, append(slices.Clone(chain), file)), r.readBases(other))
	}
	return included, errors.Join(faults...)
}

// remote matches the addresses that Compose would fetch.
var remote = regexp.MustCompile(`^[a-z+]+://|^oci:|^git@|^github\.com/`)

// otherFile returns the repository path of a file that s names.
func (r *reader) otherFile(s *source, text string, place fault.Place) (string, error) {
	name, err := s.variables.substitute(text, s.variables.lookup)
	if err != nil {
		message, hint := explain(err)
		return "", fault.New(place, hint, "%s", message)
	}
	if remote.MatchString(name) {
		return "", fault.New(place, "put a copy of the file into the repository", "%s is not in the repository, and the agent does not fetch files", name)
	}
	file, err := manifests.Resolve(s.dir, name, place)
	if err != nil {
		return "", err
	}
	return file, notSecret(r.node, place, file)
}

// readOther reads a file that another file names at place.
func (r *reader) readOther(file, dir string, variables *variables, place fault.Place) (*source, error) {
	if len(r.files.all) >= maxFiles+len(r.node.ComposeFiles) {
		return nil, fault.New(place, "include fewer files", "more than %d files are included and extended", maxFiles)
	}
	s, err := r.read(file, dir, variables)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(place, "add the file, or correct its path", "the file %s does not exist", file)
	}
	return s, err
}

// includedVariables returns the variables of an included file: those of the including
// file, then those of the include's env_file, or of .env in dir.
func (r *reader) includedVariables(s *source, entry includeEntry, dir string) (*variables, error) {
	variables := s.variables.inner(map[string]string{})
	if len(entry.envFiles) == 0 {
		file := path.Join(dir, ".env")
		if info, err := fs.Stat(r.node.FS, file); err != nil || !info.Mode().IsRegular() {
			return variables, nil
		}
		return variables, r.includedSettings(variables, file, entry.place)
	}
	for _, text := range entry.envFiles {
		if text == "/dev/null" { // disables .env in Compose
			continue
		}
		file, err := r.otherFile(s, text, entry.at("env_file"))
		if err != nil {
			return nil, err
		}
		if err := r.includedSettings(variables, file, entry.at("env_file")); err != nil {
			return nil, err
		}
	}
	return variables, nil
}

// includedSettings reads one env_file of an include, in the format of Compose.
func (r *reader) includedSettings(into *variables, file string, place fault.Place) error {
	data, err := readNamed(r.node, place, "env_file", file)
	if err != nil {
		return err
	}
	values, err := dotenv.ParseWithLookup(bytes.NewReader(data), into.value)
	if err != nil {
		return fault.New(settingsPlace(file, err), "write NAME=value, and close the quotes", "the line is not an assignment")
	}
	for name, value := range values {
		into.values[name] = value
	}
	return into.checkSettings(file, data)
}

var settingsLine = regexp.MustCompile(`^line (\d+): `)

// settingsPlace returns the line number in a parser's error. The error itself would
// show the line's content.
func settingsPlace(file string, err error) fault.Place {
	place := fault.Place{File: file}
	if match := settingsLine.FindStringSubmatch(err.Error()); match != nil {
		place.Line, _ = strconv.Atoi(match[1]) // the pattern allows only digits
	}
	return place
}

// checkSettings refuses unset variables in an env_file, which the parser silently
// treats as empty.
func (v *variables) checkSettings(file string, data []byte) error {
	if v.lenient {
		return nil
	}
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
		for _, name := range variablesIn(value) {
			if probe.missing[name] {
				faults = append(faults, fault.New(place, fmt.Sprintf("set %s in node.env, or add a default: ${%s:-value}", name, name),
					"the variable %s is not set and has no default", name))
			}
		}
	}
	return errors.Join(faults...)
}
