package rotate

import (
	"errors"
	"maps"
	"path"
	"slices"

	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// write makes the new files, in memory.
func (p *planner) write() error {
	var faults []error
	for _, one := range p.nodes {
		faults = append(faults, p.writeNode(one))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	var err error
	p.plan.Files, err = p.edits.Files()
	return err
}

func (p *planner) writeNode(one *loaded) error {
	node := Node{Name: one.node.Name, File: one.location.File, Key: one.location.Key}
	if one.node.Config.Layered(one.node.Name) {
		node.Stack = one.node.Stack
	}
	edits := map[string]secrets.Edits{}
	if p.first(one.location.File, one.location.Key) {
		edits[one.location.File] = secrets.Edits{Key: one.location.Key, Value: one.group.new}
	}
	for _, variable := range one.variables() {
		version, err := one.raise(variable, p.request.past)
		if err != nil {
			return err
		}
		node.Versions = append(node.Versions, version)
		if version.File == "" || !p.first(version.File, variable+" "+version.New) { // auto, or raised for another stack
			continue
		}
		edit := edits[version.File]
		if edit.Versions == nil {
			edit.Versions = map[string]string{}
		}
		edit.Versions[variable] = version.New
		edits[version.File] = edit
	}
	for _, name := range slices.Sorted(maps.Keys(edits)) {
		if err := p.edit(name, edits[name]); err != nil {
			return err
		}
	}
	p.plan.Nodes = append(p.plan.Nodes, node)
	return nil
}

// first reports whether the plan has not edited a part of a file yet: stacks of a node share
// files.
func (p *planner) first(file, part string) bool {
	key := file + "\x00" + part
	again := p.edited[key]
	if p.edited == nil {
		p.edited = map[string]bool{}
	}
	p.edited[key] = true
	return !again
}

// edit edits a file. One of settings may be new.
func (p *planner) edit(name string, edits secrets.Edits) error {
	plain := len(edits.Versions) > 0 && path.Ext(name) == ".env"
	return p.edits.Change(name, func(content []byte) (_ []byte, err error) {
		if !plain {
			return p.keys.Edit(secrets.File{Path: name, Data: content}, edits)
		}
		for _, version := range slices.Sorted(maps.Keys(edits.Versions)) {
			if content, err = manifests.SetVersion(name, content, version, edits.Versions[version]); err != nil {
				return nil, err
			}
		}
		return content, nil
	})
}
