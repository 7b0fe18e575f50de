package sync

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/internal/fault"
)

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"

	requestPrefix, requestSuffix = "refs/merge-requests/", "/head" // GitLab's
)

// Rule says what a node follows: the tip of a branch, or the tags whose names match a
// regular expression. Exactly one field is set.
type Rule struct {
	Branch     string
	TagPattern string // without implicit ^ and $
}

// Tag is a tag on a commit.
type Tag struct {
	Name   string
	Commit string // full hash; that of an annotated tag's target
}

// Revision gives the revision that the tag selects.
func (t Tag) Revision() Revision { return Revision{Commit: t.Commit, Ref: t.Name, Tag: true} }

// Select requests the refs of the remote, and returns the commit of the rule's branch. Fetch
// returns the other fields of the revision.
func (r *Repository) Select(ctx context.Context, rule Rule) (Revision, error) {
	if rule.Branch == "" {
		return Revision{}, fault.New(fault.Place{}, "set a branch", "select a revision of %s: the rule has no branch", r.name)
	}
	refs, err := r.list(ctx, branchPrefix+rule.Branch)
	if err != nil {
		return Revision{}, err
	}
	tip, ok := refs[branchPrefix+rule.Branch]
	if !ok {
		return Revision{}, &fault.Error{
			Message: fmt.Sprintf("%s has no branch %q", r.name, rule.Branch),
			Hint:    "push the branch, or set another one" + r.offers(ctx, branchPrefix, "branches"),
			Err:     errNoRef,
		}
	}
	return Revision{Commit: tip.String(), Ref: rule.Branch}, nil
}

// Tags requests the refs of the remote, and returns the tags on commits whose names match a
// regular expression, sorted by name. New tags need a second request.
func (r *Repository) Tags(ctx context.Context, pattern string) ([]Tag, error) {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fault.New(fault.Place{}, `write a regular expression such as ^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`, "read tag pattern: %w", err)
	}
	refs, err := r.list(ctx, tagPrefix+literal(pattern))
	if err != nil {
		return nil, err
	}
	all := below(refs, tagPrefix)
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool { return !match.MatchString(name) })
	commits, err := r.resolveTags(ctx, all, names)
	if err != nil {
		return nil, err
	}
	var tags []Tag
	for _, name := range names {
		if commit := commits[all[name]]; !commit.IsZero() {
			tags = append(tags, Tag{name, commit.String()})
		}
	}
	if len(tags) == 0 {
		return nil, &fault.Error{
			Message: fmt.Sprintf("%s has no tag on a commit that matches %s", r.name, match),
			Hint:    "push a tag, or change the pattern" + r.offers(ctx, tagPrefix, "tags"),
			Err:     errNoRef,
		}
	}
	return tags, nil
}

// list requests the refs with a prefix, and remembers the heads of merge requests. A remote that
// lists none may not have the merge requests, as a mirror: then the branches count.
func (r *Repository) list(ctx context.Context, prefix string) (map[string]plumbing.Hash, error) {
	prefixes := []string{prefix}
	if r.follows {
		prefixes = append(prefixes, requestPrefix)
		if !r.requests.Load() {
			prefixes = append(prefixes, branchPrefix)
		}
	}
	refs, err := r.src.list(ctx, prefixes)
	if err != nil {
		return nil, err
	}
	requests, branches := uint64(1), uint64(1) // 0 means that there was no list
	for name, hash := range refs {
		sum := maphash.String(r.seed, name+" "+string(hash[:])) // added in any order
		switch {
		case strings.HasPrefix(name, requestPrefix) && strings.HasSuffix(name, requestSuffix):
			requests += sum
		case strings.HasPrefix(name, branchPrefix):
			branches += sum
		}
	}
	if r.requests.Store(requests != 1); requests == 1 {
		requests = branches
	}
	r.heads.Store(requests)
	return refs, nil
}

// Heads gives a number that changes when a merge request has moved between two lists of the refs.
// It requests nothing: it is that of the last Select or Tags, 0 before.
func (r *Repository) Heads() uint64 { return r.heads.Load() }

// below returns the refs with a prefix by short name.
func below(refs map[string]plumbing.Hash, prefix string) map[string]plumbing.Hash {
	short := map[string]plumbing.Hash{}
	for ref, hash := range refs {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			short[name] = hash
		}
	}
	return short
}

// offers lists some refs of the remote for a hint; "" if the remote does not list them.
func (r *Repository) offers(ctx context.Context, prefix, what string) string {
	const few = 5
	refs, err := r.src.list(ctx, []string{prefix})
	if err != nil {
		return ""
	}
	names := slices.Sorted(maps.Keys(below(refs, prefix)))
	switch {
	case len(names) == 0:
		return "; the remote has no " + what
	case len(names) > few:
		return fmt.Sprintf("; the remote has the %s %s and %d more", what, strings.Join(names[:few], ", "), len(names)-few)
	default:
		return fmt.Sprintf("; the remote has the %s %s", what, strings.Join(names, ", "))
	}
}

// resolveTags reads the targets of unknown tags with one request. A remote without
// filters also sends the contents, so it is asked only once for each tag.
func (r *Repository) resolveTags(ctx context.Context, tags map[string]plumbing.Hash, names []string) (map[plumbing.Hash]plumbing.Hash, error) {
	known := *r.tags.Load()
	var unknown []plumbing.Hash
	for _, name := range names {
		if _, ok := known[tags[name]]; !ok {
			unknown = append(unknown, tags[name])
		}
	}
	if len(unknown) == 0 {
		return known, nil
	}
	store, err := r.src.pull(ctx, need{wants: unknown, depth: 1, filter: packp.FilterTreeDepth(0)})
	if err != nil {
		return nil, err
	}
	still := map[plumbing.Hash]plumbing.Hash{} // without the tags that the remote no longer has
	for _, hash := range tags {
		if is, ok := known[hash]; ok {
			still[hash] = is
		}
	}
	for _, hash := range unknown {
		if still[hash], err = peel(store, hash); err != nil {
			return nil, fmt.Errorf("read tags of %s: %w", r.name, err)
		}
	}
	r.tags.Store(&still)
	return still, nil
}

// peel follows nested tags to a commit; the hash is zero if they end at another object.
func peel(store storer.EncodedObjectStorer, hash plumbing.Hash) (plumbing.Hash, error) {
	for range 10 {
		found, err := object.GetObject(store, hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return plumbing.ZeroHash, nil // a tree or blob, which was not sent; commits are
		}
		if err != nil {
			return plumbing.ZeroHash, err
		}
		switch found := found.(type) {
		case *object.Tag:
			hash = found.Target
		case *object.Commit:
			return hash, nil
		default: // other objects are not commits
			return plumbing.ZeroHash, nil
		}
	}
	return plumbing.ZeroHash, nil
}
