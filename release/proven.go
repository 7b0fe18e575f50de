package release

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// Proof is what a node of From says of the release.
type Proof struct {
	Node   string `json:"node"`
	Commit string `json:"commit,omitempty"` // at which it succeeded
	Lacks  string `json:"lacks,omitempty"`  // why it is no proof; "" for one
}

// Searched is how many commits of a branch are searched for what a node says of them.
const Searched = 200

// fleetReader gives the nodes of an environment with the commits that they are at.
type fleetReader interface {
	Read(ctx context.Context) ([]fleet.Member, error)
}

// Prove compares what each node of From has last succeeded with, by its commit status in GitLab,
// with the files that the promotion moves. A node that succeeded with other files is no proof.
func (p *PromotionPlan) Prove(ctx context.Context, tree *worktree.Worktree, from fleetReader) ([]Proof, error) {
	members, err := from.Read(ctx)
	if err != nil {
		return nil, err
	}
	at := snapshotOf(tree, p.Commit)
	top, _, err := at.open()
	if err != nil {
		return nil, err
	}
	names, err := manifests.Nodes(top, p.From)
	if err != nil {
		return nil, err
	}
	proofs := make([]Proof, 0, len(names))
	for _, name := range names {
		proof := Proof{Node: name, Lacks: "it has no commit status"}
		for _, member := range members {
			if member.Name == name {
				proof.Commit = member.Commit
				proof.Lacks, err = at.proves(tree, p.From, member)
			}
		}
		if err != nil {
			return nil, err
		}
		proofs = append(proofs, proof)
	}
	return proofs, nil
}

// proves gives why a member is no proof of the files of the commit; "" for one.
func (s snapshot) proves(tree *worktree.Worktree, environment string, member fleet.Member) (string, error) {
	if member.State == fleet.Silent {
		return fmt.Sprintf("%s in the last %d commits of the branch", member.Line(), Searched), nil
	}
	if member.State != fleet.Done {
		return member.Line(), nil
	}
	if member.Commit == s.commit {
		return "", nil
	}
	if _, err := tree.Repo.CommitObject(plumbing.NewHash(member.Commit)); err != nil {
		return fmt.Sprintf("it succeeded with commit %s, which this clone does not have: git fetch", record.Short(member.Commit)), nil
	}
	same, err := s.same(environment, member.Name, member.Commit)
	if err != nil {
		return "", err
	}
	if !same {
		return fmt.Sprintf("it succeeded with commit %s, in which its files differ from those of %s", record.Short(member.Commit), record.Short(s.commit)), nil
	}
	return "", nil
}

// Same reports whether a node reads the same in two commits of a clone. If the clone lacks one of
// them, or a file cannot be read, that is an error.
func Same(tree *worktree.Worktree, environment, node string, commits [2]string) (bool, error) {
	return snapshotOf(tree, commits[1]).same(environment, node, commits[0])
}

// same reports whether a node reads the same in another commit.
func (s snapshot) same(environment, node, other string) (bool, error) {
	there, err := gitsync.Read(s.store, gitsync.Revision{Commit: other})
	if err != nil {
		return false, err
	}
	top, _, err := s.open()
	if err != nil {
		return false, err
	}
	config, err := manifests.LoadConfig(top, environment)
	if err != nil {
		return false, err
	}
	for _, stack := range config.StackNames(node) {
		own, err := s.openSide(stackOf{environment, node, stack}, true)
		if err != nil || !there.Same(own.read) {
			return false, err
		}
	}
	return true, nil
}

// Unproven gives an error where a node is no proof.
func Unproven(environment string, proofs []Proof) error {
	list := ""
	for _, proof := range proofs {
		if proof.Lacks != "" {
			list += "\n" + proof.Node + ": " + proof.Lacks
		}
	}
	if list == "" {
		return nil
	}
	return fault.New(fault.Place{}, `wait until it has succeeded on every node of `+environment+`; or add --unproven --reason "why"`,
		"the release is not proven in %s:%s", environment, list)
}
