package prepare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/readiness"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
)

// The last lines of a release's commit, which a later run looks for.
const (
	trailerRelease  = "Release-Prepared" // environment and tag
	trailerSettings = "Release-Settings"
	trailerNodes    = "Release-Nodes" // that the request named
	trailerBranch   = "Release-Branch"
)

// Tools are what a preparation uses besides the working copy.
type Tools struct {
	Bundle Source
	// Base gives the bundle of an earlier release, or nil if it cannot be had.
	Base func(tag string) Source
	// Probes asks the registry for images, and their scanner. Nil: neither is asked.
	Probes *readiness.Probes
	// Older asks whether the older of two releases shall follow the newer one.
	Older func(tag, present string) (bool, error)
}

// Result is the result of a preparation.
type Result struct {
	Plan   *Plan
	Commit *proposal.Commit // nil for a dry run, and if there is nothing to change
}

// Run prepares a release in a working copy: plan, files, commit. If an earlier run has committed
// the same release and was interrupted, Run finishes that one.
func Run(ctx context.Context, w *proposal.Worktree, tools Tools, request Request) (*Result, error) {
	if err := request.Release.Check(); err != nil {
		return nil, err
	}
	request.Branch = cmp.Or(request.Branch, "release/"+request.Release.Environment+"/"+request.Release.Tag)
	files, err := w.Files()
	if err != nil {
		return nil, err
	}
	if !request.DryRun {
		commit, err := takeUp(w, request)
		if err != nil {
			return nil, err
		}
		if commit != nil {
			return taken(files, commit, request)
		}
	}
	if err := w.Clean(ctx, "environments", "releases", "templates"); err != nil {
		return nil, err
	}
	plan, err := makePlan(ctx, files, tools, request)
	if err != nil || len(plan.Files) == 0 || request.DryRun {
		return &Result{Plan: plan}, err
	}
	commit, err := w.Commit(proposal.Draft{Files: plan.Files, Branch: request.Branch, Message: plan.message(request), Author: request.Author})
	if err != nil {
		return nil, err
	}
	return &Result{Plan: plan, Commit: plan.described(commit)}, nil
}

// makePlan makes and judges the files. It writes nothing.
func makePlan(ctx context.Context, files fs.ReadLinkFS, tools Tools, request Request) (*Plan, error) {
	config, err := manifests.LoadConfig(files, request.Release.Environment)
	if err != nil {
		return nil, err
	}
	nodes, err := choose(config, request)
	if err != nil {
		return nil, err
	}
	if config.Base.Registry == "" {
		return nil, fault.New(config.Place("base"), "set base.registry to the image repository of the releases", "config.yml does not say where the releases are")
	}
	p := &planner{request: request, fsys: files, config: config, nodes: nodes, base: tools.Base}
	if err := p.confirm(tools.Older); err != nil {
		return nil, err
	}
	release := []string{Image(config, request.Release.Tag)}
	if _, err := ask(ctx, tools.Probes, config, release); err != nil {
		return nil, err
	}
	wanted := p.wanted()
	if p.bundle, err = tools.Bundle.open(ctx, func(name string) bool { return wanted[name] }); err != nil {
		return nil, err
	}
	changed, err := p.plan(ctx)
	if err != nil {
		return nil, err
	}
	of := assessed{request: request, config: config, before: files, after: proposal.After(files, changed), files: changed}
	plan, err := assess(of)
	if err != nil || len(plan.Problems) > 0 { // with a problem the images are not known
		return plan, err
	}
	for _, node := range plan.Nodes {
		release = append(release, node.Images...)
	}
	if plan.Asked, err = ask(ctx, tools.Probes, config, release); err != nil {
		return nil, err
	}
	plan.Text = plan.describe()
	return plan, nil
}

// confirm asks before a release follows a newer one.
func (p *planner) confirm(older func(tag, present string) (bool, error)) error {
	for _, name := range p.nodes {
		for _, one := range folders(p.config, name, p.request.Stack) {
			node, _ := manifests.InspectStack(p.fsys, p.request.Release.Environment, name, one.stack)
			if node == nil || !olderThan(p.request.Release.Tag, node.Variables[tagVariable].Value) {
				continue
			}
			present := node.Variables[tagVariable].Value
			agreed, err := older(p.request.Release.Tag, present)
			if err == nil && !agreed {
				err = fault.New(node.Variables[tagVariable].Place, "add --yes if that is meant; to undo a release, run: agent rollback", "%s is older than the present release %s of %s", p.request.Release.Tag, present, name)
			}
			return err
		}
	}
	return nil
}

