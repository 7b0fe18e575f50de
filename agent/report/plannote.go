package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// PlanNote is the note on a merge request that has the plans of all nodes of an environment.
// Each node replaces only its own part of it, by hidden marks.
type PlanNote struct {
	Environment string
	Maker       string // the node that wrote the note first
	parts       map[string]planPart
}

// planPart is what one node shows.
type planPart struct{ row, section string }

// maxPlanNote is how many characters a note has at most: GitLab takes a million.
const maxPlanNote = 900_000

// The marks. Names in them are escaped, so that no name ends a mark.
var (
	noteMark  = lazyregexp.New(`^<!-- coin-agent:plans (\S+) by (\S+) -->$`)
	rowMark   = lazyregexp.New(`^\| .* <!-- coin-agent:row (\S+) --> \|$`)
	beginMark = lazyregexp.New(`^<!-- coin-agent:begin (\S+) [0-9a-f]{16} -->$`)
)

// marked escapes a name for a mark.
func marked(name string) string {
	return strings.ReplaceAll(url.PathEscape(name), "--", "-%2D")
}

func unmarked(name string) string {
	plain, err := url.PathUnescape(name)
	if err != nil {
		return name
	}
	return plain
}

// NewPlanNote makes a note without plans.
func NewPlanNote(environment, maker string) *PlanNote {
	return &PlanNote{Environment: environment, Maker: maker, parts: map[string]planPart{}}
}

// ParsePlanNote reads a note; ok is false if the text is not a note of the environment.
func ParsePlanNote(environment, text string) (note *PlanNote, ok bool) {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	head := noteMark().FindStringSubmatch(lines[0])
	if head == nil || head[1] != marked(environment) {
		return nil, false
	}
	note = NewPlanNote(environment, unmarked(head[2]))
	rows := map[string]string{}
	for i := 0; i < len(lines); i++ {
		if row := rowMark().FindStringSubmatch(lines[i]); row != nil {
			rows[unmarked(row[1])] = lines[i]
		}
		begin := beginMark().FindStringSubmatch(lines[i])
		if begin == nil {
			continue
		}
		end := slices.Index(lines[i:], endOf(unmarked(begin[1])))
		if end < 0 {
			continue // cut off: its node writes it again
		}
		if row := rows[unmarked(begin[1])]; row != "" {
			note.parts[unmarked(begin[1])] = planPart{row, strings.Join(lines[i:i+end+1], "\n")}
		}
		i += end
	}
	return note, true
}

func endOf(node string) string { return "<!-- coin-agent:end " + marked(node) + " -->" }

// Set replaces what a node shows.
func (n *PlanNote) Set(node string, page PlanPage) { n.parts[node] = page.part(node) }

// Has reports whether a node shows this.
func (n *PlanNote) Has(node string, page PlanPage) bool {
	begin, _, _ := strings.Cut(n.parts[node].section, "\n")
	want, _, _ := strings.Cut(page.part(node).section, "\n")
	return begin == want
}

// Nodes lists the nodes that show something, sorted.
func (n *PlanNote) Nodes() []string { return slices.Sorted(maps.Keys(n.parts)) }

// Fill takes what another note has of nodes that show nothing here.
func (n *PlanNote) Fill(other *PlanNote) {
	for node, part := range other.parts {
		if _, there := n.parts[node]; !there {
			n.parts[node] = part
		}
	}
}

// String gives the text of the note.
func (n *PlanNote) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- coin-agent:plans %s by %s -->\n\n", marked(n.Environment), marked(n.Maker))
	fmt.Fprintf(&b, "#### Plan for %s\n\n", escape(n.Environment))
	b.WriteString("| node | plan | secrets | waits for |\n|---|---|---|---|\n")
	for _, node := range n.Nodes() {
		b.WriteString(n.parts[node].row + "\n")
	}
	b.WriteString("\nNothing of it is applied before the merge.\n")
	size := utf8.RuneCountInString(b.String())
	for _, node := range n.Nodes() {
		section := n.parts[node].section
		if size += utf8.RuneCountInString(section) + 2; size > maxPlanNote {
			begin, _, _ := strings.Cut(section, "\n")
			section = begin + "\n\nThe note has no room for the plan of " + escape(node) + ".\n\n" + endOf(node)
		}
		b.WriteString("\n" + section + "\n")
	}
	return harmless(b.String())
}

// PlanPage is what a node shows on a merge request: the cells of its row, and the details.
type PlanPage struct {
	Cells   []string `json:"cells"` // plan, secrets, gates; in Markdown
	Details string   `json:"details"`
	// Approvals is in front of the gates, in Markdown: how many approvals there are.
	Approvals string `json:"approvals,omitempty"`
}

// Count replaces what the row says of approvals.
func (p PlanPage) Count(text string) PlanPage {
	p.Approvals = clippedCell(text)
	return p
}

// AsOf says after a count of approvals when it was so.
func AsOf(at time.Time) string { return ", as of " + at.UTC().Format("2006-01-02 15:04 UTC") }

// cells gives the cells of the row after that of the node.
func (p PlanPage) cells() []string {
	cells := slices.Clone(p.Cells)
	if last := len(cells) - 1; last >= 0 && p.Approvals != "" {
		cells[last] = strings.TrimSuffix(p.Approvals+"; "+cells[last], "; ")
	}
	return cells
}

// part gives the row and the section of a node, between marks that no text can forge.
func (p PlanPage) part(node string) planPart {
	forged := strings.NewReplacer("<!-- coin-agent:", "<!- - coin-agent:")
	cells := []string{cell(node)}
	for _, text := range p.cells() {
		cells = append(cells, forged.Replace(text))
	}
	row := "| " + strings.Join(cells, " | ") + " <!-- coin-agent:row " + marked(node) + " --> |"
	details := forged.Replace(strings.TrimSpace(p.Details))
	sum := sha256.Sum256([]byte(row + "\n" + details))
	begin := fmt.Sprintf("<!-- coin-agent:begin %s %s -->", marked(node), hex.EncodeToString(sum[:8]))
	return planPart{row, begin + "\n\n" + details + "\n\n" + endOf(node)}
}

// command matches a line that GitLab would carry out as a quick action.
var command = lazyregexp.New(`(?m)^([ \t]*)/`)

// harmless makes sure that no line of a note is a quick action.
func harmless(text string) string { return command().ReplaceAllString(text, `$1\/`) }
