package release

import (
	"errors"
	"io/fs"
	"slices"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/proposal"
)

// Refused gives an error for each lacking setting that looks like a secret: no answer may bring its
// value to git in plaintext.
func (p *PromotionPlan) Refused() error {
	var all []error
	for _, one := range p.Lacking {
		if one.secret {
			all = append(all, one.refuse())
		}
	}
	return errors.Join(all...)
}

// refuse says what to do with a secret in the place of a plaintext setting.
func (l Lacking) refuse() error {
	return fault.New(fault.Place{File: l.File}, "add it to secrets.enc with sops, and use it as a secret in the compose file; then run the command with --leave "+l.Name+
		"; if it is not a secret, add it to "+l.File+" by hand, with `not-a-secret` in a comment on the line before",
		"%s looks like a secret: a promotion does not write it in plaintext (%s sets it)", l.Name, l.Of)
}

// CheckSecrets refuses the commit of an earlier run that brings a secret in plaintext: git keeps what
// is pushed.
func (p Promotion) CheckSecrets(tree *worktree.Worktree, commit *proposal.Commit) error {
	after, _, err := snapshotOf(tree, commit.Hash).open()
	if err != nil {
		return err
	}
	var back []proposal.File
	for _, file := range commit.Files {
		back = append(back, proposal.File{Path: file.Path, Before: file.After, After: file.Before})
	}
	_, err = scan(proposal.After(after, back), after, p.To, commit.Files)
	return err
}

// scan searches the environment for secrets in plaintext. Those that the files bring are an error.
func scan(before, after fs.FS, environment string, files []proposal.File) (desired.Checked, error) {
	found := desired.Scan(after, environment, "")
	var brought []error
	for _, one := range found.Without([]desired.Checked{desired.Scan(before, environment, "")}).Problems {
		if slices.ContainsFunc(files, func(file proposal.File) bool { return file.Path == one.Place.File }) {
			brought = append(brought, fault.New(one.Place, one.Hint, "%s", one.Message))
		}
	}
	return found, errors.Join(brought...)
}

// problems adds what a check has found.
func (p *PromotionPlan) problems(checked desired.Checked) {
	for _, problem := range checked.Sorted().Problems {
		text := problem.Message
		if place := problem.Place.String(); place != "" {
			text = place + ": " + text
		}
		p.Problems = append(p.Problems, text)
	}
}
