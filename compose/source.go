package compose

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// source is one compose file with the positions of what stands in it.
type source struct {
	path string
	data []byte
	root *yaml.Node // the top-level mapping
}

// readSources reads and parses all compose files of the node.
func (r *renderer) readSources() error {
	var faults []error
	for _, name := range r.node.ComposeFiles {
		s, err := readSource(r.node.FS, name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		r.sources = append(r.sources, s)
	}
	return errors.Join(faults...)
}

func readSource(fsys fs.FS, name string) (*source, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fault.New(fault.Place{File: name}, "", "read compose file: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fault.New(yamlPlace(name, err), "", "not valid YAML: %s", yamlMessage(err))
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil, fault.New(fault.Place{File: name, Line: 1}, "a compose file starts with a mapping such as `services:`",
			"the top level is not a mapping")
	}
	return &source{path: name, data: data, root: document.Content[0]}, nil
}

var yamlLine = regexp.MustCompile(`line (\d+): ?`)

func yamlPlace(name string, err error) fault.Place {
	place := fault.Place{File: name}
	if match := yamlLine.FindStringSubmatch(err.Error()); match != nil {
		for _, digit := range match[1] {
			place.Line = place.Line*10 + int(digit-'0')
		}
	}
	return place
}

func yamlMessage(err error) string {
	return yamlLine.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "")
}

// place gives the position of a key, following aliases and merge keys; of the
// deepest part of it that is there.
func (s *source) place(keys ...string) fault.Place {
	node, line := s.root, 0
	for _, key := range keys {
		keyNode, value := lookup(node, key)
		if keyNode == nil {
			break
		}
		line, node = keyNode.Line, value
	}
	return fault.Place{File: s.path, Line: line}
}

// lookup finds key in a mapping; own keys win over merged ones.
func lookup(node *yaml.Node, key string) (*yaml.Node, *yaml.Node) {
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
		merged := deref(node.Content[i+1])
		parts := []*yaml.Node{merged}
		if merged.Kind == yaml.SequenceNode {
			parts = merged.Content
		}
		for _, part := range parts {
			if keyNode, value := lookup(part, key); keyNode != nil {
				return keyNode, value
			}
		}
	}
	return nil, nil
}

func deref(node *yaml.Node) *yaml.Node {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// scalars calls visit for every scalar value of the file, in order.
func (s *source) scalars(visit func(*yaml.Node)) { walkScalars(s.root, visit) }

func walkScalars(node *yaml.Node, visit func(*yaml.Node)) {
	switch node.Kind {
	case yaml.ScalarNode:
		visit(node)
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			walkScalars(node.Content[i+1], visit)
		}
	case yaml.SequenceNode:
		for _, item := range node.Content {
			walkScalars(item, visit)
		}
	case yaml.DocumentNode, yaml.AliasNode:
	}
}

// placeOf guesses where a fault of the docker CLI's loader stands from the
// dotted path in its text, such as "services.web.ports.0 must be a string".
func (s *source) placeOf(message string) fault.Place {
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
