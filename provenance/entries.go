package provenance

import (
	"cmp"
	"fmt"
	"slices"
)

// entries lists the commits that changed a secret, in the order of the history.
func (t *track) entries(name string) []*Entry {
	var entries []*Entry
	known := map[string]bool{}
	for _, one := range t.history.all {
		now := t.readings[one][name]
		unchanged := func(parent *commit) bool { return t.readings[parent][name].same(now) }
		if slices.ContainsFunc(one.parents, unchanged) || now == nil && len(one.parents) == 0 {
			continue
		}
		entry := &Entry{Commit: one.info, Change: Gone, NewValue: Unknown, commit: one, reading: now}
		entry.Request = cmp.Or(one.landed.request, one.request)
		if one.landed != one {
			entry.Merged = &one.landed.info
			entry.Skipped = !t.readings[one.landed][name].same(now)
		}
		if now != nil {
			entry.Version, entry.Sealed, entry.Object = now.version, now.sealed != "", now.object
			entry.Change, entry.NewValue = t.change(one, name, known[now.id()])
			known[now.id()] = true
		}
		entries = append(entries, entry)
	}
	return entries
}

// change says what a commit did to a secret; again is set for a version that it had before.
func (t *track) change(one *commit, name string, again bool) (Change, Certainty) {
	now := t.readings[one][name]
	at := slices.IndexFunc(one.parents, func(parent *commit) bool { return t.readings[parent][name] != nil })
	if at < 0 {
		switch {
		case one.cut:
			return Earlier, Unknown
		case again:
			return Again, Unknown
		case now.external:
			return Added, Unknown
		}
		return Added, certainly(now.file != nil)
	}
	before := t.readings[one.parents[at]][name]
	value := now.newValue(before)
	switch {
	case now.sameVersion(before) && (value == Yes || now.external != before.external):
		return Revalued, value
	case now.sameVersion(before):
		return Resealed, value
	case again:
		return Again, value
	}
	return Raised, value
}

// origin is the entry that gave the present value; nil where there is none.
func origin(entries []*Entry, now *reading) *Entry {
	for now != nil && (now.file != nil || now.external) {
		at := slices.IndexFunc(entries, func(e *Entry) bool { return e.reading != nil && e.reading.sameValue(now) })
		if at < 0 {
			return nil
		}
		if entries[at].Change != Resealed || at == 0 || entries[at-1].reading == nil {
			return entries[at]
		}
		now = entries[at-1].reading // as far as can be known, the value is older
	}
	return nil
}

// warnings says what an auditor should know of the changes.
func (t *track) warnings(name string, entries []*Entry) []Warning {
	var plain, odd []Warning
	known := map[string]bool{} // versions on the branch
	for i, entry := range entries {
		one, landed := entry.commit, entry.commit.landed
		isPlain := func(c *commit) bool { return t.readings[c][name].plain() }
		if isPlain(one) && !slices.ContainsFunc(one.parents, isPlain) {
			plain = append(plain, warning(one, "its value was committed in plaintext and stays in git's history"))
		}
		now := t.readings[landed][name]
		if now == nil || i+1 < len(entries) && entries[i+1].commit.landed == landed {
			continue // what a merge brings is judged as one change
		}
		if len(landed.parents) > 0 {
			before := t.readings[landed.parents[0]][name]
			if text := now.doubt(before, !known[now.id()]); text != "" {
				odd = append(odd, warning(one, text))
			}
		}
		known[now.id()] = true
	}
	return append(plain, odd...)
}

func warning(c *commit, text string) Warning {
	return Warning{Commit: c.info.Hash, Author: c.info.Author, At: c.info.Authored, Text: text}
}

// doubt says what is wrong with a change on the branch; "" for nothing.
func (r *reading) doubt(before *reading, fresh bool) string {
	if before == nil || r.external || before.external {
		return ""
	}
	value, kept := r.newValue(before), r.sameVersion(before)
	version := cmp.Or(r.version, "(none)")
	if r.sealed != "" {
		version = "(encrypted)"
	}
	switch {
	case kept && r.version == autoVersion:
	case kept && value == Yes && before.file != nil:
		return fmt.Sprintf("its value was changed without raising the version %s; a sync refuses that", version)
	case kept && value == Unknown:
		return fmt.Sprintf("it was encrypted again under the version %s: without a key it is not known whether the value changed", version)
	case !kept && value == No && fresh && r.file != nil:
		return fmt.Sprintf("the version was raised to %s, but the value did not change", version)
	}
	return ""
}
