package report

import (
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/oneline"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/internal/visible"
)

// Preview is what a node says of a merge request before the merge.
type Preview struct {
	Node, Branch, Head string
	Target             string // the branch that it goes into
	Runs               string // the commit that runs on the node; "" for none
	At                 time.Time

	Plan    *deploy.RecordedPlan // nil if there is none
	Release string
	Signer  string
	Loosens []string
	Demands []string // the approvals that the rollout will wait for, without a count
	Waits   []string // what else it will wait for
	Behind  bool     // the branch lacks commits of Target

	Refused string         // why there is no plan, such as "cannot be rendered"
	Faults  []record.Fault // the reasons
	None    bool           // the merge request changes nothing for this node any more
}

// Bounds of what one node shows.
const (
	maxCell    = 500
	maxItem    = 2000
	maxPreview = 20_000 // bytes of a plan
)

// Page gives what the note shows. The row has no approvals yet: see PlanPage.Count.
func (p *Preview) Page() PlanPage {
	secrets, waits := "", ""
	if p.Plan != nil {
		secrets, waits = strings.Join(secretMoves(*p.Plan), ", "), strings.Join(p.Waits, "; ")
	}
	return PlanPage{
		Cells:   []string{clippedCell(p.Headline()), clippedCell(secrets), clippedCell(waits)},
		Details: p.details(),
	}
}

// waits lists all that the rollout will wait for. It has no count of approvals, which changes
// after it was told.
func (p *Preview) waits() []string { return slices.Concat(p.Demands, p.Waits) }

func clippedCell(text string) string { return cell(oneline.Cut(text, maxCell)) }

// Headline gives the preview in a line.
func (p *Preview) Headline() string {
	switch {
	case p.None:
		return "the merge request changes nothing that this node reads"
	case p.Plan == nil && len(p.Faults) > 0:
		text := p.Refused + ": " + p.Faults[0].Error
		if more := len(p.Faults) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
		return text
	case p.Plan == nil:
		return p.Refused
	}
	return PlanIntent(*p.Plan)
}

// Description gives the preview as a commit status has it.
func (p *Preview) Description() string {
	if p.Plan == nil {
		return clip(p.Headline(), MaxDescription)
	}
	text := fmt.Sprintf("%s; plan %.10s…", PlanIntent(*p.Plan), p.Plan.Digest())
	if waits := p.waits(); len(waits) > 0 {
		text += "; will wait for " + strings.Join(waits, "; ")
	}
	return clip(text, MaxDescription)
}

