package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/doctor"
	"coin.internal/coin-agent/internal/plural"
)

// doctorScreen shows findings.
func doctorScreen(s *page, findings []doctor.Finding) {
	var left []string
	needs := map[string]bool{}
	for _, one := range findings {
		if need, found := strings.CutPrefix(one.Text, "not looked at: it needs "); found {
			left, needs[need] = append(left, one.Subject), true
			continue
		}
		s.line(s.p.paint(gradeColours[one.Grade], string(one.Grade)), "  ", fmt.Sprintf("%-12s", one.Subject), " ", one.Text)
		if one.Hint != "" {
			s.line("      hint: ", one.Hint)
		}
	}
	if len(left) > 0 {
		s.line(s.yellow(string(doctor.Doubtful)), "  ", fmt.Sprintf("%-12s", "others"), " not looked at: ", strings.Join(left, ", "),
			"; they need ", strings.Join(slices.Sorted(maps.Keys(needs)), "; "))
	}
}

// checkedNodes is the result of `agent check`.
type checkedNodes struct {
	nodes []desired.Checked
	scan  desired.Checked // for secrets in the clear
}

// checkScreen shows what is wrong with nodes.
func checkScreen(s *page, checked checkedNodes) {
	bad, results := 0, 0
	nodes, several := map[string]bool{}, false
	for _, one := range checked.nodes {
		clean := len(one.Problems) == 0
		if !clean {
			bad++
		}
		if one.Node != "" || clean {
			results++
		}
		nodes[one.Environment+"/"+one.Node] = true
		several = several || one.Stack != ""
		s.line(fmt.Sprintf("%-24s", one.Name()), " ", s.checked(one))
		if one.Node != "" && clean && one.Elsewhere == 0 {
			s.put("  ", plural.Count(one.Services, "service"), ", ", plural.Count(one.Secrets, "secret"))
		}
		s.problems(one)
	}
	scan := checked.scan
	s.line(fmt.Sprintf("%-24s", "no plaintext secrets"), " ", s.checked(scan))
	if len(scan.Problems) == 0 && scan.Elsewhere == 0 {
		s.put("  ", plural.Count(scan.Files, "file"))
	}
	s.problems(scan)
	what := plural.Count(results, "node")
	if several {
		what = plural.Count(results, "stack") + " of " + plural.Count(len(nodes), "node")
	}
	s.line(what, " checked, ", bad, " with problems")
}

// checked gives the verdict of a check.
func (s *page) checked(one desired.Checked) markup {
	switch {
	case len(one.Problems) > 0:
		return s.red(plural.Count(len(one.Problems)+one.Elsewhere, "problem"))
	case one.Elsewhere != 0:
		return s.red(plural.Count(one.Elsewhere, "problem")) + ", listed above"
	case len(one.Warnings) > 0 && one.Node == "" && one.Files != 0:
		return s.yellow(plural.Count(len(one.Warnings), "warning"))
	}
	return s.green("ok")
}

// problems adds problems and warnings.
func (s *page) problems(of desired.Checked) {
	list := func(kind markup, problems []desired.Problem) {
		for _, one := range problems {
			s.line("  ", kind, ": ")
			if place := one.Place.String(); place != "" {
				s.put(printable(place), ": ")
			}
			s.put(printable(one.Message))
			if one.Hint != "" {
				s.line("    hint: ", printable(one.Hint))
			}
		}
	}
	list(s.red("error"), of.Problems)
	list(s.yellow("warning"), of.Warnings)
}

// auditScreen shows whether the audit log is whole.
func auditScreen(s *page, report audit.Report) {
	if len(report.Problems) > 0 {
		s.put(s.red("broken: the log differs from what the agent wrote"))
		const most = 10 // the first ones explain the most
		for i, problem := range report.Problems {
			if i < most {
				s.line("  ", problem)
			}
		}
		if more := len(report.Problems) - most; more > 0 {
			s.line("  and ", more, " more")
		}
	} else {
		s.put(s.green("whole: each entry follows from the one before it"))
	}
	s.line("entries  ", report.Entries)
	if report.Entries != 0 {
		s.line("first    ", local(report.First))
		s.line("last     ", local(report.Last))
		s.line("head     ", report.Head.Seq, " ", report.Head.Hash)
	}
	if report.Keyed != 0 {
		s.line("keyed    sealed with the node's key from entry ", report.Keyed, " on")
	}
	if report.Anchors != nil {
		compared(s, report.Anchors)
	}
	if !report.Known.Known() {
		s.line("note     the state file does not record the head: the check does not find entries that are missing at the end")
	} else if report.Head.Seq > report.Known.Seq && len(report.Problems) == 0 {
		s.line("note     the state file records the log up to entry ", report.Known.Seq)
	}
	if report.Torn != 0 {
		s.line("note     an unfinished line of ", report.Torn, " bytes is at the end; the agent removes it when it starts")
	}
	for _, note := range report.Notes {
		s.line("note     ", note)
	}
}

// compared adds what the anchors say of the log.
func compared(s *page, with *audit.Comparison) {
	switch {
	case with.Differs != nil:
		s.line("anchors  ", s.red(fmt.Sprintf("the log differs from entry %d on: %s (note %d)", with.Differs.From, with.Differs.What, with.Differs.Note)))
	case with.Anchors != 0:
		s.line("anchors  ", s.green(fmt.Sprintf("%s agrees with the log up to entry %d", with.Place, with.Agrees)), " (", plural.Count(with.Anchors, "anchor"), ")")
	default:
		s.line("anchors  ", s.red(with.Place+" has no anchor of this node: nothing was compared"))
	}
	if with.Anchors != 0 && with.Left != 0 {
		s.line("note     no anchor covers the last ", plural.Of(with.Left, "entry", "entries"), " of the log")
	}
	for _, note := range with.Notes {
		s.line("note     ", s.yellow(note))
	}
}
