package rotate

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"coin.internal/coin-agent/proposal"
)

// The last lines of a rotation's commit, which a later run looks for.
const (
	trailerSecret = "Rotated-Secret" // environment and name, as requested
	trailerNodes  = "Rotated-Nodes"
	trailerOnly   = "Rotated-Only"  // the nodes that the request named
	trailerStack  = "Rotated-Stack" // that the request named
	trailerBranch = "Rotation-Branch"
)

// commit commits the plan's files on a new branch.
func (p *Plan) commit(w *proposal.Worktree, request Request) (*proposal.Commit, error) {
	branch := cmp.Or(request.Branch, p.branch(request.Stack))
	made, err := w.Commit(proposal.Draft{Files: p.Files, Branch: branch, Message: p.message(branch, request), Author: request.Author})
	return described(made), err
}

// described adds the text of the merge request.
func described(commit *proposal.Commit) *proposal.Commit {
	if commit != nil {
		commit.Text = commit.Body(trailerSecret) + nextText
	}
	return commit
}

const nextText = "\n\nThe sync of this merge creates the new version in Swarm. The old version stays there for a rollback."

// branch gives the default name of the branch, for a request that names a stack or none.
func (p *Plan) branch(stack string) string {
	version := ""
	for _, node := range p.Nodes {
		for _, one := range node.Versions {
			if one.New == auto && len(node.Secrets) > 0 {
				one.New = node.Secrets[0].New[strings.LastIndex(node.Secrets[0].New, ".")+1:]
			}
			if len(one.New) > len(version) || len(one.New) == len(version) && one.New > version {
				version = one.New
			}
		}
	}
	part := func(text string) string {
		return strings.Trim(regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(text, "-"), "-")
	}
	if stack != "" {
		stack = part(stack) + "-"
	}
	return "rotate/" + part(p.Environment) + "/" + stack + part(p.Secret) + "-" + part(version)
}

// message gives the commit message. A later run finds the commit by the last lines.
func (p *Plan) message(branch string, request Request) string {
	var steps []string
	nodes := map[string][]string{}
	var all []string
	for _, node := range p.Nodes {
		if !slices.Contains(all, node.Name) {
			all = append(all, node.Name)
		}
		var parts []string
		for _, version := range node.Versions {
			step := version.Old + " -> " + version.New
			if version.New == auto {
				step = auto
			}
			parts = append(parts, step)
		}
		step := strings.Join(slices.Compact(parts), ", ")
		if nodes[step] == nil {
			steps = append(steps, step)
		}
		if !slices.Contains(nodes[step], node.Name) {
			nodes[step] = append(nodes[step], node.Name)
		}
	}
	for i, step := range steps {
		steps[i] = names(nodes[step]) + ": " + step
	}
	text := fmt.Sprintf("security: rotate %s of %s (%s)\n\n", p.Secret, p.Environment, strings.Join(steps, "; "))
	for _, node := range p.Nodes {
		for _, object := range node.Secrets {
			text += fmt.Sprintf("- %s: %s -> %s\n", node.Name, object.Old, object.New)
		}
	}
	text += fmt.Sprintf("\n%s: %s/%s\n%s: %s\n", trailerSecret, p.Environment, request.Name, trailerNodes, strings.Join(all, " "))
	if only := slices.Sorted(slices.Values(request.Nodes)); len(only) > 0 {
		text += fmt.Sprintf("%s: %s\n", trailerOnly, strings.Join(slices.Compact(only), " "))
	}
	if request.Stack != "" {
		text += fmt.Sprintf("%s: %s\n", trailerStack, request.Stack)
	}
	return text + fmt.Sprintf("%s: %s\n", trailerBranch, branch)
}
