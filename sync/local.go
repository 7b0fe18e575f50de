package sync

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/internal/fault"
)

// local is a repository in a directory of this machine, bare or with a worktree. Each use
// opens it again, because other processes write to it.
type local struct {
	dir, name string
}

func (l *local) open(ctx context.Context, doing string) (*git.Repository, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s %s: %w", doing, l.name, err)
	}
	repo, err := git.PlainOpenWithOptions(l.dir, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, &fault.Error{Message: l.name + " is not a git repository", Hint: "check the path", Err: ErrNotFound}
	}
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", l.name, err)
	}
	return repo, nil
}

func (l *local) list(ctx context.Context, _ []string) (map[string]plumbing.Hash, error) {
	repo, err := l.open(ctx, "list refs of")
	if err != nil {
		return nil, err
	}
	found := map[string]plumbing.Hash{}
	refs, err := repo.References()
	if err == nil {
		err = refs.ForEach(func(ref *plumbing.Reference) error {
			if ref.Type() == plumbing.HashReference {
				found[ref.Name().String()] = ref.Hash()
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list refs of %s: %w", l.name, err)
	}
	return found, nil
}

func (l *local) pull(ctx context.Context, need need) (storer.EncodedObjectStorer, error) {
	repo, err := l.open(ctx, "read")
	if err != nil {
		return nil, err
	}
	if !need.have.IsZero() && repo.Storer.HasEncodedObject(need.have) != nil {
		return nil, errUnknownHave
	}
	return repo.Storer, nil
}

// blobs reads the pack index again, because the repository may have been repacked.
func (l *local) blobs(_ context.Context, store storer.EncodedObjectStorer, _ need, _ []plumbing.Hash) error {
	if packed, ok := store.(interface{ Reindex() }); ok {
		packed.Reindex()
	}
	return nil
}
