package main

import (
	"strings"

	"coin.internal/coin-agent/release"
)

// promotedScreen shows a promotion: each file's diff, what a reviewer looks at, and what became
// of it.
func promotedScreen(s *page, of promoted) {
	if plan := of.Plan; plan != nil && len(plan.Files) > 0 {
		s.line("release ", plan.Release, " from ", plan.From, " to ", plan.To)
		for _, pair := range plan.Nodes {
			s.line("  ", pair.To, " gets the release of ", pair.From)
		}
		for _, change := range plan.Changes {
			s.line("")
			s.diff(change.Diff)
		}
		s.line("")
		s.reviewed(plan)
		for _, proof := range of.Proofs {
			if proof.Lacks == "" {
				s.line(s.green("proven"), " ", proof.Node, " succeeded with commit ", short(proof.Commit))
			} else {
				s.line(s.yellow("not proven"), " ", proof.Node, ": ", tidy(proof.Lacks))
			}
		}
	}
	s.found(of.Problems)
	proposedScreen(s, of.Result)
}

// diff shows a unified diff.
func (s *page) diff(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "+"):
			s.line(s.green(line))
		case strings.HasPrefix(line, "-"):
			s.line(s.red(line))
		default:
			s.line(line)
		}
	}
}

// reviewed shows what differs between the two environments.
func (s *page) reviewed(plan *release.PromotionPlan) {
	for _, one := range plan.Lacking {
		s.line(s.yellow("lacks"), " ", joined(" ", one.Node, one.Name), ", which is ", one.Shown(), " in ", one.Of)
	}
	for _, secret := range plan.Secrets {
		s.line(s.yellow("lacks"), " the secret ", secret.Name, " on ", secret.Node)
	}
	for _, one := range plan.Dropped {
		s.line(s.yellow("ends"), " ", one.Name, "=", one.Tag, " on ", one.Node, ": ", plan.From, " does not have it")
	}
	for _, file := range plan.LeftOut {
		s.line("not moved: ", file, "; --file moves it")
	}
	for _, place := range plan.Beside {
		s.line(s.yellow("check"), " ", place, ": it is next to a line that ", plan.To, " has changed")
	}
	if len(plan.Flags) > 0 {
		s.line("")
		s.table(markup("NODE\tFLAG\t"+strings.ToUpper(plan.From)+"\t"+strings.ToUpper(plan.To)), func(row func(...any)) {
			for _, flag := range plan.Flags {
				row(flag.Node, flag.Name, orDash(flag.From), orDash(flag.To))
			}
		})
	}
	if len(plan.Resources) > 0 {
		s.line("")
		s.table(markup("NODE\tSERVICE\tRESOURCE\t"+strings.ToUpper(plan.From)+"\t"+strings.ToUpper(plan.To)+"\tTHEN"), func(row func(...any)) {
			for _, r := range plan.Resources {
				row(r.Node, r.Service, r.What, orDash(r.From), orDash(r.To), orDash(r.After))
			}
		})
	}
	s.found(plan.Problems)
}

// found shows what `agent check` finds.
func (s *page) found(all []string) {
	for _, problem := range all {
		s.line(s.red("problem"), " ", tidy(problem))
	}
}
