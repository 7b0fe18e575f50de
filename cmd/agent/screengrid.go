package main

import (
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/terminal"
)

// grid is a table that fits a number of columns.
type grid struct {
	names []string
	rows  [][]string
	width []int // of the columns; -1: left out
}

const (
	gap       = 2 // blanks between two columns
	leastCell = 8 // columns of a text that was shortened
)

// table adds a table. Tabs divide its head. Where the terminal is too narrow, the columns that
// give names are shortened, in that order, and then left out; at last the widest are shortened.
func (s *page) table(head markup, rows func(row func(cells ...any)), give ...string) {
	g := grid{names: strings.Split(string(head), "\t")}
	rows(func(cells ...any) {
		texts := make([]string, 0, len(cells))
		for _, cell := range cells {
			texts = append(texts, string(shown(cell)))
		}
		g.rows = append(g.rows, texts)
	})
	g.measure()
	if s.p.width > 0 {
		g.fit(s.p.width, give)
	}
	s.text.WriteString(strings.Join(g.lines(), "\n"))
}

func (g *grid) measure() {
	for column, name := range g.names {
		most := terminal.Width(name)
		for _, row := range g.rows {
			if column < len(row) {
				most = max(most, terminal.Width(row[column]))
			}
		}
		g.width = append(g.width, most)
	}
}

// over gives by how many columns the table is too wide.
func (g *grid) over(room int) int {
	sum := -gap
	for _, width := range g.width {
		if width >= 0 {
			sum += width + gap
		}
	}
	return sum - room
}

func (g *grid) fit(room int, give []string) {
	whole := slices.Clone(g.width)
	for out := 0; out <= len(give); out++ {
		copy(g.width, whole)
		for i, name := range give {
			column := slices.Index(g.names, name)
			switch over := g.over(room); {
			case i < out:
				g.width[column] = -1
			case over > 0:
				g.width[column] = max(min(g.width[column], leastCell), g.width[column]-over)
			}
		}
		if g.over(room) <= 0 {
			return
		}
	}
	for g.over(room) > 0 {
		widest := 0
		for column, width := range g.width {
			if width > g.width[widest] {
				widest = column
			}
		}
		if g.width[widest] <= 4 {
			return // the lines are wrapped
		}
		g.width[widest]--
	}
}

func (g *grid) lines() []string {
	lines := []string{g.line(g.names)}
	for _, row := range g.rows {
		lines = append(lines, g.line(row))
	}
	return lines
}

// line aligns a row. The end of an image says more than its start.
func (g *grid) line(row []string) string {
	var line strings.Builder
	padding := 0
	for column, cell := range row {
		width := g.width[column]
		if width < 0 {
			continue
		}
		if g.names[column] == "IMAGE" {
			cell = terminal.CutStart(cell, width)
		} else {
			cell = terminal.Cut(cell, width)
		}
		line.WriteString(strings.Repeat(" ", padding) + cell)
		padding = width - terminal.Width(cell) + gap
	}
	return strings.TrimRight(line.String(), " ")
}