// details gives the part of the note that is folded.
func (p *Preview) details() string {
	summary := p.Node + ": " + p.Refused
	var lines []string
	switch {
	case p.None:
		summary = p.Node + ": no change"
	case p.Plan != nil:
		summary = fmt.Sprintf("%s: %s; plan %.10s…", p.Node, PlanIntent(*p.Plan), p.Plan.Digest())
		lines = PlanTexts(*p.Plan)
	default:
		for _, one := range p.Faults {
			lines = append(lines, one.Error)
			if one.Hint != "" {
				lines = append(lines, "  hint: "+one.Hint)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<details><summary>%s</summary>\n\n", html.EscapeString(oneline.Cut(summary, maxCell)))
	runs := "nothing: there was no rollout"
	if p.Runs != "" {
		runs = "what runs on the node, commit " + record.Short(p.Runs)
	}
	b.WriteString(item("Commit", oneline.Cut(record.Short(p.Head)+" of branch "+p.Branch, maxItem)))
	b.WriteString(item("Compared with", runs+", at "+stamp(p.At)))
	b.WriteString(item("Release", oneline.Cut(p.Release, maxItem)))
	b.WriteString(item("Signed by", oneline.Cut(p.Signer, maxItem)))
	b.WriteString(item("Waits for", oneline.Cut(strings.Join(p.waits(), "; "), maxItem)))
	if len(p.Loosens) > 0 {
		b.WriteString(item("Gates", oneline.Cut("this commit "+strings.Join(p.Loosens, ", "), maxItem)))
	}
	if p.Plan != nil && len(p.Plan.Grants) > 0 {
		b.WriteString(item("Grants", plural.Count(len(p.Plan.Grants), "grant")+" over the node or over others"))
	}
	if p.Behind {
		b.WriteString(item("Rebase", "the branch lacks commits of "+oneline.Cut(p.Target, maxCell)+", and the plan takes them back"))
	}
	if len(lines) > 0 {
		b.WriteString("\n" + code(bounded(lines, maxPreview)))
	}
	b.WriteString("\n</details>")
	return b.String()
}

// bounded gives lines up to a number of bytes, and says how many are left out.
func bounded(lines []string, most int) []string {
	size := 0
	for i, line := range lines {
		if letters := []rune(line); len(letters) > maxItem {
			lines[i] = string(letters[:maxItem]) + "…"
		}
		if size += len(visible.Line(lines[i])) + 1; size > most {
			return append(lines[:i:i], fmt.Sprintf("… and %s; `agent diff` on the node shows all", plural.Count(len(lines)-i, "more line")))
		}
	}
	return lines
}

// PlanTexts gives the lines of a plan as text.
func PlanTexts(plan deploy.RecordedPlan) []string {
	var texts []string
	for _, line := range PlanLines(plan) {
		texts = append(texts, line.Text)
	}
	return texts
}

// PlanSteps gives the lines of a plan as text, without its warnings, which are of the moment.
func PlanSteps(plan deploy.RecordedPlan) []string {
	plan.Warnings = nil
	return PlanTexts(plan)
}

// secretMoves says which secrets services get in another version: "webhook.auth 1→2".
func secretMoves(plan deploy.RecordedPlan) []string {
	moves := map[string]bool{}
	for _, step := range plan.Steps {
		for _, change := range slices.Concat(step.Changes, step.Has) {
			match := isReference().FindStringSubmatch(change.Path)
			if match == nil || match[1] != "Secret" {
				continue
			}
			oldKey, from := versioned(valueWords(change.Path, change.Old))
			newKey, to := versioned(valueWords(change.Path, change.New))
			switch {
			case oldKey == newKey && from != to:
				moves[fmt.Sprintf("%s %s→%s", newKey, from, to)] = true
			case change.Old == "":
				moves[strings.TrimSpace("+ "+newKey+" "+to)] = true
			case change.New == "":
				moves[strings.TrimSpace("- "+oldKey+" "+from)] = true
			case change.Old != change.New:
				moves[fmt.Sprintf("%s→%s", oldKey, newKey)] = true
			}
		}
	}
	texts := make([]string, 0, len(moves))
	for _, move := range slices.Sorted(maps.Keys(moves)) {
		texts = append(texts, visible.Line(move))
	}
	return texts
}

// StalePage says that a page is about a commit that the branch no longer ends with.
func StalePage(page PlanPage, head, why string) PlanPage {
	cells := slices.Clone(page.Cells)
	if len(cells) > 0 {
		cells[0] = "**stale: the branch moved.** " + cells[0]
	}
	text := fmt.Sprintf("Stale: the branch moved to %s, whose plan is not made yet: %s.", record.Short(head), why)
	return PlanPage{Approvals: page.Approvals, Cells: cells, Details: escape(oneline.Cut(text, maxCell)) + "\n\n" + page.Details}
}

// AppliedPage says after the merge that a node applied another plan than the one that was
// shown.
func AppliedPage(node string, shown []string, sync *record.Sync, applied deploy.RecordedPlan) PlanPage {
	headline := fmt.Sprintf("not as shown: the plan of sync #%d is another one: %s", sync.ID, Summary(applied))
	lines := differing(shown, PlanSteps(applied))
	var b strings.Builder
	fmt.Fprintf(&b, "<details><summary>%s</summary>\n\n", html.EscapeString(fmt.Sprintf("%s: sync #%d, not as shown before the merge", node, sync.ID)))
	b.WriteString(item("Commit", record.Short(sync.Commit)))
	b.WriteString(item("State", string(sync.State)))
	b.WriteString("\nLines with `-` were shown before the merge, lines with `+` are in the plan of the sync.\n\n")
	b.WriteString(code(bounded(lines, maxPreview)) + "\n</details>")
	return PlanPage{Cells: []string{clippedCell(headline), "", ""}, Details: b.String()}
}

// differing gives the lines that only one of two plans has.
func differing(before, after []string) []string {
	var lines []string
	only := func(sign string, of, other []string) {
		left := map[string]int{}
		for _, line := range other {
			left[line]++
		}
		for _, line := range of {
			if left[line]--; left[line] < 0 {
				lines = append(lines, sign+" "+line)
			}
		}
	}
	only("-", before, after)
	only("+", after, before)
	return lines
}
