package prepare

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/internal/visible"
)

// maxDiff is how many bytes of one file's differences the text of a merge request has, and
// maxText how many it has of all.
const (
	maxDiff = 40_000
	maxText = 400_000
)

// Title gives the title of the merge request. Its first word keeps GitLab from merging what
// `agent check` refuses.
func (p *Plan) Title() string {
	title := "release: " + p.Environment + " to " + p.shown()
	if len(p.Problems) > 0 {
		return "Draft: " + title
	}
	return title
}

// describe gives the text of the merge request.
func (p *Plan) describe() string {
	var b strings.Builder
	b.WriteString(p.summary())
	p.list(&b, "Dropped overrides", "These TAG_ variables set another release for one service. They are comments now: check that the release contains those fixes.", p.dropped())
	p.list(&b, "Variables that no file sets", "The compose files mention them without a default. Set them in node.env on this branch.", p.unset())
	p.list(&b, "Problems", "`agent check` refuses the result. Mend it on this branch, then mark the merge request as ready.", p.problems())
	p.list(&b, "Notes", "", coded(p.Notes))
	p.list(&b, "Registry and scanner", "", coded(p.Asked))
	p.list(&b, "Images", "", p.images())
	for _, file := range p.Files {
		if b.Len() > maxText {
			b.WriteString("\n_The text is too long for more._\n")
			break
		}
		if strings.HasPrefix(file.Path, keptFolder(p.Tag)+"/") {
			continue
		}
		differences := file.Diff()
		if at := strings.Index(differences, "@@"); at > 0 {
			differences = differences[at:] // without the names
		}
		if len(differences) > maxDiff {
			differences = differences[:maxDiff] + "\n…\n"
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s", code(file.Path), fenced(differences))
	}
	return b.String()
}

// summary gives the release, and what it replaces on which node.
func (p *Plan) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Release %s of %s, from the image %s.", code(p.shown()), code(p.Environment), code(p.Image))
	if p.Task != "" {
		fmt.Fprintf(&b, " Task %s.", code(p.Task))
	}
	if p.Migration != "" {
		fmt.Fprintf(&b, " Expected migration: %s.", code(p.Migration))
	}
	b.WriteString("\n\n| node | release before | files |\n|---|---|---|\n")
	for _, node := range p.Nodes {
		before := "none"
		if node.Before != "" {
			before = code(node.Before)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(node.Name), before, plural.Count(len(node.Files), "file"))
	}
	fmt.Fprintf(&b, "\nThe folder %s has the release's files as its bundle has them. The next release is merged from there.\n", code(keptFolder(p.Tag)))
	return b.String()
}

func (p *Plan) list(b *strings.Builder, title, about string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n", title)
	if about != "" {
		b.WriteString(about + "\n\n")
	}
	for _, line := range lines {
		b.WriteString("- " + line + "\n")
	}
}

func (p *Plan) dropped() (lines []string) {
	for _, node := range p.Nodes {
		for _, one := range node.Dropped {
			lines = append(lines, fmt.Sprintf("%s: %s (%s:%d)", code(node.Name), code(one.Text), code(one.File), one.Line))
		}
	}
	return lines
}

func (p *Plan) unset() (lines []string) {
	for _, node := range p.Nodes {
		for _, name := range node.Unset {
			lines = append(lines, code(node.Name)+": "+code(name))
		}
	}
	return lines
}

func (p *Plan) problems() (lines []string) {
	for _, one := range p.Problems {
		line := code(strings.TrimPrefix(one.Place.String()+": "+one.Message, ": "))
		if one.Hint != "" {
			line += " (" + code(one.Hint) + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

// images lists each image with the nodes that have it.
func (p *Plan) images() (lines []string) {
	nodes := map[string][]string{}
	var order []string
	for _, node := range p.Nodes {
		for _, image := range node.Images {
			if nodes[image] == nil {
				order = append(order, image)
			}
			nodes[image] = append(nodes[image], node.Name)
		}
	}
	for _, image := range order {
		lines = append(lines, code(image)+": "+strings.Join(nodes[image], ", "))
	}
	return lines
}

func coded(texts []string) (lines []string) {
	for _, text := range texts {
		lines = append(lines, code(text))
	}
	return lines
}

// code shows a text of the repository or the bundle as Markdown that cannot be anything else.
func code(text string) string {
	return report.Span(strings.ReplaceAll(text, "|", "¦"))
}

// fenced shows lines as a block of differences that they cannot end.
func fenced(lines string) string {
	fence := "```"
	for strings.Contains(lines, fence) {
		fence += "`"
	}
	return fence + "diff\n" + visible.Lines(strings.TrimRight(lines, "\n"), "") + "\n" + fence + "\n"
}
