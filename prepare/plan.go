package prepare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
)

const (
	mainCompose = "docker-compose.yml"
	tagVariable = "TAG"
	tagPrefix   = "TAG_"
)

// planner makes the files of one release.
type planner struct {
	request Request
	fsys    fs.ReadLinkFS
	config  *manifests.Config
	nodes   []string
	bundle  Bundle
	base    func(tag string) Source // gives nil for a release whose bundle cannot be had

	bases map[string]Bundle // by tag; nil for one that cannot be had
	edits *proposal.Edits
	used  []string // files of the bundle
}

// choose finds the nodes of a request.
func choose(config *manifests.Config, request Request) ([]string, error) {
	all := config.Order()
	for _, name := range request.Nodes {
		if !slices.Contains(all, name) {
			return nil, fault.New(fault.Place{}, "name one of its nodes: "+strings.Join(all, ", "), "node %q is not in environment %s", name, request.Release.Environment)
		}
	}
	if len(request.Nodes) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !slices.Contains(request.Nodes, name) }), nil
}

// wanted lists the paths that may be read of a bundle.
func (p *planner) wanted() map[string]bool {
	all := map[string]bool{}
	for _, name := range p.config.Base.ReleaseFiles {
		all[path.Clean(name)] = true
	}
	for _, node := range p.nodes {
		for _, one := range folders(p.config, node, p.request.Stack) {
			for _, name := range one.composeFiles() {
				all[join(one.within, name)] = true
			}
		}
	}
	return all
}

// composeFiles lists the compose files that a release may bring to a folder. Those that
// config.yml does not list are the node's own, but for docker-compose.yml.
func (f folder) composeFiles() []string {
	if len(f.files) == 0 {
		return []string{mainCompose}
	}
	return slices.DeleteFunc(slices.Clone(f.files), func(name string) bool { return !fs.ValidPath(name) })
}

// plan makes the files of all nodes.
func (p *planner) plan(ctx context.Context) ([]proposal.File, error) {
	p.bases, p.edits = map[string]Bundle{}, proposal.NewEdits(p.fsys)
	var faults []error
	for _, node := range p.nodes {
		all := folders(p.config, node, p.request.Stack)
		found := 0
		for _, one := range all {
			n, err := p.folder(ctx, one)
			found += n
			faults = append(faults, err)
		}
		if found == 0 && errors.Join(faults...) == nil {
			faults = append(faults, p.without(node))
		}
	}
	faults = append(faults, p.keep())
	files, err := p.edits.Files()
	return files, errors.Join(append(faults, err)...)
}

// without gives the fault of a node for which the bundle has nothing.
func (p *planner) without(node string) error {
	if p.config.Layered(node) && p.request.Stack == "" {
		return fault.New(fault.Place{}, "name the stack that the release belongs to with --stack", "the bundle has no compose file for a stack of node %s", node)
	}
	return fault.New(fault.Place{}, "check the bundle: tar -tzf", "the bundle has no compose file for node %s: it needs one of %s", node, strings.Join(slices.Sorted(maps.Keys(p.wanted())), ", "))
}

// folder plans one folder of a node, and gives the number of files that the bundle has for it.
func (p *planner) folder(ctx context.Context, of folder) (found int, err error) {
	// What is wrong with the node before does not matter here: the result is checked.
	node, _ := manifests.InspectStack(p.fsys, p.request.Release.Environment, of.node, of.stack)
	if node == nil {
		_, err := manifests.LoadStack(p.fsys, p.request.Release.Environment, of.node, of.stack)
		return 0, err
	}
	tag := node.Variables[tagVariable].Value
	var faults []error
	for _, name := range of.composeFiles() {
		if _, brought := p.bundle[join(of.within, name)]; brought {
			found++
			faults = append(faults, p.bring(ctx, join(of.dir, name), join(of.within, name), tag))
		}
	}
	for _, name := range p.config.Base.ReleaseFiles {
		if _, brought := p.bundle[path.Clean(name)]; !brought {
			faults = append(faults, fault.New(p.config.Place("base.release_files"), "remove it from base.release_files of config.yml, or ask for a complete release", "the bundle does not have %s", name))
			continue
		}
		faults = append(faults, p.bring(ctx, join(of.dir, name), path.Clean(name), tag))
	}
	if found > 0 {
		faults = append(faults, p.settings(node))
	}
	return found, errors.Join(faults...)
}

