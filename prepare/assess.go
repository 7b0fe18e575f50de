package prepare

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
)

// assessed is the result of a release: the files before and after it.
type assessed struct {
	request       Request
	config        *manifests.Config
	before, after fs.ReadLinkFS
	files         []proposal.File
}

// assess finds what people have to know of a release: from its files alone, so that a run that
// finishes an earlier one finds the same.
func assess(of assessed) (*Plan, error) {
	nodes, err := choose(of.config, of.request)
	if err != nil {
		return nil, err
	}
	plan := NewPlan(of.request.Release)
	plan.Image, plan.Files = Image(of.config, of.request.Release.Tag), of.files
	checked, _ := desired.CheckConfig(of.after, of.request.Release.Environment)
	plan.Problems = checked.Problems
	for _, name := range nodes {
		node, problems := of.node(name)
		plan.Nodes = append(plan.Nodes, node)
		plan.Problems = append(plan.Problems, problems...)
		plan.note(of, name)
		plan.beside(of, name)
	}
	plan.unkept(of, nodes)
	plan.Notes = unique(plan.Notes)
	scanned := desired.Scan(of.after, of.request.Release.Environment, "")
	plan.Problems = unique(append(plan.Problems, scanned.Problems...))
	plan.Text = plan.describe()
	return plan, nil
}

// node gives what changes on a node, and what `agent check` finds in the result.
func (of assessed) node(name string) (Node, []desired.Problem) {
	result := Node{Name: name, Files: []string{}, Images: []string{}}
	var problems []desired.Problem
	for _, one := range folders(of.config, name, of.request.Stack) {
		if was, _ := manifests.InspectStack(of.before, of.request.Release.Environment, name, one.stack); was != nil && result.Before == "" {
			result.Before = was.Variables[tagVariable].Value
		}
		node, _ := manifests.InspectStack(of.after, of.request.Release.Environment, name, one.stack)
		if node == nil {
			continue // a problem, which the check finds
		}
		result.read(of, node)
		stack, _ := desired.Inspect(node) // what is wrong, the check finds
		result.Unset = append(result.Unset, stack.Unset...)
		result.Images = append(result.Images, imagesOf(stack)...)
	}
	for _, checked := range desired.Check(of.after, of.request.Release.Environment, name, desired.Judged{}) {
		problems = append(problems, checked.Problems...)
	}
	result.Unset = slices.Compact(slices.Sorted(slices.Values(result.Unset)))
	result.Images = slices.Compact(slices.Sorted(slices.Values(result.Images)))
	result.Files = slices.Compact(slices.Sorted(slices.Values(result.Files)))
	return result, problems
}

// read adds the files of a node that change, and the TAG_ variables that they no longer set.
func (n *Node) read(of assessed, node *manifests.Node) {
	for _, file := range of.files {
		settings := slices.Contains(node.VariableFiles, file.Path)
		if !settings && !slices.Contains(node.ComposeFiles, file.Path) && !strings.HasPrefix(file.Path, node.Dir+"/") || slices.Contains(n.Files, file.Path) {
			continue
		}
		n.Files = append(n.Files, file.Path)
		if !settings {
			continue
		}
		stays := manifests.Assignments(file.Path, file.After, nil)
		_, gone, err := manifests.CommentOut(file.Path, file.Before, func(name string) bool {
			_, set := stays[name]
			return strings.HasPrefix(name, tagPrefix) && !set
		})
		if err != nil {
			continue // the plan would have failed
		}
		for _, one := range gone {
			n.Dropped = append(n.Dropped, Dropped{one.Name, one.Place.File, one.Place.Line, one.Text})
		}
	}
}

func imagesOf(stack *compose.Stack) (images []string) {
	for _, service := range stack.Services {
		if container := service.TaskTemplate.ContainerSpec; container != nil {
			images = append(images, container.Image)
		}
	}
	return images
}

// beside adds where the release changes lines next to those that the node has changed: git would call
// that a conflict.
func (p *Plan) beside(of assessed, node string) {
	for _, one := range folders(of.config, node, of.request.Stack) {
		names := map[string]string{} // in the bundle, by the file
		for _, name := range one.composeFiles() {
			names[join(one.dir, name)] = join(one.within, name)
		}
		for _, name := range of.config.Base.ReleaseFiles {
			names[join(one.dir, name)] = path.Clean(name)
		}
		for _, file := range of.files {
			theirs, err := fs.ReadFile(of.after, join(keptFolder(p.Tag), names[file.Path]))
			if names[file.Path] == "" || err != nil || file.Before == nil {
				continue
			}
			for _, line := range proposal.Beside(string(file.After), string(file.Before), string(theirs)) {
				p.Notes = append(p.Notes, fmt.Sprintf("%s:%d: the release changes a line next to one that the node has changed: check that they fit", file.Path, line))
			}
		}
	}
}

// note adds what the release leaves as it was.
func (p *Plan) note(of assessed, name string) {
	node, _ := manifests.Inspect(of.after, of.request.Release.Environment, name)
	if node == nil || !node.Config.Deployment.MigrationCheck.Enabled || of.request.Release.Migration != "" {
		return
	}
	variable := node.Config.Deployment.MigrationCheck.ExpectedVariable
	if set, there := node.Variables[variable]; there {
		p.Notes = append(p.Notes, fmt.Sprintf("%s keeps %s=%s: --migration was not given", name, variable, set.Value))
	}
}

// unkept adds the variables to keep that no node sets: a mistyped name ends the one that was meant.
func (p *Plan) unkept(of assessed, nodes []string) {
	set := map[string]bool{}
	for _, name := range nodes {
		for _, one := range folders(of.config, name, of.request.Stack) {
			node, _ := manifests.InspectStack(of.before, of.request.Release.Environment, name, one.stack)
			if node == nil {
				continue
			}
			for variable := range node.Variables {
				set[variable] = true
			}
		}
	}
	for _, name := range of.request.Keep {
		if !set[name] {
			p.Notes = append(p.Notes, fmt.Sprintf("no node sets %s, so --keep does not keep it", name))
		}
	}
}

func unique[T comparable](all []T) []T {
	seen := map[T]bool{}
	return slices.DeleteFunc(all, func(one T) bool {
		before := seen[one]
		seen[one] = true
		return before
	})
}

// Image gives the name of a release's image.
func Image(config *manifests.Config, tag string) string {
	return strings.TrimSuffix(config.Base.Registry, "/") + ":" + tag
}
