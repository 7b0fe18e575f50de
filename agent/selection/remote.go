package selection

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// source is the followed repository.
type source interface {
	Select(ctx context.Context, rule gitsync.Rule) (gitsync.Revision, error)
	Tags(ctx context.Context, pattern string) ([]gitsync.Tag, error)
	Descends(ctx context.Context, older, newer string) (bool, error)
}

// Remote selects revisions of a repository by a rule. It remembers how commits relate, which
// never changes. It is safe for concurrent use.
type Remote struct {
	source source
	rule   gitsync.Rule

	mu      sync.Mutex
	follows map[[2]string]bool
}

// NewRemote makes a Remote.
func NewRemote(source source, rule gitsync.Rule) *Remote {
	return &Remote{source: source, rule: rule, follows: map[[2]string]bool{}}
}

// Refs is what the remote offers for the rule: the branch, or the tags that match.
type Refs struct {
	Branch gitsync.Revision
	Tags   []gitsync.Tag
}

// List asks the remote once.
func (r *Remote) List(ctx context.Context) (refs Refs, err error) {
	if r.rule.TagPattern == "" {
		refs.Branch, err = r.source.Select(ctx, r.rule)
	} else {
		refs.Tags, err = r.source.Tags(ctx, r.rule.TagPattern)
	}
	return refs, err
}

// Choose gives the revision that a stack follows, and what a user has to know about other
// tags. It asks the remote only for the relation of commits that it does not know.
func (r *Remote) Choose(ctx context.Context, refs Refs, on Record) (revision gitsync.Revision, told []string, err error) {
	if r.rule.TagPattern == "" {
		return refs.Branch, nil, nil
	}
	pattern, err := regexp.Compile(r.rule.TagPattern)
	if err != nil {
		return revision, nil, fmt.Errorf("read tag pattern: %w", err)
	}
	choice, err := Choose(pattern, refs.Tags, on, func(older, newer string) (bool, error) { return r.Descends(ctx, older, newer) })
	if err == nil && choice.Tag.Commit == "" {
		err = fault.New(fault.Place{}, "push a tag on a commit that descends from it, or ask for one: `agent sync --to TAG`", "no tag descends from the commit that runs")
	}
	return choice.Tag.Revision(), choice.Told, err
}

// Now asks the remote and gives the revision that a stack follows.
func (r *Remote) Now(ctx context.Context, on Record) (revision gitsync.Revision, told []string, err error) {
	refs, err := r.List(ctx)
	if err != nil {
		return revision, nil, err
	}
	return r.Choose(ctx, refs, on)
}

// Named gives the revision of a tag that a user asks for. It must match the rule's pattern.
func (r *Remote) Named(refs Refs, name string) (gitsync.Revision, error) {
	if r.rule.TagPattern == "" {
		return gitsync.Revision{}, fault.New(fault.Place{}, "set tag_pattern, or merge into the branch", "this node follows the branch %s, not tags", r.rule.Branch)
	}
	for _, tag := range refs.Tags {
		if tag.Name == name {
			return tag.Revision(), nil
		}
	}
	return gitsync.Revision{}, fault.New(fault.Place{}, "push the tag; its name must match tag_pattern", "the remote has no tag %q that matches %s", name, r.rule.TagPattern)
}

// mostKnown bounds what is remembered.
const mostKnown = 10_000

// Descends reports whether a commit is an ancestor of a newer one. It asks the remote once.
func (r *Remote) Descends(ctx context.Context, older, newer string) (bool, error) {
	pair := [2]string{older, newer}
	r.mu.Lock()
	follows, known := r.follows[pair]
	r.mu.Unlock()
	if known {
		return follows, nil
	}
	follows, err := r.source.Descends(ctx, older, newer)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.follows) >= mostKnown {
		clear(r.follows)
	}
	r.follows[pair] = follows
	return follows, nil
}

// relates reports whether it is known how two commits relate.
func (r *Remote) relates(older, newer string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.follows[[2]string{older, newer}]
	return known || older == newer
}

// ErrGone is the cause of the error of Lineage if the remote does not have the last commit: the history
// was rewritten, or the remote is a replica that lags behind. Only a user can tell.
var ErrGone = fault.WithCode(errors.New("the remote does not have the commit that was synced last"), fault.CodeBranch)

// Lineage gives how the selected revision relates to the last commit: beside ErrGone it is Diverged.
func (r *Remote) Lineage(ctx context.Context, last string, selected gitsync.Revision) (decision.Lineage, error) {
	lineage := decision.Follows
	descends, err := r.Descends(ctx, last, selected.Commit)
	if err == nil && !descends {
		lineage = decision.Diverged
		if descends, err = r.Descends(ctx, selected.Commit, last); descends {
			lineage = decision.Behind
		}
		if errors.Is(err, gitsync.ErrNotFound) {
			err = fault.New(fault.Place{}, "restore the branch; or, if its history was rewritten for good, set allow_rewrite, restart the agent and run `agent sync`", "%w, %.10s", ErrGone, last)
		}
	}
	if err != nil {
		return lineage, fmt.Errorf("look at the history of %s: %w", selected.Ref, err)
	}
	return lineage, nil
}
