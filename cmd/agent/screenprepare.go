package main

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/prepare"
)

// preparedScreen shows a prepared release: what changes on which node, and what people have to
// look at.
func preparedScreen(s *page, of prepared) {
	switch {
	case of.Result.Commit != nil && of.Result.Commit.Taken:
		s.put(s.yellow("resumed: " + of.Result.Commit.Message))
	case len(of.Plan.Files) == 0:
		s.put("nothing to change: the nodes have the release ", of.Plan.Tag)
	default:
		s.put(s.green(of.Plan.Title()))
	}
	s.line()
	preparedNodes(s, of.Plan)
	for _, one := range of.Plan.Problems {
		place := one.Place.String()
		s.line(s.red("problem"), " ", tidy(strings.TrimPrefix(place+": "+one.Message, ": ")))
	}
	for _, text := range of.Plan.Asked {
		s.line(tidy(text))
	}
	for _, text := range of.Plan.Notes {
		s.line(s.yellow("note"), ": ", tidy(text))
	}
	if of.Result.Commit == nil {
		if len(of.Plan.Files) > 0 {
			s.line()
			for text := range strings.Lines(of.Plan.Text) {
				s.line(strings.TrimRight(text, "\n"))
			}
			s.line("nothing was written")
		}
		return
	}
	proposedScreen(s, of.Result)
}

// preparedNodes shows what a release changes on each node.
func preparedNodes(s *page, plan *prepare.Plan) {
	if len(plan.Nodes) == 0 {
		return
	}
	s.table("NODE\tRELEASE BEFORE\tFILES", func(row func(...any)) {
		for _, node := range plan.Nodes {
			row(node.Name, orDash(node.Before), len(node.Files))
		}
	})
	for _, node := range plan.Nodes {
		for _, one := range node.Dropped {
			s.line(s.yellow("dropped"), fmt.Sprintf(" %s: %s (%s:%d)", node.Name, one.Text, one.File, one.Line))
		}
		for _, name := range node.Unset {
			s.line(s.yellow("not set"), " ", node.Name, ": ", name)
		}
	}
}
