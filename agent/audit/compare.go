package audit

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
)

// Difference says from which entry on a log is not the one that was anchored.
type Difference struct {
	From uint64 `json:"from"` // the first entry that may differ
	To   uint64 `json:"to"`   // the first anchored entry that does
	Note int64  `json:"note"` // of GitLab, with that entry's anchor
	What string `json:"what"`
}

// Comparison is the result of comparing a log with its anchors.
type Comparison struct {
	Place   string      `json:"place"`
	Anchors int         `json:"anchors"`           // that count
	Agrees  uint64      `json:"agrees,omitempty"`  // the log is the anchored one up to this entry
	Left    int         `json:"left,omitempty"`    // entries after that, which no anchor covers yet
	Differs *Difference `json:"differs,omitempty"` // nil if all anchors agree
	Notes   []string    `json:"notes,omitempty"`
}

// Proves reports whether there are anchors, and all agree with the log.
func (c *Comparison) Proves() bool { return c.Anchors > 0 && c.Differs == nil }

// Anchored is the head that a log had when a place outside of the node got it.
type Anchored struct {
	Seq     uint64
	Hash    string
	After   uint64 // the entry of the anchor before it at that place; 0 for the first
	Note    int64  // of GitLab
	Changed bool   // the note was changed after it was written; a reaction counts too
}

// Evidence is what a place outside of the node has of a log.
type Evidence struct {
	Place     string
	Found     []Anchored
	Others    int    // anchors by other users, which do not count
	Delivered uint64 // the entry that the agent anchored last, as it remembers; 0 if that is not known
}

// Compare compares the log in dir with its anchors. An anchor covers the whole log up to its
// entry: from the last one that agrees on, the log may differ. A log that is not there has
// no entries.
func Compare(dir string, e Evidence) (*Comparison, error) {
	found := slices.Clone(e.Found)
	slices.SortFunc(found, func(a, b Anchored) int { return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Note, b.Note)) })
	hashes := map[uint64]string{} // of the anchored entries, as the log has them now
	for _, one := range found {
		hashes[one.Seq] = ""
	}
	end := uint64(0)
	_, err := readLog(dir, func(line []byte) {
		entry, err := parse(line)
		if errors.Is(err, errForeign) {
			return
		}
		end = max(end, entry.Seq)
		if _, wanted := hashes[entry.Seq]; wanted {
			hashes[entry.Seq] = entry.sum() // not what a changed entry says of itself
		}
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	c := &Comparison{Place: e.Place, Anchors: len(found)}
	for i := range found {
		one := &found[i]
		switch {
		case hashes[one.Seq] == one.Hash:
			c.Agrees = one.Seq
		case c.Differs == nil:
			c.Differs = &Difference{From: c.Agrees + 1, To: one.Seq, Note: one.Note, What: what(one, hashes[one.Seq], end)}
		}
	}
	c.Left = int(max(end, c.Agrees) - c.Agrees) //nolint:gosec // a number of entries
	if c.Differs != nil && c.Agrees >= c.Differs.To {
		// The chain has one past: the anchor that differs is not of this log.
		c.Differs.From = c.Differs.To
		c.Differs.What = fmt.Sprintf("entry %d is not the anchored one, although the anchor of entry %d agrees: that anchor is of another log", c.Differs.To, c.Agrees)
	}
	c.Notes = remarks(e, found)
	return c, nil
}

// what says how the log differs from an anchor.
func what(anchor *Anchored, hash string, end uint64) string {
	switch {
	case anchor.Seq > end:
		return fmt.Sprintf("the log ends with entry %d, and entry %d was anchored: the end is missing", end, anchor.Seq)
	case hash == "":
		return fmt.Sprintf("entry %d was anchored, and is missing", anchor.Seq)
	}
	return fmt.Sprintf("entry %d is not the anchored one: the log was replaced or rewritten", anchor.Seq)
}

// remarks says what a reader should know about the anchors themselves.
func remarks(e Evidence, found []Anchored) (notes []string) {
	there := map[uint64]bool{}
	for _, one := range found {
		there[one.Seq] = true
	}
	last := uint64(0)
	for _, one := range found {
		if one.After > 0 && !there[one.After] {
			notes = append(notes, fmt.Sprintf("the anchor of entry %d is missing in GitLab; the anchor of entry %d (note %d) came after it", one.After, one.Seq, one.Note))
		}
		if one.Changed {
			notes = append(notes, fmt.Sprintf("note %d with the anchor of entry %d was changed, or got a reaction, after it was written", one.Note, one.Seq))
		}
		last = max(last, one.Seq)
	}
	if e.Delivered > last {
		notes = append(notes, fmt.Sprintf("the agent anchored entry %d, and GitLab does not have that anchor", e.Delivered))
	}
	if e.Others > 0 {
		notes = append(notes, fmt.Sprintf("%d anchors are not by the token's user, and do not count", e.Others))
	}
	return notes
}
