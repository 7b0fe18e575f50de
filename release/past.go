package release

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/manifests"
)

// mostCommits bounds how far back the history is searched.
const mostCommits = 5000

// past gives the files as they were when a node of From got a release: at the first commit of the
// branch that has it; nil where that is not in the history. The node can still have it: then
// From has changed other files since.
func (p *promoter) past(ctx context.Context, from *side, release string) (*side, error) {
	if release == "" {
		return nil, nil
	}
	commit, err := p.tree.Repo.CommitObject(plumbing.NewHash(p.at.commit))
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", p.at.commit, err)
	}
	ends, err := p.tree.Repo.Storer.Shallow()
	if err != nil {
		return nil, fmt.Errorf("read the end of the clone's history: %w", err)
	}
	var found *object.Commit
	judged := map[plumbing.Hash]bool{} // by the folder of the environment
	for range mostCommits {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		tree, err := commit.Tree()
		if err != nil {
			return nil, fmt.Errorf("read commit %s: %w", commit.Hash, err)
		}
		entry, err := tree.FindEntry(p.at.prefix + "environments/" + from.node.Environment)
		if err != nil {
			break // the environment is younger
		}
		has, known := judged[entry.Hash]
		if !known {
			has = snapshot{p.at.store, p.at.prefix, commit.Hash.String()}.release(from.files.variables) == release
			judged[entry.Hash] = has
		}
		switch {
		case has:
			found = commit
		case found != nil:
			return p.at.sideAt(found)
		}
		if commit.NumParents() == 0 || slices.Contains(ends, commit.Hash) {
			break
		}
		if commit, err = commit.Parent(0); err != nil {
			break
		}
	}
	if found == nil {
		return nil, nil
	}
	return p.at.sideAt(found)
}

// sideAt gives the files of an earlier commit.
func (s snapshot) sideAt(commit *object.Commit) (*side, error) {
	s.commit = commit.Hash.String()
	top, _, err := s.open()
	return &side{fsys: top}, err
}

// release gives the release that files of variables set; "" for none.
func (s snapshot) release(variables []string) string {
	top, _, err := s.open()
	if err != nil {
		return ""
	}
	known := map[string]manifests.Variable{}
	for _, file := range variables {
		content := (&side{fsys: top}).content(file)
		for name, v := range manifests.Assignments(file, []byte(content), known) {
			known[name] = v
		}
	}
	return known[tagVariable].Value
}
