package compose

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// Place gives where the compose files set a key of the stack, such as services, web, image:
// in the last file that sets it, or else its nearest key above. A stack that was not
// rendered from files has no places.
func (s *Stack) Place(keys ...string) fault.Place {
	place, _ := s.locate(keys)
	return place
}

// WithoutFiles gives the stack without the files that it was rendered from, which take more memory than
// its specs. It has no places.
func (s *Stack) WithoutFiles() *Stack {
	if s == nil {
		return nil
	}
	kept := *s
	kept.merged, kept.files = nil, nil
	return &kept
}

// ItemPlace gives where the compose files name one of the texts in the list or mapping at
// the keys: the item's place, or else that of the keys. A text is a part of an item: of
// "8080:80" it is 8080 or 80, of a mapping one of its values.
func (s *Stack) ItemPlace(texts []string, keys ...string) fault.Place {
	if s.files == nil {
		return fault.Place{}
	}
	for _, file := range slices.Backward(s.files.main) {
		for _, text := range texts {
			if place, depth, _ := file.find(append(slices.Clip(keys), text)); depth > len(keys) {
				return place
			}
		}
		place, depth, value := file.find(keys)
		if depth < len(keys) {
			continue
		}
		for _, item := range items(value) {
			if file.names(item, texts) {
				return fault.Place{File: place.File, Line: item.Line}
			}
		}
	}
	return s.Place(keys...)
}

// Key gives the key under which the compose files define a network, volume, secret or
// config by its name in the engine; "" if they define none.
func (s *Stack) Key(section, name string) string {
	named := map[string]string{}
	if s.merged == nil {
		return ""
	}
	add := func(key, own string) {
		if own == "" {
			own = s.Name + "_" + key
		}
		named[own] = key
	}
	switch section {
	case "networks":
		for key, one := range s.merged.Networks {
			add(key, one.Name)
		}
	case "volumes":
		for key, one := range s.merged.Volumes {
			add(key, one.Name)
		}
	case "secrets":
		for key, one := range s.merged.Secrets {
			add(key, one.Name)
		}
	case "configs":
		for key, one := range s.merged.Configs {
			add(key, one.Name)
		}
	}
	return named[name]
}

// Sources gives where the variables are set that the text at a place mentions, sorted by
// their names.
func (s *Stack) Sources(keys ...string) (names []string, places []fault.Place) {
	_, value := s.locate(keys)
	if value = deref(value); value == nil || value.Kind != yaml.ScalarNode {
		return nil, nil
	}
	for _, name := range variablesIn(value.Value) {
		if variable, set := s.files.node.Variables[name]; set && variable.Place.Line > 0 {
			names, places = append(names, name), append(places, variable.Place)
		}
	}
	return names, places
}

// locate finds the keys in the last file that has most of them, and the value there if it
// has all.
func (s *Stack) locate(keys []string) (best fault.Place, value *yaml.Node) {
	if s.files == nil {
		return best, nil
	}
	depth := 0
	best.File = s.files.node.Dir
	for _, file := range slices.Backward(s.files.main) {
		if place, found, below := file.find(keys); found > depth {
			best, depth, value = place, found, below
		}
	}
	if depth < len(keys) {
		value = nil
	}
	return best, value
}

// names reports whether an item of a list names one of the texts, after its variables are
// replaced.
func (s *source) names(item *yaml.Node, texts []string) bool {
	found := false
	item = deref(item)
	walkScalars(item, func(node *yaml.Node) {
		text, err := Substitute(node.Value, s.variables.lookup)
		if err != nil {
			return
		}
		parts := []string{text}
		if item.Kind == yaml.ScalarNode {
			parts = append(parts, strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == '=' })...)
		}
		for _, part := range parts {
			found = found || slices.ContainsFunc(texts, func(want string) bool { return part == want || path.Clean(part) == want })
		}
	})
	return found
}
