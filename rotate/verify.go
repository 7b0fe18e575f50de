package rotate

import (
	"context"
	"fmt"
	"slices"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
)

// verify renders the new files as a sync does, and compares: the secret has changed as
// planned, and nothing else has.
func (p *planner) verify(ctx context.Context) error {
	after := proposal.After(p.fsys, p.plan.Files)
	read := map[string][]*loaded{}
	defer func() {
		for _, stacks := range read {
			for _, one := range stacks {
				one.set.Wipe()
			}
		}
	}()
	versions := map[string][]Version{} // that are raised on each node
	for i, one := range slices.Concat(p.nodes, p.rest) {
		name := one.node.Name
		if read[name] == nil {
			stacks, err := load(ctx, after, p.request.Environment, name, p.keys)
			if err != nil {
				return err
			}
			read[name] = stacks
		}
		into := &Node{Versions: versions[name]}
		if i < len(p.nodes) {
			into = &p.plan.Nodes[i]
			versions[name] = append(versions[name], into.Versions...)
		}
		again := slices.IndexFunc(read[name], func(other *loaded) bool { return other.node.Stack == one.node.Stack })
		if err := p.compare(one, read[name][again], into); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) compare(before, after *loaded, node *Node) error {
	raised := map[string]bool{}
	for _, version := range node.Versions {
		raised[version.Variable] = true
	}
	changes := map[string]bool{}
	for _, secret := range before.found {
		changes[secret.Key] = true
	}
	was := map[string]compose.Secret{}
	for _, secret := range before.stack.Secrets {
		was[secret.Key] = secret
	}
	for _, secret := range after.stack.Secrets {
		old, found := was[secret.Key]
		delete(was, secret.Key)
		want := old.Value
		if changes[secret.Key] {
			want = before.group.new
		}
		kept := secret.Spec.Name == old.Spec.Name
		switch {
		case !found, old.Value.Known() && !secret.Value.Equal(want) && (!changes[secret.Key] || !laidOutAnew(secret, before)):
			return p.failed(before, "the secret %s would not have the planned value", secret.Key)
		case kept && changes[secret.Key]:
			return p.failed(before, "the secret %s would keep its name %s", secret.Key, secret.Spec.Name)
		case !kept && !raised[secret.Variable]:
			return p.failed(before, "the secret %s would become %s", old.Spec.Name, secret.Spec.Name)
		case !kept:
			node.Secrets = append(node.Secrets, Object{Key: secret.Key, Variable: secret.Variable, Old: old.Spec.Name, New: secret.Spec.Name})
		}
	}
	if len(was) > 0 || len(before.stack.Services) != len(after.stack.Services) {
		return p.failed(before, "the stack would lose a secret or service")
	}
	return nil
}

// laidOutAnew reports whether SOPS has laid out a whole file in its own way, as it does
// with YAML and JSON. The content was compared when the file was edited.
func laidOutAnew(secret compose.Secret, before *loaded) bool {
	return before.location.Key == "" && !secret.Value.Equal(before.value())
}

func (p *planner) failed(one *loaded, format string, args ...any) error {
	return fault.New(fault.Place{File: one.node.Dir}, "rotate the secret by hand, with sops; nothing was changed",
		"the rotation would have another result than planned: %s", fmt.Sprintf(format, args...))
}
