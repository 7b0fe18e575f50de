package selection

import (
	"errors"
	"regexp"

	gitsync "coin.internal/coin-agent/sync"
)

// joined gives one record for the stacks of the node that follow one tag, among them this one: that
// of the newest tag that one of them has synced. joins is false if the stack follows a tag alone.
func (on Record) joined(pattern *regexp.Regexp, descends Descends) (joint Record, joins bool) {
	if on.Led || len(on.Others) == 0 {
		return on, false
	}
	all := []Record{on}
	for _, other := range on.Others {
		if !other.Led {
			all = append(all, other)
		}
	}
	ages := agesOf(pattern)
	for _, one := range all {
		if ahead(ages, one, joint, descends) {
			joint = one
		}
	}
	// A tag that waits in one stack, and changes nothing in the others, was not rolled out.
	waits, under := false, Record{}
	for _, one := range all {
		if one.Last == joint.Last {
			waits = waits || !one.Kept
		} else if one.settled() && ahead(ages, one, under, descends) {
			under = one
		}
	}
	joint.Kept, joint.Under, joint.Others = joint.settled() || !waits, under.Last, nil
	return joint, len(all) > 1
}

// settled reports whether the last tag was rolled out.
func (on Record) settled() bool { return on.Kept && !on.Shares }

// ahead reports whether the last tag of a record is newer than that of another one: by its name,
// then by the history. Of one tag, what was rolled out counts first.
func ahead(ages func(string) []string, one, other Record, descends Descends) bool {
	if one.Last.Commit == "" || other.Last.Commit == "" {
		return one.Last.Commit != ""
	}
	if age := compareAges(ages(one.Last.Name), ages(other.Last.Name)); age != 0 {
		return age > 0
	}
	if one.Last.Commit != other.Last.Commit {
		newer, err := descends(other.Last.Commit, one.Last.Commit)
		return newer && err == nil // a deleted tag may have taken the commit along
	}
	return one.settled() && !other.settled()
}

// takes reports whether the stack may follow a commit that the node follows: it does not take the
// stack back. A commit that the remote no longer has cannot be followed.
func (on Record) takes(commit string, descends Descends) (bool, error) {
	switch {
	case commit == "":
		return false, nil
	case on.Runs == "", commit == on.Runs, on.Kept && commit == on.Last.Commit:
		return true, nil
	}
	follows, err := descends(on.Runs, commit)
	if errors.Is(err, gitsync.ErrNotFound) {
		return false, nil
	}
	return follows, err
}
