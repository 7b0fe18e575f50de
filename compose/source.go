package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// source is one compose file with the positions of its keys. A file that several files
// include is one source for each of them.
type source struct {
	path string
	data []byte
	root *yaml.Node // the top-level mapping

	plain map[string]any // the plain values, not interpolated

	dir       string     // base of relative paths
	variables *variables // values of $NAME
	check     *checking
	budget    *budget

	settings map[string]map[string]setting // the environments of its services

	included [][]*source     // the files of each include, which Compose merges
	bases    map[string]base // what its services extend, by service
	only     map[string]any  // of an extended file: the extended services, nothing else counts
	loaded   map[string]any  // the model of an extended file
}

// maxFiles is the longest chain of services that extend each other.
const maxFiles = 500

// files are the compose files of a node.
type files struct {
	node *manifests.Node
	main []*source // the node's compose files, in merge order
	all  []*source // these, and all files that they include and extend

	auto   map[string]bool // the SV_ variables whose version is auto
	check  *checking
	budget *budget
}

// placeOf returns the place of the keys in the last file that sets them, which
// overrides the others.
func (f *files) placeOf(keys ...string) fault.Place {
	for _, s := range slices.Backward(f.main) {
		if place, depth, _ := s.find(keys); depth == len(keys) {
			return place
		}
	}
	return fault.Place{File: f.node.Dir}
}

// readFiles reads and parses all compose files of the node, and the files that they
// include and extend.
func readFiles(node *manifests.Node, variables *variables, check *checking) (*files, error) {
	f := &files{node: node, auto: map[string]bool{}, check: check, budget: variables.budget}
	var faults []error
	for _, name := range node.ComposeFiles {
		s, err := f.read(name, node.Dir, variables)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		f.main = append(f.main, s)
		faults = append(faults, f.readIncludes(s, []string{name}), f.readBases(s))
	}
	if f.budget.exceeded == nil {
		faults = append(faults, f.budget.extended(f.all))
	}
	check.read(f, errors.Join(faults...) == nil)
	if f.budget.exceeded != nil {
		return f, f.budget.exceeded // also for a check: nothing more can be read
	}
	return f, f.join(faults)
}

func (f *files) read(name, dir string, variables *variables) (*source, error) {
	data, err := fs.ReadFile(f.node.FS, name)
	if err != nil {
		return nil, fault.New(fault.Place{File: name}, fault.Hint(err), "read compose file: %w", err)
	}
	s := &source{
		path: name, data: data, dir: dir, variables: variables, check: f.check, budget: f.budget,
		bases: map[string]base{}, settings: map[string]map[string]setting{},
	}
	if err := s.parse(); err != nil {
		return nil, err
	}
	f.all = append(f.all, s)
	return s, nil
}

// parse sets the nodes and plain values of the file.
func (s *source) parse() error {
	if err := s.budget.limits.YAML(s.path, s.data); err != nil {
		return s.budget.refuse(err)
	}
	var document, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(s.data))
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return s.invalid(err)
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return fault.New(fault.Place{File: s.path, Line: 1}, "start the file with a mapping such as `services:`",
			"the top level is not a mapping")
	}
	if err := decoder.Decode(&next); err == nil {
		return fault.New(fault.Place{File: s.path, Line: next.Line}, "move it to a separate file: nodes[].compose_files in config.yml lists the files",
			"a second YAML document starts here")
	} else if !errors.Is(err, io.EOF) {
		return s.invalid(err)
	}
	s.root = document.Content[0]
	if err := s.budget.document(s); err != nil {
		return err
	}
	// Finds duplicate keys, and anchors that contain themselves.
	if err := document.Decode(&s.plain); err != nil {
		return s.invalid(err)
	}
	if err := s.budget.services(s.place("services"), len(mapping(s.plain["services"]))); err != nil {
		return err
	}
	return s.resets(s.root)
}

var (
	lineNumber = regexp.MustCompile(`line (\d+): ?`)
	badAnchor  = regexp.MustCompile(`anchor '(.+)' (?:referenced|value contains itself)$`)
)

// invalid converts the first error of the YAML library to a fault.
func (s *source) invalid(err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if several, ok := errors.AsType[*yaml.TypeError](err); ok {
		message = several.Errors[0]
	}
	place := fault.Place{File: s.path}
	if match := lineNumber.FindStringSubmatch(message); match != nil {
		place.Line, _ = strconv.Atoi(match[1]) // the pattern allows only digits
		message = strings.Replace(message, match[0], "", 1)
	}
	if match := badAnchor.FindStringSubmatch(message); match != nil {
		before, _, _ := strings.Cut(string(s.data), "*"+match[1])
		place.Line = 1 + strings.Count(before, "\n")
	}
	return fault.New(place, "correct the YAML", "not valid YAML: %s", message)
}

