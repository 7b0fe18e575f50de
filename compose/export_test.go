package compose

import (
	"io/fs"

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
