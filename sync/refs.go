package sync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/internal/fault"
)

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

// Rule selects a revision: the tip of a branch, or the newest tag whose name matches a
// regular expression. Exactly one field is set.
type Rule struct {
	Branch     string
	TagPattern string // without implicit ^ and $
}

// tagged is the target of a tag. A zero commit means that the target is not a commit.
type tagged struct {
	commit plumbing.Hash
	when   time.Time // of an annotated tag, or of the commit of a lightweight tag
}

// Select requests the refs of the remote, and returns the commit and ref of the selected
// revision. Fetch returns the other fields. New tags need a second request.
func (r *Repository) Select(ctx context.Context, rule Rule) (Revision, error) {
	if (rule.Branch == "") == (rule.TagPattern == "") {
		return Revision{}, fault.New(fault.Place{}, "set exactly one of branch and tag pattern", "select a revision of %s: exactly one of branch and tag pattern must be set", r.name)
	}
	pattern, err := regexp.Compile(rule.TagPattern)
	if err != nil {
		return Revision{}, fault.New(fault.Place{}, `write a regular expression such as ^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`, "read tag pattern: %w", err)
	}
	refs, err := r.src.list(ctx)
	if err != nil {
		return Revision{}, err
	}
	if rule.TagPattern != "" {
		return r.newestTag(ctx, below(refs, tagPrefix), pattern)
	}
	tip, ok := refs[branchPrefix+rule.Branch]
	if !ok {
		return Revision{}, &fault.Error{
			Message: fmt.Sprintf("%s has no branch %q", r.name, rule.Branch),
			Hint:    "push the branch, or set another one; " + offers(below(refs, branchPrefix), "branches"),
			Err:     ErrNotFound,
		}
	}
	return Revision{Commit: tip.String(), Ref: rule.Branch}, nil
}

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

// offers lists some refs of the remote.
func offers(refs map[string]plumbing.Hash, what string) string {
	const few = 5
	names := slices.Sorted(maps.Keys(refs))
	switch {
	case len(names) == 0:
		return "the remote has no " + what
	case len(names) > few:
		return fmt.Sprintf("the remote has the %s %s and %d more", what, strings.Join(names[:few], ", "), len(names)-few)
	default:
		return fmt.Sprintf("the remote has the %s %s", what, strings.Join(names, ", "))
	}
}

func (r *Repository) newestTag(ctx context.Context, tags map[string]plumbing.Hash, pattern *regexp.Regexp) (Revision, error) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(tags)), func(name string) bool {
		return !pattern.MatchString(name)
	})
	known, err := r.resolveTags(ctx, tags, names)
	if err != nil {
		return Revision{}, err
	}
	var newest string
	for _, name := range names { // sorted, so that the later of two names with the same time counts
		is := known[tags[name]]
		if !is.commit.IsZero() && (newest == "" || !is.when.Before(known[tags[newest]].when)) {
			newest = name
		}
	}
	if newest == "" {
		return Revision{}, &fault.Error{
			Message: fmt.Sprintf("%s has no tag on a commit that matches %s", r.name, pattern),
			Hint:    "push a tag, or change the pattern; " + offers(tags, "tags"),
			Err:     ErrNotFound,
		}
	}
	return Revision{Commit: known[tags[newest]].commit.String(), Ref: newest, Tag: true}, nil
}

// resolveTags reads the targets of unknown tags with one request. A remote without
// filters also sends the contents, so it is asked only once for each tag.
func (r *Repository) resolveTags(ctx context.Context, tags map[string]plumbing.Hash, names []string) (map[plumbing.Hash]tagged, error) {
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
	still := map[plumbing.Hash]tagged{} // without the tags that the remote no longer has
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

// peel follows nested tags to a commit. The time of the outermost tag counts.
func peel(store storer.EncodedObjectStorer, hash plumbing.Hash) (tagged, error) {
	var is tagged
	for range 10 {
		found, err := object.GetObject(store, hash)
		if err != nil && !is.when.IsZero() && errors.Is(err, plumbing.ErrObjectNotFound) {
			return tagged{}, nil // a tag on a tree or blob, which was not sent
		}
		if err != nil {
			return tagged{}, err
		}
		switch found := found.(type) {
		case *object.Tag:
			is.when, hash = cmp.Or(is.when, found.Tagger.When), found.Target
		case *object.Commit:
			is.when, is.commit = cmp.Or(is.when, found.Committer.When), hash
			return is, nil
		default: // other objects are not commits
			return tagged{}, nil
		}
	}
	return tagged{}, nil
}
