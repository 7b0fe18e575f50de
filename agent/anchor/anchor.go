// Package anchor takes the head of the audit log to places outside of the node, such as an
// issue in GitLab and syslog, and compares the log with what is there. It guarantees that a
// head that was anchored once is found again, unless its place lost it: a log that was cut,
// replaced or rewritten since then differs, also if it was rewritten with the node's key.
// A place that cannot be reached never delays a sync.
package anchor

import (
	"fmt"
	"strconv"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/internal/lazyregexp"
)

// Mark is an entry of the audit log: its number and its hash.
type Mark struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// markOf gives the mark of a log's last entry.
func markOf(head audit.Head) Mark { return Mark{Seq: head.Seq, Hash: head.Hash} }

// Anchor is the text that a place keeps: the last entry of a node's log at some time.
type Anchor struct {
	Node  string // environment/node
	Seq   uint64
	Hash  string
	After uint64 // the entry of the anchor before it at this place; 0 for the first
}

// String gives the anchor as one line, which GitLab shows as it is.
func (a Anchor) String() string {
	text := fmt.Sprintf("Audit log of `%s`: entry %d, hash `%s`", a.Node, a.Seq, a.Hash)
	if a.After > 0 {
		text += fmt.Sprintf(", after the anchor of entry %d", a.After)
	}
	return text
}

var form = lazyregexp.New("^Audit log of `([^`\\s]+)`: entry ([0-9]{1,19}), hash `([0-9a-f]{64})`(?:, after the anchor of entry ([0-9]{1,19}))?$")

// Parse reads the text of an anchor, and reports whether it is one.
func Parse(text string) (a Anchor, is bool) {
	found := form().FindStringSubmatch(text)
	if found == nil {
		return Anchor{}, false
	}
	a = Anchor{Node: found[1], Hash: found[3]}
	a.Seq, _ = strconv.ParseUint(found[2], 10, 64) // 19 digits fit
	a.After, _ = strconv.ParseUint(found[4], 10, 64)
	return a, a.Seq > 0
}
