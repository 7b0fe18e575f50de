package compose

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// guess stands for the value of an unset variable while other faults are looked for: it is
// valid in most places.
const guess = "1"

// maxLeftOut is the maximum number of faults that are left out of the files of a node.
const maxLeftOut = 100

// checking collects all faults of a node's files. It leaves out what a library refuses, so
// that the next fault appears. A nil checking stops at the first stage with a fault.
type checking struct {
	files   *files
	partial bool // a file could not be read, so what it defines is not known
	leftOut int
	faults  []error
	keys    map[*fault.Error]bool // the faults of the libraries; true for those that no value of a variable can avoid
}

// Inspect renders a node without keys and gives all faults of its files, joined and in
// order, and what can be rendered: the stack is for finding more faults, never for
// applying it. Without known variables, an unset one is not a fault.
func Inspect(node *manifests.Node, set *secrets.Set, known bool) (*Stack, error) {
	check := &checking{keys: map[*fault.Error]bool{}}
	stack, err := render(node, set, Options{AllowSealed: true}, check)
	if err != nil { // a limit: pass has let nothing else through
		return &Stack{}, err
	}
	if check.whole() {
		stack.Mentioned, stack.Unset = check.mentioned(), check.files.missing()
	}
	tainted := check.tainted()
	taints := func(one *fault.Error) bool {
		return tainted[fault.Place{File: one.Place.File, Line: one.Place.Line}]
	}
	stack.Warnings = slices.DeleteFunc(stack.Warnings, taints)
	var faults []*fault.Error
	for _, err := range fault.All(errors.Join(check.faults...)) {
		one, ok := errors.AsType[*fault.Error](err)
		if !ok {
			return stack, err
		}
		if check.keys[one] || !taints(one) {
			faults = append(faults, one)
		}
	}
	if known && !check.files.lenient() {
		faults = append(faults, check.files.unset()...)
	}
	var all []error
	for _, one := range inOrder(faults) {
		all = append(all, one)
	}
	return stack, errors.Join(all...)
}

// pass records an error and gives nil, or gives the error of a nil checking.
func (c *checking) pass(err error) error {
	if c == nil || err == nil {
		return err
	}
	c.faults = append(c.faults, err)
	return nil
}

// read notes the files, and whether all of them could be read.
func (c *checking) read(f *files, whole bool) {
	if c != nil {
		c.files, c.partial = f, !whole
		for _, s := range f.all {
			if !f.lenient() {
				s.variables.guess = guess
			}
		}
	}
}

// whole reports whether all files could be read.
func (c *checking) whole() bool { return c == nil || !c.partial }

// leavesOut records a fault and removes its cause from the documents. It reports false if
// it cannot, or if faults are not collected.
func (c *checking) leavesOut(found blamed, documents ...map[string]any) bool {
	if c == nil || c.leftOut == maxLeftOut {
		return false
	}
	c.leftOut++
	known := func(err error) bool { // what the agent refuses itself, a library may refuse again
		one, ok := errors.AsType[*fault.Error](err)
		_, other := c.keys[one]
		return ok && !other && one.Place == found.err.Place
	}
	if !slices.ContainsFunc(fault.All(errors.Join(c.faults...)), known) {
		c.faults = append(c.faults, found.err)
	}
	c.keys[found.err] = strings.HasSuffix(found.err.Message, " is not a key of Compose") || strings.HasSuffix(found.err.Message, " is not allowed here")
	removed := false
	for _, document := range documents {
		removed = discard(document, found.keys) || removed
	}
	return removed
}

// discard removes a key of a compose file. It leaves an empty resource in the place of a
// whole one, to which others may refer.
func discard(document map[string]any, keys []string) bool {
	if len(keys) == 0 {
		return false
	}
	parent := document
	for _, key := range keys[:len(keys)-1] {
		parent = mapping(parent[key])
	}
	last := keys[len(keys)-1]
	before, there := parent[last]
	stub := map[string]any{}
	switch section := keys[0]; {
	case !there:
		return false
	case len(keys) == 3 && last == "image" && before != guess:
		parent[last] = guess
		return true
	case len(keys) != 2:
		delete(parent, last)
		return true
	case section == "services":
		stub["image"] = guess
	case section == "secrets" || section == "configs":
		stub["external"] = true
	}
	if reflect.DeepEqual(before, stub) {
		return false
	}
	parent[last] = stub
	return true
}

// mentioned gives the variables that the files mention.
func (c *checking) mentioned() map[string]bool {
	all := map[string]bool{}
	for _, s := range c.files.all {
		walkScalars(s.root, func(node *yaml.Node) {
			for _, name := range variablesIn(node.Value) {
				all[name] = true
			}
		})
	}
	return all
}

// tainted gives the lines whose faults can come from an unset variable: those that mention
// it, and those of the keys above them, up to the resource.
func (c *checking) tainted() map[fault.Place]bool {
	all := map[fault.Place]bool{}
	for _, s := range c.files.all {
		var walk func(node *yaml.Node, above []int)
		walk = func(node *yaml.Node, above []int) {
			missing := func(name string) bool { return s.variables.missing[name] }
			if node.Kind == yaml.ScalarNode && slices.ContainsFunc(variablesIn(node.Value), missing) {
				for _, line := range append(slices.Clip(above), node.Line) {
					all[fault.Place{File: s.path, Line: line}] = true
				}
			}
			for i, child := range node.Content {
				switch {
				case node.Kind != yaml.MappingNode:
					walk(child, append(slices.Clip(above), child.Line))
				case i%2 == 1 && node == s.root:
					walk(child, nil)
				case i%2 == 1:
					walk(child, append(slices.Clip(above), node.Content[i-1].Line))
				}
			}
		}
		if !c.files.lenient() {
			walk(s.root, nil)
		}
	}
	return all
}
