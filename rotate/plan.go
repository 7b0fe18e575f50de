package rotate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/secrets"
)

// planner makes one plan.
type planner struct {
	fsys    fs.ReadLinkFS
	keys    *secrets.Keyring
	request Request

	nodes  []*loaded // that change
	others []*loaded // of the environment, that have the secret and were not named
	rest   []*loaded // other stacks of nodes that change
	groups []*group
	stacks map[string]bool // of the environment, by name
	edited map[string]bool // the parts of files that the plan has edited
	edits  *proposal.Edits
	plan   *Plan
}

// group is the nodes that have the same value now.
type group struct {
	old, new secrets.Value
	nodes    []string
}

// MakePlan decides what a rotation writes into the files of a working copy, and verifies
// it. It writes nothing.
func MakePlan(ctx context.Context, fsys fs.ReadLinkFS, keys *secrets.Keyring, request Request) (*Plan, error) {
	p := &planner{fsys: fsys, keys: keys, request: request, stacks: map[string]bool{}, edits: proposal.NewEdits(fsys), plan: &Plan{Environment: request.Environment}}
	defer p.wipe()
	for _, step := range []func() error{func() error { return p.load(ctx) }, p.decideValues, p.write, func() error { return p.verify(ctx) }} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	p.note()
	return p.plan, nil
}

func (p *planner) wipe() {
	for _, one := range slices.Concat(p.nodes, p.others, p.rest) {
		one.set.Wipe()
	}
	for _, one := range p.groups {
		one.new.Wipe()
	}
}

// load reads the nodes and finds their secrets of the requested name.
func (p *planner) load(ctx context.Context) error {
	if p.keys == nil {
		return fault.New(fault.Place{}, "name key files with --age-key-files or --pgp-key-files (or in the settings)", "the SOPS files cannot be edited without a key")
	}
	all, err := manifests.Nodes(p.fsys, p.request.Environment)
	if err != nil {
		return err
	}
	for _, name := range p.request.Nodes {
		if !slices.Contains(all, name) {
			return fault.New(fault.Place{}, "name one of its nodes: "+names(all), "node %q is not in environment %s", name, p.request.Environment)
		}
	}
	var faults []error
	known := map[string]bool{}
	for _, name := range all {
		asked := len(p.request.Nodes) == 0 || slices.Contains(p.request.Nodes, name)
		faults = append(faults, p.loadNode(ctx, name, asked, known))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if only := p.request.Stack; only != "" && !p.stacks[only] {
		return fault.New(fault.Place{}, "name one of them: "+names(slices.Sorted(maps.Keys(p.stacks))), "no node of %s has a stack %q", p.request.Environment, only)
	}
	if len(p.nodes) == 0 {
		return fault.New(fault.Place{}, "name one of the environment's secrets: "+names(slices.Sorted(maps.Keys(known))),
			"the agent does not create a secret %q on any node of %s", p.request.Name, p.request.Environment)
	}
	p.plan.Secret = p.nodes[0].found[0].Key
	return nil
}

func (p *planner) loadNode(ctx context.Context, name string, asked bool, known map[string]bool) error {
	stacks, err := load(ctx, p.fsys, p.request.Environment, name, p.keys)
	if err != nil && !asked {
		p.noted("%s cannot be read, so it is not known whether it has the same value", name)
		return nil
	}
	if err != nil {
		return err
	}
	var all []compose.Secret
	for _, one := range stacks {
		for _, secret := range one.stack.Secrets {
			known[secret.Key] = true
			all = append(all, secret)
		}
	}
	for _, one := range stacks {
		p.stacks[one.stack.Name] = true
	}
	found, without, err := findAll(stacks, p.request.Name, p.request.Stack)
	switch {
	case len(found) > 0 && err == nil && asked:
		p.nodes, p.rest = append(p.nodes, found...), append(p.rest, without...)
		return nil
	case len(found) > 0 && err == nil:
		p.others = append(p.others, found...)
		return nil
	case asked && err == nil && len(p.request.Nodes) > 0:
		err = fault.New(fault.Place{File: stacks[0].node.Home}, "name one of its secrets: "+names(slices.Compact(keysOf(all))), "the agent does not create a secret %q on node %s", p.request.Name, name)
	}
	for _, one := range stacks {
		one.set.Wipe()
	}
	if !asked {
		return nil
	}
	return err
}

// decideValues gives each group of nodes that share a value a new one.
func (p *planner) decideValues() error {
	for _, one := range p.nodes {
		at := slices.IndexFunc(p.groups, func(g *group) bool { return g.old.Equal(one.value()) })
		if at < 0 {
			at = len(p.groups)
			p.groups = append(p.groups, &group{old: one.value()})
		}
		one.group = p.groups[at]
		if !slices.Contains(one.group.nodes, one.node.Name) {
			one.group.nodes = append(one.group.nodes, one.node.Name)
		}
	}
	if p.request.Value.Known() && len(p.groups) > 1 && len(p.request.Nodes) == 0 {
		return fault.New(fault.Place{}, "name the nodes for this value with --node, or use --generate, which makes a value for each",
			"the nodes have different values now (%s), and one value for all would make them equal", describeGroups(p.groups))
	}
	for _, one := range p.groups {
		if err := p.decideValue(one); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) decideValue(g *group) error {
	var err error
	taken := false
	switch {
	case !p.request.Value.Known():
		g.new, err = p.request.Generate.value()
	case p.request.Raw:
		g.new = secrets.NewValue(slices.Clone(p.request.Value.Reveal()))
	default:
		g.new, taken = p.request.Value.WithoutLineBreak(g.old)
	}
	switch {
	case err != nil:
		return err
	case g.new.Len() == 0:
		return fault.New(fault.Place{}, "check the file that --value-file names", "the new value is empty")
	case g.new.Len() > secrets.MaxSize:
		return fault.New(fault.Place{}, "keep large files out of secrets", "the new value has %d bytes; Swarm takes %d at most", g.new.Len(), secrets.MaxSize)
	case g.new.Equal(g.old):
		return fault.New(fault.Place{}, "choose another value", "the new value is the present value of %s", names(g.nodes))
	}
	switch {
	case taken:
		p.noted("the line break at the end of the value was removed; --raw keeps it")
	case !p.request.Raw && g.new.EndsLine() && g.old.EndsLine():
		p.noted("the line break at the end of the value was kept: the old value ends in one too")
	}
	return nil
}

func describeGroups(groups []*group) string {
	var all []string
	for _, g := range groups {
		all = append(all, names(g.nodes))
	}
	return strings.Join(all, "; ")
}

// noted adds a note for the operator.
func (p *planner) noted(format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf(format, args...))
}

// note adds what the operator should know of the whole plan.
func (p *planner) note() {
	if len(p.groups) > 1 {
		p.noted("the nodes had different values and got different new ones: %s", describeGroups(p.groups))
	}
	if bits := p.request.Generate.bits(); !p.request.Value.Known() && bits < weakBits {
		p.noted("the generated value has only %.0f bits, so it can be found by trying", math.Floor(bits))
	}
	for _, other := range p.others {
		if slices.ContainsFunc(p.groups, func(g *group) bool { return g.old.Equal(other.value()) }) {
			p.noted("%s had the same value and keeps it", other.node.Name)
		}
	}
	for _, one := range p.nodes {
		if len(one.found) > 1 {
			p.noted("on %s the secrets %s have the same place for their value, %s, and all of them change",
				one.node.Name, names(keysOf(one.found)), one.location.File)
		}
	}
	slices.Sort(p.plan.Notes)
	p.plan.Notes = slices.Compact(p.plan.Notes)
}
