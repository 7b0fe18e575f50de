package proposal

import (
	"time"

	"github.com/go-git/go-git/v5/utils/diff"
)

// piece is a part of two texts, in lines: of both, or of one.
type piece struct {
	kind int // deleted, equal or added
	text string
}

// The kinds of pieces, as the library has them.
const (
	deleted = -1
	equal   = 0
	added   = 1
)

// longest is how long two texts are compared. Files of a node take milliseconds; the time of
// others can grow with the square of their length.
const longest = 10 * time.Second

// compare lists the pieces of two texts. Texts that take too long to compare differ as a whole, from
// some place on.
func compare(before, after string) []piece { return compareWithin(longest, before, after) }

// compareWithin is compare with another limit. The library does not keep to its own in all of its
// steps, so it is abandoned at twice the time that it has.
func compareWithin(limit time.Duration, before, after string) []piece {
	done := make(chan []piece, 1)
	go func() {
		var pieces []piece
		for _, one := range diff.DoWithTimeout(before, after, limit/2) {
			pieces = append(pieces, piece{int(one.Type), one.Text})
		}
		done <- pieces
	}()
	select {
	case pieces := <-done:
		return pieces
	case <-time.After(limit):
		return []piece{{deleted, before}, {added, after}}
	}
}
