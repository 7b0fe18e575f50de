package rotate

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
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
	slices.SortFunc(p.plan.Files, func(a, b proposal.File) int { return strings.Compare(a.Path, b.Path) })
	return nil
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

// edit adds an edited file to the plan, or edits one of its files further. A file of settings may
// be new.
func (p *planner) edit(name string, edits secrets.Edits) error {
	plain := len(edits.Versions) > 0 && path.Ext(name) == ".env"
	at := slices.IndexFunc(p.plan.Files, func(f proposal.File) bool { return f.Path == name })
	if at < 0 {
		before, err := proposal.Read(p.fsys, name)
		if err != nil && (!plain || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
		at = len(p.plan.Files)
		p.plan.Files = append(p.plan.Files, proposal.File{Path: name, Before: before, After: before})
	}
	file := &p.plan.Files[at]
	if !plain {
		after, err := p.keys.Edit(secrets.File{Path: name, Data: file.After}, edits)
		file.After = after
		return err
	}
	for _, version := range slices.Sorted(maps.Keys(edits.Versions)) {
		after, err := manifests.SetVersion(name, file.After, version, edits.Versions[version])
		if err != nil {
			return err
		}
		file.After = after
	}
	return nil
}
