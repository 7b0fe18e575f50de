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
	rest  int   // the column of texts, which takes the width that is left; -1: there is none
	below int   // the width of the texts below their rows; 0: they are in their column
}

const (
	gap       = 2  // blanks between two columns
	leastCell = 8  // columns of a text that was shortened
	leastText = 24 // columns of the last text in a row; if there are fewer, it is below its row
)

// table adds a table. Tabs divide its head. Where the terminal is too narrow, the columns that
// give names are shortened, in that order, and then left out; at last the widest are shortened.
// If the name of the last column ends in +, its texts take the width that is left, and are below
// their rows where that is too little.
func (s *page) table(head markup, rows func(row func(cells ...any)), give ...string) {
	g := grid{names: strings.Split(string(head), "\t"), rest: -1}
	if last := len(g.names) - 1; strings.HasSuffix(g.names[last], "+") {
		g.names[last], g.rest = strings.TrimSuffix(g.names[last], "+"), last
	}
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
	before := slices.Clone(g.width)
	if g.rest >= 0 {
		g.width[g.rest] = min(before[g.rest], leastText)
	}
	if !g.shrink(room, give) && g.rest >= 0 {
		copy(g.width, before)
		g.width[g.rest], g.below = -1, room
		g.shrink(room, give)
	}
	g.shortenWidest(room)
	if g.rest >= 0 && g.below == 0 {
		g.width[g.rest] = min(before[g.rest], g.width[g.rest]-g.over(room))
	}
}

// shrink shortens and leaves out the columns that give names. It reports whether the table fits.
func (g *grid) shrink(room int, give []string) bool {
	before := slices.Clone(g.width)
	for out := 0; out <= len(give); out++ {
		copy(g.width, before)
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
			return true
		}
	}
	return false
}

// uncut are columns of times, of which a part says nothing.
var uncut = []string{"TIME", "STARTED", "CREATED"} //nolint:gochecknoglobals // a constant list

// shortenWidest shortens the widest columns until the table fits.
func (g *grid) shortenWidest(room int) {
	for g.over(room) > 0 {
		widest := 0
		for column, width := range g.width {
			if width > g.width[widest] && !slices.Contains(uncut, g.names[column]) {
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
		if g.below > 0 && len(row) > g.rest && row[g.rest] != "" && row[g.rest] != "-" {
			lines = append(lines, terminal.Wrap("    "+row[g.rest], g.below)...)
		}
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
