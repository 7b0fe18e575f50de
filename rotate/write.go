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
	edits := map[string]secrets.Edits{one.location.File: {Key: one.location.Key, Value: one.group.new}}
	for _, variable := range one.variables() {
		version, err := one.raise(variable, p.request.past)
		if err != nil {
			return err
		}
		node.Versions = append(node.Versions, version)
		if version.File == "" { // auto
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

// edit adds an edited file to the plan. A file of settings may be new.
func (p *planner) edit(name string, edits secrets.Edits) error {
	before, err := proposal.Read(p.fsys, name)
	after, plain := before, len(edits.Versions) > 0 && path.Ext(name) == ".env"
	if plain && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	switch {
	case err != nil:
	case plain:
		for _, version := range slices.Sorted(maps.Keys(edits.Versions)) {
			if err == nil {
				after, err = manifests.SetVersion(name, after, version, edits.Versions[version])
			}
		}
	default:
		after, err = p.keys.Edit(secrets.File{Path: name, Data: before}, edits)
	}
	p.plan.Files = append(p.plan.Files, proposal.File{Path: name, Before: before, After: after})
	return err
}
