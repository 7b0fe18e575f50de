package rotate

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"

	"coin.internal/coin-agent/internal/fault"
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
	slices.SortFunc(p.plan.Files, func(a, b File) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	return nil
}

func (p *planner) writeNode(one *loaded) error {
	node := Node{Name: one.node.Name, File: one.location.File, Key: one.location.Key}
	edits := map[string]*secrets.Edits{one.location.File: {}}
	if one.location.Key == "" {
		edits[one.location.File].Content = p.newValue(one)
	} else {
		edits[one.location.File].Values = map[string]secrets.Value{one.location.Key: p.newValue(one)}
	}
	plain := map[string][]Version{}
	for _, variable := range one.variables() {
		version, err := one.raise(variable, p.request.before)
		if err != nil {
			return err
		}
		node.Versions = append(node.Versions, version)
		switch {
		case version.File == "": // auto
		case path.Ext(version.File) == ".env":
			plain[version.File] = append(plain[version.File], version)
		default:
			if edits[version.File] == nil {
				edits[version.File] = &secrets.Edits{}
			}
			edits[version.File].Versions = with(edits[version.File].Versions, variable, version.New)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(edits)) {
		before, err := p.read(name)
		if err != nil {
			return err
		}
		after, err := p.keys.Edit(secrets.File{Path: name, Data: before}, *edits[name])
		if err != nil {
			return err
		}
		p.plan.Files = append(p.plan.Files, File{name, before, after})
	}
	for _, name := range slices.Sorted(maps.Keys(plain)) {
		if err := p.writePlain(name, plain[name]); err != nil {
			return err
		}
	}
	p.plan.Nodes = append(p.plan.Nodes, node)
	return nil
}

func with(all map[string]string, name, value string) map[string]string {
	if all == nil {
		all = map[string]string{}
	}
	all[name] = value
	return all
}

// writePlain sets versions in a file that is not encrypted.
func (p *planner) writePlain(name string, versions []Version) error {
	before, err := p.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		before, err = nil, nil
	}
	after := before
	for _, version := range versions {
		if err == nil {
			after, err = manifests.SetVersion(name, after, version.Variable, version.New)
		}
	}
	if err == nil {
		p.plan.Files = append(p.plan.Files, File{name, before, after})
	}
	return err
}

// read gives a file to be changed; it must stand where its path says.
func (p *planner) read(name string) ([]byte, error) {
	for dir := name; dir != "."; dir = path.Dir(dir) {
		info, err := p.fsys.Lstat(dir)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil, fault.New(fault.Place{File: dir}, "replace the link by a file of its own, or rotate the secret by hand: nodes that share a file change together",
				"%s is a symbolic link, which is not written through", dir)
		}
	}
	content, err := fs.ReadFile(p.fsys, name)
	if err != nil {
		return nil, fault.New(fault.Place{File: name}, "", "read the file to change: %w", err)
	}
	return content, nil
}
