package provenance

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// track is one node through all commits.
type track struct {
	node   string
	dirs   map[*commit]string     // the node's folder, whose name may have been another
	states map[*commit]*nodeState // nil where there was no such folder
}

// follow reads a node's folder in every commit, and finds it again where it had
// another name.
func (r *reader) follow(ctx context.Context, node, dir string) (*track, error) {
	t := &track{node: node, dirs: map[*commit]string{}, states: map[*commit]*nodeState{}}
	t.dirs[r.store.graph.head] = dir
	for _, one := range slices.Backward(r.store.graph.all) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		now := r.store.at(one)
		t.states[one] = r.state(now, t.dirs[one])
		for _, parent := range one.parents {
			if t.dirs[parent] != "" {
				continue
			}
			t.dirs[parent] = t.dirs[one]
			before := r.store.at(parent)
			if _, there := before.find(t.dirs[one]); !there && t.states[one] != nil {
				t.dirs[parent] = renamed(before, now, t.dirs[one])
			}
		}
		if r.store.fault != nil {
			return nil, r.store.fault
		}
	}
	return t, nil
}

// renamed finds the folder that dir was before: one of a node that is gone now and
// had at least half of its files the same. Where there is none it gives dir.
func renamed(before, now *snapshot, dir string) string {
	mine := now.blobs(dir)
	best, most := dir, 0
	for _, environment := range before.names("environments") {
		nodes := path.Join("environments", environment, "nodes")
		for _, node := range before.names(nodes) {
			other := path.Join(nodes, node)
			if _, there := now.find(other); there {
				continue
			}
			theirs := before.blobs(other)
			shared := 0
			for hash := range theirs {
				if mine[hash] {
					shared++
				}
			}
			if shared > most && 2*shared >= min(len(mine), len(theirs)) {
				best, most = other, shared
			}
		}
	}
	return best
}

// blobs gives the files in a folder and in those below it.
func (s *snapshot) blobs(dir string) map[plumbing.Hash]bool {
	all := map[plumbing.Hash]bool{}
	var walk func(plumbing.Hash)
	walk = func(tree plumbing.Hash) {
		for _, one := range s.store.folder(tree) {
			if one.Mode == filemode.Dir {
				walk(one.Hash)
			} else {
				all[one.Hash] = true
			}
		}
	}
	if found, ok := s.find(dir); ok && found.Mode == filemode.Dir {
		walk(found.Hash)
	}
	return all
}

// reading gives what a commit says of a secret; nil for nothing.
func (t *track) reading(c *commit, name string) *reading {
	if state := t.states[c]; state != nil {
		return state.readings[name]
	}
	return nil
}

// newValue tells whether a reading's value is another than one before.
func (r *reading) newValue(before *reading) Certainty {
	switch {
	case r.external || before.external:
		return Unknown
	case r.file == nil && before.file == nil:
		return No
	case r.file == nil || before.file == nil:
		return Yes
	case r.file.broken || before.file.broken:
		return Unknown
	case r.cipher() != "" && r.cipher() == before.cipher():
		return No
	case r.print() != "" && before.print() != "":
		return certainly(r.print() != before.print())
	case r.rewritten(before):
		return Unknown
	}
	return Yes
}

func certainly(so bool) Certainty {
	if so {
		return Yes
	}
	return No
}

// rewritten tells that the file may have been encrypted anew as a whole: nothing
// that stands beside the value has kept its ciphertext.
func (r *reading) rewritten(before *reading) bool {
	for key, cipher := range r.file.ciphers {
		if key != r.key && before.file.ciphers[key] == cipher {
			return false
		}
	}
	return true
}

// plain tells that the value stands in git unencrypted.
func (r *reading) plain() bool {
	return r != nil && r.file != nil && !r.file.broken && r.cipher() == "" && r.print() != ""
}

func (r *reading) sameVersion(before *reading) bool {
	return r.text == before.text && r.sealed == before.sealed && r.variable == before.variable ||
		r.text == before.text && r.sealed == before.sealed && r.text != ""
}

// same tells that nothing has changed between two readings.
func (r *reading) same(before *reading) bool {
	if r == nil || before == nil {
		return r == before
	}
	return r.external == before.external && r.sameVersion(before) && (r.external || r.newValue(before) == No)
}

// entries lists what the commits did to a secret, in the order of the graph.
func (t *track) entries(g *graph, name string) []*Entry {
	var entries []*Entry
	seen := map[string]bool{}
	for _, one := range g.all {
		now := t.reading(one, name)
		if slices.ContainsFunc(one.parents, func(parent *commit) bool {
			return t.states[parent] == t.states[one] || t.reading(parent, name).same(now)
		}) || now == nil && len(one.parents) == 0 {
			continue
		}
		entries = append(entries, t.entry(one, name, seen))
	}
	return entries
}

// entry says what a commit did to a secret that was otherwise before.
func (t *track) entry(one *commit, name string, seen map[string]bool) *Entry {
	now := t.reading(one, name)
	entry := &Entry{Commit: one.Commit, NewValue: Unknown, commit: one, reading: now}
	var before *reading
	for _, parent := range one.parents {
		if before == nil {
			before = t.reading(parent, name)
		}
	}
	if one.landed != one {
		merged := one.landed.Commit
		entry.Merged = &merged
		entry.Skipped = !t.reading(one.landed, name).same(now)
	}
	if entry.Request = one.landed.request; entry.Request == "" {
		entry.Request = one.request
	}
	if now == nil {
		entry.Change = Gone
		return entry
	}
	entry.Version, entry.Sealed, entry.Object = now.text, now.sealed != "", now.object
	entry.Change = change(one, now, before, seen)
	switch {
	case before != nil:
		entry.NewValue = now.newValue(before)
	case entry.Change == Added && !now.external:
		entry.NewValue = certainly(now.file != nil)
	}
	seen[now.text+"\x00"+now.sealed] = true
	return entry
}

func change(one *commit, now, before *reading, seen map[string]bool) Change {
	switch {
	case before == nil && one.cut:
		return Earlier
	case (before == nil || !now.sameVersion(before)) && seen[now.text+"\x00"+now.sealed]:
		return Again
	case before == nil:
		return Added
	case !now.sameVersion(before):
		return Raised
	case now.external != before.external, now.newValue(before) == Yes:
		return Revalued
	}
	return Resealed
}

// origin is the entry that gave the present value; nil where there is none.
func origin(entries []*Entry, now *reading) *Entry {
	if now == nil || now.file == nil && !now.external {
		return nil
	}
	for {
		at := slices.IndexFunc(entries, func(e *Entry) bool { return e.reading != nil && e.reading.sameValue(now) })
		if at < 0 {
			return nil
		}
		if entries[at].Change != Resealed || at == 0 || entries[at-1].reading == nil {
			return entries[at]
		}
		now = entries[at-1].reading // as far as can be told, the value is older
	}
}

// sameValue is for the age of a value; where the value is not in git, its version
// stands for it.
func (r *reading) sameValue(other *reading) bool {
	if r.external && other.external {
		return r.sameVersion(other)
	}
	return r.newValue(other) == No
}

// called tells whether people would call a secret by a name.
func called(key, variable, name string) bool {
	return name == key || variable != "" && strings.TrimPrefix(variable, versionPrefix) == strings.TrimPrefix(name, versionPrefix)
}
