package compose

import (
	"io/fs"
	"maps"

	composetypes "github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
)

// Measures gives a function that measures the compose files of a node as Render does for the
// limits, and nothing else: its cost is theirs. The files are parsed before.
func Measures(node *manifests.Node) (func() error, error) {
	var all []*source
	for _, name := range node.ComposeFiles {
		data, err := fs.ReadFile(node.FS, name)
		if err != nil {
			return nil, err
		}
		var document yaml.Node
		if err := yaml.Unmarshal(data, &document); err != nil {
			return nil, err
		}
		s := &source{path: name, data: data, root: document.Content[0]}
		if err := document.Decode(&s.plain); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return func() error {
		b := &budget{limits: limits.Of(node.FS)}
		for _, s := range all {
			if err := b.limits.YAML(s.path, s.data); err != nil {
				return err
			}
			if err := b.document(s); err != nil {
				return err
			}
			if err := b.services(s.place("services"), len(mapping(s.plain["services"]))); err != nil {
				return err
			}
			b.scalars(s.root)
			if err := b.model(s.path, s.plain); err != nil {
				return err
			}
		}
		return b.exceeded
	}, nil
}

// scalars takes each value as its variables are replaced.
func (b *budget) scalars(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode {
		_ = b.replaced("", node.Value) // the error is in exceeded
	}
	for _, child := range node.Content {
		b.scalars(child)
	}
}

// Model is the model of a file, or why it has none.
type Model struct {
	Values map[string]any
	Err    error
}

// Models gives the model of a compose file as Render makes it, and the one that compose-go
// makes of the whole file; nothing if the file is not YAML or has invalid variables.
func Models(data []byte) (ours, theirs *Model) {
	bounds := &budget{limits: limits.Default()}
	values := &variables{values: map[string]string{"TAG": "1", "SET": "x"}, missing: map[string]bool{}, budget: bounds}
	s := &source{path: "docker-compose.yml", dir: ".", data: data, variables: values, budget: bounds}
	if s.parse() != nil {
		return nil, nil
	}
	whole, err := s.interpolate(s.plain)
	if err != nil {
		return nil, nil
	}
	details := composetypes.ConfigDetails{
		WorkingDir: "/", Environment: values.settings(),
		ConfigFiles: []composetypes.ConfigFile{{Filename: s.path, Config: whole}},
	}
	ours, theirs = &Model{}, &Model{}
	theirs.Err = guard(func() (err error) { theirs.Values, err = loadTogether(details); return err })
	ours.Values, ours.Err = s.loadConfigs(composetypes.ConfigFile{Filename: s.path, Config: maps.Clone(s.plain)})
	return ours, theirs
}
