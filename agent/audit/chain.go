package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

// Problem is a place at which the log is not what was written.
type Problem struct {
	Line int    `json:"line"` // of the file; one beyond its last where the end is missing
	Seq  uint64 `json:"seq"`  // number of the entry that should stand there
	What string `json:"what"`
}

func (p Problem) String() string { return fmt.Sprintf("line %d, entry %d: %s", p.Line, p.Seq, p.What) }

// Report is what a look at the whole log has found.
type Report struct {
	Entries  int       `json:"entries"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Head     Head      `json:"head"`               // of the file
	Known    Head      `json:"known"`              // as the state file remembers it
	Torn     int       `json:"torn,omitempty"`     // bytes of an unfinished last line
	Notes    []string  `json:"notes,omitempty"`    // what the log says of itself and a reader should know
	Problems []Problem `json:"problems,omitempty"` // in the order of the file
}

// scan gives each whole line of a log, nil for one that is longer than any entry,
// and the number of bytes after the last.
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

// chain follows the entries of a log, and notes what does not fit.
type chain struct {
	report Report
	lines  int
	next   uint64 // number of the entry that should come
	prev   string // its hash of the one before, unless that one could not be read
	loose  bool   // the entry before could not be read
	held   bool   // the head that the state file remembers is there
	owner  string
}

func newChain(known Head) *chain {
	return &chain{report: Report{Known: known}, next: 1, held: !known.Known()}
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
	c.note(&entry)
	if c.report.Entries == 0 {
		c.report.First = entry.Time
	}
	c.report.Entries++
	c.report.Last, c.report.Head = entry.Time, entry.head()
	c.held = c.held || entry.head() == c.report.Known
	c.next, c.prev, c.loose = entry.Seq+1, entry.Hash, false
}

// follow checks that an entry follows the one before it.
func (c *chain) follow(entry *Entry) {
	owner := entry.Environment + "/" + entry.Node
	switch {
	case entry.Seq > c.next:
		c.problem(numbers(c.next, entry.Seq-1) + " are missing")
	case entry.Seq < c.next:
		c.problem(fmt.Sprintf("entry %d stands here, out of its order", entry.Seq))
	case entry.Prev != c.prev && !c.loose:
		c.problem("it follows another entry than the one before it, which was replaced")
	case c.owner != "" && owner != c.owner:
		c.problem("it is an entry of " + owner)
	}
	if c.owner == "" {
		c.owner = owner
	}
}

func (c *chain) note(entry *Entry) {
	switch entry.Action { //nolint:exhaustive // only the log's own
	case Recovered, Unanchored, Gap:
		c.report.Notes = append(c.report.Notes, fmt.Sprintf("entry %d, %s: %s", entry.Seq, entry.Time.Format(time.RFC3339), entry.Detail))
	}
}

func (c *chain) problem(what string) {
	c.report.Problems = append(c.report.Problems, Problem{Line: c.lines, Seq: c.next, What: what})
}

// end holds the end of the log against the head that the state file remembers.
func (c *chain) end(torn int) Report {
	c.report.Torn = torn
	known := c.report.Known
	if c.held {
		return c.report
	}
	c.lines++
	if c.next <= known.Seq {
		c.problem(numbers(c.next, known.Seq) + " are cut off: the state file remembers them")
	} else {
		c.problem(fmt.Sprintf("entry %d is not the one that the state file remembers: the log was replaced", known.Seq))
	}
	return c.report
}
