package release

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/proposal"
)

// mostCommits bounds how far back the history is searched.
const mostCommits = 5000

// past gives the files that a node of To has of a release: those of the last promotion of it, by
// the trailers of its commit. Without such a commit they are those of the first commit of the
// branch in which a node of From has the release; nil where that is not in the history. The node
// can still have it: then From has changed other files since.
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
		if moved := p.moved(commit, release); moved != nil {
			return p.at.sideAt(moved)
		}
		folder, err := p.folder(commit)
		if err != nil {
			break // the environment is younger
		}
		has, known := judged[folder]
		if !known {
			has = snapshot{p.at.store, p.at.prefix, commit.Hash.String()}.release(from.files.variables) == release
			judged[folder] = has
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

// folder gives the hash of the folder of From in a commit.
func (p *promoter) folder(commit *object.Commit) (plumbing.Hash, error) {
	tree, err := commit.Tree()
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read commit %s: %w", commit.Hash, err)
	}
	entry, err := tree.FindEntry(p.at.prefix + "environments/" + p.asked.From)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("find the environment in commit %s: %w", commit.Hash, err)
	}
	return entry.Hash, nil
}

// moved gives the commit whose files a commit, or a merge of it, has promoted; nil if it is not a
// promotion of the release.
func (p *promoter) moved(commit *object.Commit, release string) *object.Commit {
	for _, message := range messagesOf(commit) {
		trailers := proposal.Trailers(message)
		if trailers[trailerPromoted] != p.asked.From+" "+p.asked.To+" "+release {
			continue
		}
		if of, err := p.tree.Repo.CommitObject(plumbing.NewHash(trailers[trailerOf])); err == nil {
			return of
		}
	}
	return nil
}

// messagesOf gives the message of a commit, and that of the commit that it merges.
func messagesOf(commit *object.Commit) []string {
	messages := []string{commit.Message}
	if second, err := commit.Parent(1); err == nil {
		messages = append(messages, second.Message)
	}
	return messages
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
	return releaseIn(top, variables)
}

// releaseIn gives the release that files of variables set in a folder; "" for none.
func releaseIn(top fs.FS, variables []string) string {
	known := map[string]manifests.Variable{}
	for _, file := range variables {
		content := (&side{fsys: top}).content(file)
		maps.Copy(known, manifests.Assignments(file, []byte(content), known))
	}
	return known[tagVariable].Value
}
