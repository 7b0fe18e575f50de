package proposal

import (
	"slices"
	"strings"
)

// Conflict is a place that two sides have changed in different ways.
type Conflict struct {
	Line               int // of our text
	Base, Ours, Theirs string
}

// hunk is a run of lines of the base that one side has replaced.
type hunk struct {
	start, end int // lines of the base
	lines      []string
}

// Merge applies to ours what changed between base and theirs, line by line. Where both sides
// changed the same lines in different ways, or one added lines next to what the other changed,
// it keeps ours and gives a conflict. Changes of neighbouring lines are both kept, unlike by git: a
// node's own values often stand beside what a release changes. Beside finds them. A text with a zero byte is
// not one of lines: both sides cannot change it. In texts that take too long to compare, it can find
// conflicts where there are none.
func Merge(base, ours, theirs string) (merged string, conflicts []Conflict) {
	if strings.Contains(base+ours+theirs, "\x00") && ours != theirs && ours != base && theirs != base {
		return ours, []Conflict{{Line: 1}}
	}
	old := Lines(base)
	mine, others := hunks(base, ours), hunks(base, theirs)
	var out []string
	at := 0
	for len(mine) > 0 || len(others) > 0 {
		var mineHere, othersHere []hunk
		start, end := next(mine, others)
		for grown := true; grown; {
			grown = false
			for _, side := range []struct{ from, into *[]hunk }{{&mine, &mineHere}, {&others, &othersHere}} {
				for len(*side.from) > 0 && (*side.from)[0].touches(start, end) {
					first := (*side.from)[0]
					*side.into, *side.from = append(*side.into, first), (*side.from)[1:]
					end, grown = max(end, first.end), true
				}
			}
		}
		out = append(out, old[at:start]...)
		a, b := replaced(old, mineHere, start, end), replaced(old, othersHere, start, end)
		switch {
		case len(othersHere) == 0 || slices.Equal(a, b):
			out = append(out, a...)
		case len(mineHere) == 0:
			out = append(out, b...)
		default:
			conflicts = append(conflicts, Conflict{Line: len(out) + 1, Base: strings.Join(old[start:end], ""), Ours: strings.Join(a, ""), Theirs: strings.Join(b, "")})
			out = append(out, a...)
		}
		at = end
	}
	return strings.Join(append(out, old[at:]...), ""), conflicts
}

// Beside gives the lines of a merged text at which a change of theirs is next to one of ours: a user
// has to look whether they fit together.
func Beside(merged, ours, theirs string) (lines []int) {
	mine := hunks(merged, theirs) // what differs from theirs is ours
	for _, one := range hunks(merged, ours) {
		for _, own := range mine {
			if one.start <= own.end && own.start <= one.end {
				lines = append(lines, one.start+1)
				break
			}
		}
	}
	return lines
}

// touches reports whether a hunk changes lines of a range, or adds lines at its borders.
func (h hunk) touches(start, end int) bool {
	return h.start < end || h.start == end && (h.start == h.end || start == end)
}

// next gives the range of the first hunk of either side.
func next(a, b []hunk) (start, end int) {
	first := slices.Concat(a[:min(1, len(a))], b[:min(1, len(b))])
	least := slices.MinFunc(first, func(a, b hunk) int { return a.start - b.start })
	return least.start, least.end
}

// replaced gives lines of the base with the hunks of one side.
func replaced(base []string, side []hunk, start, end int) (out []string) {
	for _, one := range side {
		out = append(append(out, base[start:one.start]...), one.lines...)
		start = one.end
	}
	return append(out, base[start:end]...)
}

// hunks lists what differs between two texts, in order.
func hunks(base, other string) (all []hunk) {
	at, open := 0, false
	for _, piece := range compare(base, other) {
		text := Lines(piece.text)
		if piece.kind == equal {
			at, open = at+len(text), false
			continue
		}
		if !open {
			all, open = append(all, hunk{start: at, end: at}), true
		}
		last := &all[len(all)-1]
		if piece.kind == deleted {
			at += len(text)
			last.end = at
		} else {
			last.lines = append(last.lines, text...)
		}
	}
	return all
}

// Lines splits a text behind each line break.
func Lines(text string) []string {
	all := strings.SplitAfter(text, "\n")
	if all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}
