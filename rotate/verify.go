package rotate

import (
	"context"
	"fmt"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
)

// verify renders the new files as a sync does, and compares: the secret has changed as
// planned, and nothing else has.
func (p *planner) verify(ctx context.Context) error {
	after := proposal.After(p.fsys, p.plan.Files)
	for i, one := range p.nodes {
		again, err := load(ctx, after, p.request.Environment, one.node.Name, p.keys)
		if err != nil {
			return err
		}
		err = p.compare(one, again, &p.plan.Nodes[i])
		again.set.Wipe()
		if err != nil {
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