// ask asks the registry for images, and their scanner as the release gate does.
func ask(ctx context.Context, probes *readiness.Probes, config *manifests.Config, images []string) ([]string, error) {
	if probes == nil {
		return nil, nil
	}
	asked := *probes
	asked.Images = slices.Compact(slices.Sorted(slices.Values(images)))
	verdict := &readiness.Verdict{}
	asked.Pushed(ctx, verdict)
	if gate := config.ReleaseGates().Vulnerabilities; gate.Asked {
		asked.Vulnerabilities(ctx, verdict, gate)
	}
	return append(verdict.Passed, verdict.Warnings...), errors.Join(append(verdict.Refusals, verdict.Transient...)...)
}

// takeUp finds the same release of an earlier run. It gives nil if there is none.
func takeUp(w *proposal.Worktree, request Request) (*proposal.Commit, error) {
	commit, err := w.TakeUp(proposal.Wanted{
		What: "release " + request.Release.Tag + " of " + request.Release.Environment,
		Matches: func(message, branch string) bool {
			trailers := proposal.Trailers(message)
			return trailers[trailerRelease] == request.Release.Environment+"/"+request.Release.Tag && trailers[trailerBranch] == branch && request.Branch == branch
		},
	})
	if commit == nil || err != nil {
		return nil, err
	}
	trailers := commit.Trailers()
	if trailers[trailerSettings] != request.settings() || trailers[trailerNodes] != request.named() {
		return nil, fault.New(fault.Place{}, "to prepare it anew, check out the branch to start from and run: git branch -D "+commit.Branch,
			"the branch %s has the release for other nodes, or with another version, task or migration, or keeps other TAG_ variables", commit.Branch)
	}
	return commit, nil
}

// taken describes the release of an earlier run.
func taken(files fs.ReadLinkFS, commit *proposal.Commit, request Request) (*Result, error) {
	config, err := manifests.LoadConfig(files, request.Release.Environment)
	if err != nil {
		return nil, err
	}
	plan, err := assess(assessed{request: request, config: config, before: undone(files, commit.Files), after: files, files: commit.Files})
	if err != nil {
		return nil, err
	}
	return &Result{Plan: plan, Commit: plan.described(commit)}, nil
}

// undone gives the files without a change. A new file stays, without a content.
func undone(files fs.ReadLinkFS, changed []proposal.File) fs.ReadLinkFS {
	before := slices.Clone(changed)
	for i := range before {
		before[i].After = before[i].Before
	}
	return proposal.After(files, before)
}

func (p *Plan) described(commit *proposal.Commit) *proposal.Commit {
	commit.Title, commit.Text = p.Title(), p.Text
	return commit
}

func (r Request) settings() string {
	text := fmt.Sprintf("version=%s task=%s migration=%s stack=%s", r.Release.Version, r.Release.Task, r.Release.Migration, r.Stack)
	if len(r.Keep) > 0 {
		text += " keep=" + strings.Join(slices.Compact(slices.Sorted(slices.Values(r.Keep))), ",")
	}
	return text
}

// named gives the nodes that the request names.
func (r Request) named() string {
	if len(r.Nodes) == 0 {
		return "all"
	}
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(r.Nodes))), " ")
}

// message gives the commit message. A later run finds the commit by the last lines.
func (p *Plan) message(request Request) string {
	text := "release: " + p.Environment + " to " + p.shown() + "\n\n"
	for _, node := range p.Nodes {
		text += fmt.Sprintf("- %s: %s -> %s\n", node.Name, cmp.Or(node.Before, "none"), p.Tag)
	}
	for _, node := range p.Nodes {
		for _, one := range node.Dropped {
			text += fmt.Sprintf("- %s no longer sets %s\n", node.Name, one.Name)
		}
	}
	return text + fmt.Sprintf("\n%s: %s/%s\n%s: %s\n%s: %s\n%s: %s\n", trailerRelease, p.Environment, p.Tag,
		trailerSettings, request.settings(), trailerNodes, request.named(), trailerBranch, request.Branch)
}
