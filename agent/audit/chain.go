package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

// Problem is a place where the log differs from what the agent wrote.
type Problem struct {
	Line int    `json:"line"` // in the file; one after the last line if the end is missing
	Seq  uint64 `json:"seq"`  // number of the expected entry
	What string `json:"what"`
}

func (p Problem) String() string { return fmt.Sprintf("line %d, entry %d: %s", p.Line, p.Seq, p.What) }

// Report is the result of a check of the whole log.
type Report struct {
	Entries  int       `json:"entries"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Head     Head      `json:"head"`               // last entry of the file
	Known    Head      `json:"known"`              // last entry according to the state file
	Keyed    uint64    `json:"keyed,omitempty"`    // first entry of those that must have the key's seal
	Torn     int       `json:"torn,omitempty"`     // bytes of an incomplete last line
	Notes    []string  `json:"notes,omitempty"`    // events of the log itself that a reader should know
	Problems []Problem `json:"problems,omitempty"` // in file order

	Anchors *Comparison `json:"anchors,omitempty"` // with what other places have, if that was asked for
}

// scan calls take with each complete line of a log, or with nil for a line that is
// longer than any entry. It returns the number of bytes after the last line break.
func scan(r io.Reader, take func(line []byte)) (torn int, err error) {
	reader, long := bufio.NewReaderSize(r, maxLine), 0
	for {
		line, err := reader.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long += len(line)
		case errors.Is(err, io.EOF):
			return long + len(line), nil
		case err != nil:
			return 0, fmt.Errorf("read audit log: %w", err)
		case long > 0:
			take(nil)
			long = 0
		default:
			take(line)
		}
	}
}

// chain checks the entries of a log in order and collects the problems.
type chain struct {
	report Report
	key    []byte // of the node; nil: the seals are not checked
	lines  int
	next   uint64 // number of the expected entry
	prev   string // hash of the previous entry
	loose  bool   // the previous entry is not readable, so prev is not checked
	found  bool   // the log has the head of the state file, or the state file has none
	other  uint64 // the first entry with a seal that is not checked
	owner  string
}

func newChain(known Head, key []byte) *chain {
	c := &chain{report: Report{Known: known}, key: key, next: 1, found: !known.Known()}
	if len(key) > 0 {
		c.report.Keyed = known.Keyed
	}
	return c
}

// take adds the next line.
func (c *chain) take(line []byte) {
	c.lines++
	entry, err := parse(line)
	if err != nil {
		c.problem(err.Error())
		c.next, c.loose = c.next+1, true
		return
	}
	c.follow(&entry)
	c.checkSeal(&entry)
	c.note(&entry)
	if c.report.Entries == 0 {
		c.report.First = entry.Time
	}
	c.report.Entries++
	c.report.Last, c.report.Head = entry.Time, Head{Seq: entry.Seq, Hash: entry.Hash}
	c.found = c.found || c.report.Known.is(&entry)
	c.next, c.prev, c.loose = entry.Seq+1, entry.Hash, false
}

// checkSeal checks the seal of an entry. The seals begin where the state file says, or with
// the first entry of the log's own that has one. Earlier entries have none, or one by an
// earlier key.
func (c *chain) checkSeal(entry *Entry) {
	good := len(c.key) > 0 && entry.sealedBy(c.key)
	if good && c.report.Keyed == 0 && (entry.Action == Keyed || entry.Action == Opened) {
		c.report.Keyed = entry.Seq
	}
	due := c.report.Keyed > 0 && entry.Seq >= c.report.Keyed
	switch {
	case good:
	case due && entry.Seal == "":
		c.problem("the entry has no seal of the node's key")
	case due:
		c.problem("the entry was not sealed with the node's key")
	case entry.Seal != "" && c.other == 0:
		c.other = entry.Seq
	}
}

// follow checks that an entry is the successor of the previous one.
func (c *chain) follow(entry *Entry) {
	owner := entry.Environment + "/" + entry.Node
	switch {
	case entry.Seq > c.next:
		c.problem(missing(c.next, entry.Seq-1))
	case entry.Seq < c.next:
		c.problem(fmt.Sprintf("entry %d is out of order", entry.Seq))
	case entry.Prev != c.prev && !c.loose:
		c.problem("the previous entry was replaced: its hash does not match")
	case c.owner != "" && owner != c.owner:
		c.problem("the entry belongs to " + owner)
	}
	if c.owner == "" {
		c.owner = owner
	}
}

func (c *chain) note(entry *Entry) {
	switch entry.Action { //nolint:exhaustive // only the log's own
	case Recovered, Unanchored, Gap, Keyed:
		c.report.Notes = append(c.report.Notes, fmt.Sprintf("entry %d, %s: %s", entry.Seq, entry.Time.Format(time.RFC3339), entry.Detail))
	}
}

func (c *chain) problem(what string) {
	c.report.Problems = append(c.report.Problems, Problem{Line: c.lines, Seq: c.next, What: what})
}

// end compares the end of the log with the head of the state file.
func (c *chain) end(torn int) Report {
	c.report.Torn = torn
	switch {
	case c.other > 0 && len(c.key) == 0:
		c.report.Notes = append(c.report.Notes, fmt.Sprintf("the seals from entry %d on are not checked: the key is in the state file of the node", c.other))
	case c.other > 0:
		c.report.Notes = append(c.report.Notes, fmt.Sprintf("the seals from entry %d on are of an earlier key, which is lost with its state file", c.other))
	}
	known := c.report.Known
	if c.found {
		return c.report
	}
	c.lines++
	if c.next <= known.Seq {
		c.problem(fmt.Sprintf("%s, but the state file has entry %d", missing(c.next, known.Seq), known.Seq))
	} else {
		c.problem(fmt.Sprintf("the log was replaced: entry %d differs from the one in the state file", known.Seq))
	}
	return c.report
}