// resets refuses the tags !reset and !override, which `docker stack deploy` does not
// support.
func (s *source) resets(node *yaml.Node) error {
	if node.Tag == "!reset" || node.Tag == "!override" {
		return fault.New(fault.Place{File: s.path, Line: node.Line}, "change the earlier file instead",
			"%s has no effect: files are merged as docker stack deploy merges them", node.Tag)
	}
	var faults []error
	for _, child := range node.Content {
		faults = append(faults, s.resets(child))
	}
	return errors.Join(faults...)
}

// place returns the place of a key, or of the deepest part of it that exists. It
// follows aliases, merge keys, extends and includes.
func (s *source) place(keys ...string) fault.Place {
	place, _, _ := s.find(keys)
	return place
}

// find returns the same place, how many of the keys exist, and the value there.
func (s *source) find(keys []string) (best fault.Place, depth int, value *yaml.Node) {
	best.File, value = s.path, s.root
	for _, key := range keys {
		keyNode, below := lookup(value, key)
		if keyNode == nil {
			break
		}
		best.Line, value = keyNode.Line, below
		depth++
	}
	try := func(other *source, keys []string) {
		if place, deeper, below := other.find(keys); deeper > depth {
			best, depth, value = place, deeper, below
		}
	}
	if depth < len(keys) && depth >= 2 && keys[0] == "services" {
		if base, ok := s.bases[keys[1]]; ok {
			try(base.source, append([]string{"services", base.service}, keys[2:]...))
		}
	}
	if depth < 2 {
		for _, files := range s.included {
			for _, other := range slices.Backward(files) {
				try(other, keys)
			}
		}
	}
	return best, depth, value
}

// service finds the body of a service in the file itself.
func (s *source) service(name string) *yaml.Node {
	_, services := lookup(s.root, "services")
	_, body := lookup(services, name)
	return body
}

// itemKey returns the key by which lookup finds an item in a list of so many items. It
// finds nothing if one written item became several.
func itemKey(index, of int) string { return fmt.Sprintf("[%d/%d]", index, of) }

// lookup finds a key in a mapping, or an item of a list. Own keys take precedence over
// merged ones.
func lookup(node *yaml.Node, key string) (*yaml.Node, *yaml.Node) {
	for i, item := range items(node) {
		if key == itemKey(i, len(items(node))) {
			return item, item
		}
	}
	node = deref(node)
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i], node.Content[i+1]
		}
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Tag != "!!merge" {
			continue
		}
		parts := items(node.Content[i+1])
		if parts == nil {
			parts = []*yaml.Node{node.Content[i+1]}
		}
		for _, part := range parts {
			if keyNode, value := lookup(part, key); keyNode != nil {
				return keyNode, value
			}
		}
	}
	return nil, nil
}

// pairs iterates over the own keys and values of a mapping.
func pairs(node *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		node = deref(node)
		if node == nil || node.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i].Value, node.Content[i+1]) {
				return
			}
		}
	}
}

func deref(node *yaml.Node) *yaml.Node {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// walkScalars calls visit for each scalar value of a document, in order.
func walkScalars(node *yaml.Node, visit func(*yaml.Node)) {
	if node.Kind == yaml.ScalarNode {
		visit(node)
	}
	for i, child := range node.Content {
		if node.Kind != yaml.MappingNode || i%2 == 1 { // a mapping has keys and values in turn
			walkScalars(child, visit)
		}
	}
}

// placeOf returns the place of a dotted path in a library's error, such as
// "services.web.ports.0 must be a string".
func (s *source) placeOf(message string) fault.Place {
	if match := unknownKey.FindStringSubmatch(message); match != nil {
		keys := strings.Split(match[1]+"."+match[2]+match[3], ".")
		return s.place(slices.DeleteFunc(keys, func(key string) bool { return key == "" })...)
	}
	for word := range strings.FieldsSeq(message) {
		keys := strings.Split(strings.Trim(word, `":,`), ".")
		if len(keys) > 1 {
			if place := s.place(keys...); place.Line > 0 {
				return place
			}
		}
	}
	return fault.Place{File: s.path}
}
