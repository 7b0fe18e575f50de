package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/provenance"
	"coin.internal/coin-agent/secrets"
)

// Overdue says which overdue secrets to rotate: those of an environment, with generated values.
type Overdue struct {
	Environment string
	Names       []string // the only ones, by their keys in the compose files or their SV_ names; none: all
	Generate    Generate
	Author      string // as in a Request
	Now         time.Time
}

// Batch is the rotation of several secrets: a commit each, on one branch, which is checked out.
type Batch struct {
	Secrets []string         // that this run rotated
	Skipped []string         // secrets with the reason
	Commit  *proposal.Commit // the last one; nil if there is nothing to publish
}

// Branch gives the branch of an environment's overdue secrets. It is the same for each run, so
// that there is one merge request.
func (o Overdue) Branch() string { return "rotate/" + o.Environment + "/overdue" }

// Run rotates the secrets that are overdue by the history of the working copy. An interrupted
// run is finished by the next one, which finds fewer secrets overdue. A secret that cannot be
// rotated is skipped.
func (o Overdue) Run(ctx context.Context, dir string, keys *secrets.Keyring) (*Batch, error) {
	if err := o.Generate.Check(); err != nil {
		return nil, err
	}
	if err := o.ready(ctx, dir); err != nil {
		return nil, err
	}
	late, err := o.Late(ctx, dir, keys)
	if err != nil {
		return nil, err
	}
	batch := &Batch{Secrets: []string{}}
	for _, name := range late {
		err := o.one(ctx, dir, keys, name)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			batch.Skipped = append(batch.Skipped, fmt.Sprintf("%s: %v", name, err))
		default:
			batch.Secrets = append(batch.Secrets, name)
		}
	}
	batch.Commit, err = o.gather(ctx, dir, batch)
	return batch, err
}

// Late lists the secrets that are overdue by the history of the working copy.
func (o Overdue) Late(ctx context.Context, dir string, keys *secrets.Keyring) (late []string, err error) {
	report, err := provenance.Trace(ctx, provenance.Request{Dir: dir, Environment: o.Environment, Keys: keys, Now: o.Now})
	if err != nil {
		return nil, err
	}
	wanted, err := o.wanted(report)
	if err != nil {
		return nil, err
	}
	for _, same := range report.ByName() {
		overdue := slices.ContainsFunc(same, func(s *provenance.Secret) bool { return s.OverdueDays > 0 && !s.External })
		if name := same[0].Name; overdue && (len(o.Names) == 0 || slices.Contains(wanted, name)) {
			late = append(late, name)
		}
	}
	return late, nil
}

// wanted gives the keys of the named secrets. A name without a secret is an error: its secret
// would never be rotated.
func (o Overdue) wanted(report *provenance.Report) (keys []string, err error) {
	var faults []error
	own := slices.DeleteFunc(slices.Clone(report.Secrets), func(s *provenance.Secret) bool { return s.Removed || s.External })
	for _, name := range o.Names {
		at := slices.IndexFunc(own, func(s *provenance.Secret) bool { return s.Name == name })
		if at < 0 {
			at = slices.IndexFunc(own, func(s *provenance.Secret) bool {
				return s.Variable != "" && (s.Variable == name || s.Variable == "SV_"+name)
			})
		}
		if at < 0 {
			var known []string
			for _, one := range own {
				known = append(known, one.Name)
			}
			slices.Sort(known)
			faults = append(faults, fault.New(fault.Place{}, "name secrets by their keys in the compose files, or their SV_ names: "+names(slices.Compact(known)),
				"the agent does not create a secret %q on any node of %s", name, o.Environment))
			continue
		}
		keys = append(keys, own[at].Name)
	}
	return keys, errors.Join(faults...)
}

// ready checks that the batch's branch does not exist, or that a run is on it or on its way there, and
// finishes the secret at which an earlier run was killed.
func (o Overdue) ready(ctx context.Context, dir string) error {
	w, err := proposal.OpenWorktree(ctx, dir)
	if err != nil {
		return err
	}
	defer w.Close()
	here := w.Branch()
	if w.Has(o.Branch()) && here != o.Branch() && !o.step(here) {
		return fault.New(fault.Place{}, "publish it (git switch "+o.Branch()+", and run the command again), or delete it: git branch -D "+o.Branch(),
			"the branch %s has an earlier rotation of overdue secrets", o.Branch())
	}
	_, err = w.TakeUp(proposal.Wanted{What: "a rotation of an overdue secret", Matches: func(message, branch string) bool {
		return o.step(branch) && branch != here && proposal.Trailers(message)[trailerBranch] == branch
	}})
	return err
}

// step reports whether a branch is that of one secret's commit, before it is part of the batch.
func (o Overdue) step(branch string) bool { return strings.HasPrefix(branch, o.Branch()+"-") }

// errWholeFile is why a secret is not given a generated value: it has a form, such as that of a
// certificate.
var errWholeFile = errors.New("its value is a whole file, which is not generated; rotate it by hand with --value-file")

// one rotates a secret by a commit on the branch of the last one.
func (o Overdue) one(ctx context.Context, dir string, keys *secrets.Keyring, name string) error {
	w, err := proposal.OpenWorktree(ctx, dir)
	if err != nil {
		return err
	}
	defer w.Close()
	request := Request{
		Name: name, Environment: o.Environment, Generate: o.Generate, Author: o.Author,
		past: pastOf(ctx, w.Dir(), o.Environment, keys),
	}
	fsys, err := w.Files()
	if err != nil {
		return err
	}
	plan, err := MakePlan(ctx, fsys, keys, request)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(plan.Nodes, func(n Node) bool { return n.Key == "" }) {
		return errWholeFile
	}
	// A branch of that name may be left of another rotation.
	request.Branch = fmt.Sprintf("%s-%s-%.8s", o.Branch(), strings.TrimPrefix(plan.branch(""), "rotate/"+o.Environment+"/"), w.Head().Hash)
	_, err = plan.commit(w, request)
	return err
}

// gather gives the commits that the runs have made one branch. There is nothing to gather where
// none has made one.
func (o Overdue) gather(ctx context.Context, dir string, batch *Batch) (*proposal.Commit, error) {
	w, err := proposal.OpenWorktree(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	head := w.Head()
	step := o.step(head.Branch)
	if !step && head.Branch != o.Branch() {
		return nil, nil
	}
	if step {
		if err := w.Move(o.Branch()); err != nil {
			return nil, err
		}
		if err := w.Remove(o.Branch() + "-"); err != nil {
			return nil, err
		}
	}
	commit := o.Pushed(head.Hash)
	commit.Taken, commit.Unsigned = len(batch.Secrets) == 0, head.Unsigned
	return commit, nil
}

// Pushed gives the last commit of the batch that an earlier run has made.
func (o Overdue) Pushed(hash string) *proposal.Commit {
	return &proposal.Commit{
		Hash: hash, Branch: o.Branch(), Message: "security: rotate overdue secrets of " + o.Environment, Taken: true,
		Text: "The values are generated. Other users of these secrets need the new values, too.\n\nEach commit rotates one secret." + nextText,
	}
}
