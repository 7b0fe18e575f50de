// Package selection takes the tags of the remote and what is on record of a stack, and gives
// the tag that the stack follows now. It guarantees that no tag takes a node back: the age of
// a tag is in its name and in the history, never in a clock that its author sets.
package selection

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/lazyregexp"
	gitsync "coin.internal/coin-agent/sync"
)

// Record is what is on record of the stack.
type Record struct {
	Last gitsync.Tag // of the last sync; its name may be that of a branch
	Kept bool        // the last sync has written, or its commit runs
	Runs string      // the commit that runs; "" before the first rollout
	Over string      // the newest tag when a user asked for the last sync's tag; "" if none did

	Shares bool        // the last sync was of a commit that changes nothing which the stack reads
	Led    bool        // a user asked for the last sync's tag
	Under  gitsync.Tag // what the stack stays at if Last was withdrawn; without a commit it is the tag of Runs
	Others []Record    // of the node's other stacks
}

// NewRecord gives what the last sync and the deployed good state say; either may be nil.
func NewRecord(last *record.Sync, deployed *record.GoodState) Record {
	var on Record
	if deployed != nil {
		on.Runs = deployed.Commit
	}
	if last == nil {
		return on
	}
	on.Last, on.Kept = gitsync.Tag{Name: last.Ref, Commit: last.Commit}, last.Wrote || last.Verified()
	on.Shares = last.Unchanged && !last.Wrote
	if on.Runs == "" && last.Wrote {
		on.Runs = last.Commit
	}
	if last.Chosen != nil {
		on.Led, on.Over = true, last.Chosen.Over
	}
	return on
}

// Choice is the selected tag, and what a user has to know about others.
type Choice struct {
	Tag  gitsync.Tag
	Told []string // sorted by age, the newest first; bounded
}

// Descends reports whether a commit is an ancestor of another, or the same.
type Descends func(older, newer string) (bool, error)

// Choose gives the tag that a stack follows: the newest one by its name, then by the history,
// whose commit descends from the one that runs. A tag that does not is told and left out; the
// next one counts. Without a newer one the stack stays at its last tag, also if that was
// deleted or moved; one that has not been rolled out yet is left then. All stacks of a node follow
// one tag, as far as it takes none of them back; those that a user led to another tag do not.
func Choose(pattern *regexp.Regexp, tags []gitsync.Tag, on Record, descends Descends) (Choice, error) {
	if joint, joins := on.joined(pattern, descends); joins {
		choice, err := choose(pattern, tags, joint, descends)
		if err != nil {
			return choice, err
		}
		if takes, err := on.takes(choice.Tag.Commit, descends); takes || err != nil {
			return choice, err
		}
	}
	return choose(pattern, tags, on, descends)
}

// choose gives the tag that one record follows.
func choose(pattern *regexp.Regexp, tags []gitsync.Tag, on Record, descends Descends) (Choice, error) {
	c := chooser{ages: agesOf(pattern), on: on, descends: descends}
	c.stay(pattern, tags)
	byAge := slices.Clone(tags)
	slices.SortStableFunc(byAge, func(a, b gitsync.Tag) int {
		return cmp.Or(compareAges(c.ages(b.Name), c.ages(a.Name)), strings.Compare(b.Name, a.Name))
	})
	for _, tag := range byAge {
		if c.found && compareAges(c.ages(tag.Name), c.ages(c.best.Name)) < 0 {
			break // it is older
		}
		if err := c.consider(tag); err != nil {
			return Choice{}, err
		}
	}
	return Choice{Tag: c.best, Told: c.told}, nil
}

// chooser considers one tag after another.
type chooser struct {
	ages     func(name string) []string
	on       Record
	descends Descends

	floor gitsync.Tag // that a newer one must follow; its commit is "" if that is not known
	best  gitsync.Tag
	found bool // best is newer than what the stack stays at
	told  []string
}

// stay finds the tag that the stack stays at, unless there is a newer one.
func (c *chooser) stay(pattern *regexp.Regexp, tags []gitsync.Tag) {
	last := c.on.Last
	if last.Commit == "" {
		return
	}
	c.best = last
	if !pattern.MatchString(last.Name) {
		return // the node followed a branch
	}
	if c.floor = last; c.on.Over != "" {
		c.floor = named(tags, c.on.Over)
	}
	i := slices.IndexFunc(tags, func(t gitsync.Tag) bool { return t.Name == last.Name })
	switch {
	case i < 0:
		c.tell("tag %s was deleted; commit %s stays", last.Name, record.Short(c.on.Runs))
	case tags[i].Commit != last.Commit:
		c.tell("tag %s was moved from %s to %s; commit %s stays; `agent sync --to %s` follows it", last.Name, record.Short(last.Commit), record.Short(tags[i].Commit), record.Short(c.on.Runs), pasted(last.Name))
	default:
		return
	}
	if !c.on.Kept { // withdrawn before its rollout
		if c.on.Under.Commit != "" {
			c.best, c.floor = c.on.Under, c.on.Under
			return
		}
		runs := slices.IndexFunc(tags, func(t gitsync.Tag) bool { return t.Commit == c.on.Runs })
		if c.best, c.floor = (gitsync.Tag{}), (gitsync.Tag{}); runs >= 0 {
			c.best, c.floor = tags[runs], tags[runs]
		}
	}
}

// named gives the tag of a name; without a commit if the remote does not have it any more.
func named(tags []gitsync.Tag, name string) gitsync.Tag {
	for _, tag := range tags {
		if tag.Name == name {
			return tag
		}
	}
	return gitsync.Tag{Name: name}
}

// mostTold bounds what a user is told.
const mostTold = 5

func (c *chooser) tell(format string, args ...any) {
	if len(c.told) < mostTold {
		c.told = append(c.told, fmt.Sprintf(format, args...))
	}
}

// plain matches names that a shell takes as they are.
var plain = lazyregexp.New(`^[A-Za-z0-9._/+-]+$`)

// pasted gives a tag's name for a command that a user pastes. A tag can be named so that a
// shell would run a part of the name.
func pasted(name string) string {
	if plain().MatchString(name) {
		return name
	}
	return "TAG"
}

// consider takes a tag that is newer than the best one so far.
func (c *chooser) consider(tag gitsync.Tag) error {
	on, age := c.on, 1
	if c.floor.Name != "" {
		age = compareAges(c.ages(tag.Name), c.ages(c.floor.Name))
	}
	if age < 0 || age == 0 && c.floor.Commit == "" || tag.Name == on.Last.Name || tag.Name == c.floor.Name || tag.Commit == on.Runs || c.best.Commit == tag.Commit {
		return nil
	}
	if on.Runs != "" {
		follows, err := c.descends(on.Runs, tag.Commit)
		if err != nil {
			return fmt.Errorf("look at the history of tag %s: %w", tag.Name, err)
		}
		if !follows {
			if age > 0 {
				c.tell("tag %s is not followed: its commit %s does not descend from %s, which runs; `agent sync --to %s` follows it all the same",
					tag.Name, record.Short(tag.Commit), record.Short(on.Runs), pasted(tag.Name))
			}
			return nil
		}
	}
	if c.found || age == 0 { // the history decides between tags of one age
		before := c.best
		if !c.found {
			before = c.floor
		}
		newer, err := c.descends(before.Commit, tag.Commit)
		if err != nil || !newer {
			return err
		}
	}
	c.best, c.found = tag, true
	return nil
}