// bring plans one file of the bundle, joined with what the node has changed in it.
func (p *planner) bring(ctx context.Context, file, name, tag string) error {
	theirs := p.bundle[name]
	p.used = append(p.used, name)
	if p.edits.Has(file) {
		return nil // nodes share the file
	}
	return p.edits.Change(file, func(ours []byte) ([]byte, error) {
		if ours == nil || bytes.Equal(ours, theirs) {
			return theirs, nil
		}
		base, known, err := p.earlier(ctx, tag, name)
		switch {
		case err != nil:
			return nil, err
		case !known && p.request.Replace, known && bytes.Equal(ours, base):
			return theirs, nil
		case !known:
			return nil, fault.New(fault.Place{File: file}, "name the bundle of that release with --base-bundle, or add --replace: the merge request shows what is lost",
				"it is not known what the node has changed in the file since its release %q", tag)
		}
		return merge(file, version{"the node", ours}, version{"release " + tag, base}, version{"release " + p.request.Release.Tag, theirs})
	})
}

// earlier gives a file as the bundle of an earlier release has it: from the repository, else from
// that bundle.
func (p *planner) earlier(ctx context.Context, tag, name string) (content []byte, known bool, err error) {
	if dayOf(tag) == "" {
		return nil, false, nil
	}
	content, err = fs.ReadFile(p.fsys, join(keptFolder(tag), name))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return content, err == nil, err
	}
	bundle, asked := p.bases[tag]
	if source := p.base(tag); !asked && source != nil {
		wanted := p.wanted()
		bundle, err = source.open(ctx, func(name string) bool { return wanted[name] })
		if err != nil {
			return nil, false, fault.WithHint(fmt.Errorf("read the bundle of the node's release %s: %w", tag, err),
				"name its file with --base-bundle, or add --replace: the merge request shows what is lost")
		}
		p.bases[tag] = bundle
	}
	content, known = bundle[name]
	return content, known, nil
}

// keep plans the copies of the bundle's files, from which the next release is merged.
func (p *planner) keep() error {
	slices.Sort(p.used)
	for _, name := range slices.Compact(p.used) {
		file := join(keptFolder(p.request.Release.Tag), name)
		err := p.edits.Change(file, func(kept []byte) ([]byte, error) {
			if kept != nil && !bytes.Equal(kept, p.bundle[name]) {
				return nil, fault.New(fault.Place{File: file}, "find out who pushed the tag again; if the new one is right, remove the folder "+keptFolder(p.request.Release.Tag),
					"the release %s has other content than when it was prepared first", p.request.Release.Tag)
			}
			return p.bundle[name], nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// settings plans the variables of a node: those of the release, without TAG_ variables.
func (p *planner) settings(node *manifests.Node) error {
	home := join(node.Home, "node.env")
	for _, file := range node.VariableFiles {
		home = file // the last one takes precedence
		if _, err := fs.Stat(p.fsys, file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := p.edits.Change(file, func(content []byte) ([]byte, error) {
			out, _, err := manifests.CommentOut(file, content, p.drops)
			return out, err
		}); err != nil {
			return err
		}
	}
	release := p.request.Release
	into := settingFile(node, tagVariable, home)
	for _, one := range []struct{ name, value string }{
		{tagVariable, release.Tag},
		{node.Config.Deployment.MigrationCheck.ExpectedVariable, release.Migration},
		{"TASK_ID", release.Task},
		{"RELEASE_VERSION", release.Version},
	} {
		if one.value == "" {
			continue
		}
		file := settingFile(node, one.name, into)
		if err := p.edits.Change(file, func(content []byte) ([]byte, error) {
			return manifests.SetVariable(file, content, one.name, one.value)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) drops(name string) bool {
	return strings.HasPrefix(name, tagPrefix) && !slices.Contains(p.request.Keep, name)
}

// settingFile gives the file of a node that sets a variable, or the default one.
func settingFile(node *manifests.Node, name, standard string) string {
	if file := node.Variables[name].Place.File; slices.Contains(node.VariableFiles, file) {
		return file
	}
	return standard
}
