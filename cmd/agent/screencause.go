package main

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// mostErrors is how many errors a status lists, so that they do not push what a user does next
// out of sight.
const mostErrors = 3

// statusCauses adds why a node is as its verdict says.
func statusCauses(s *page, of statusView) {
	status := &of.status
	if status.FailedLook() {
		first, rest, _ := strings.Cut(status.PollError, "\n")
		if rest != "" {
			first += fmt.Sprintf(" (and %d more)", 1+strings.Count(rest, "\n"))
		}
		s.line("  looking   ", s.red(tidy(first)), "; again in ", until(status.NextPoll))
		s.hint(status.PollHint)
	}
	if status.Sync != nil {
		namedOnce(s, resultName(status.Sync), func() { statusResult(s, of) })
	}
	if waiting(*status) {
		statusLate(s, status)
	}
	if status.Health != nil {
		for _, one := range status.Health.Services {
			if said := fmt.Sprintf("task: non-zero exit (%d)", one.ExitCode); one.ExitCode != 0 && one.Error != "" && one.Error != said {
				s.line("  service   ", s.red(one.Short+": "+tidy(one.Error)), after(" on ", one.Node))
			}
		}
	}
	for _, one := range status.Contests {
		s.line("  contested ", s.yellow(report.ContestText(status.Stack, one)), "; corrected again in ", until(one.Again))
	}
	for _, one := range status.Forbidden {
		s.line("  refused   ", s.red("drift is not corrected: "+tidy(one.Error)))
	}
	if status.Group != "" {
		s.line("  group     ", s.yellow(status.Group))
	}
	if p := status.Pinned; p != nil {
		s.line("  pinned    at ", short(p.Commit), " release ", orDash(p.Release), " since ", local(p.Since), " by ", p.By, after(": ", tidy(p.Reason)))
	}
	if p := status.Pause; p != nil {
		s.line("  paused    until ", pauseEnd(p), ", since ", local(p.Since), " by ", p.Actor, ": ", tidy(p.Reason))
	}
}

// resultName names what is shown of a sync.
func resultName(sync *record.Sync) string {
	switch {
	case sync.Error != "", sync.State == record.Waiting, sync.Degraded != "":
		return "cause"
	case sync.State.Final():
		return "result"
	}
	return "plan"
}

// statusLate adds the errors of the services that a rollout waits for: the table cuts them.
func statusLate(s *page, status *report.Status) {
	name, shown := "cause", 0
	for _, one := range status.Rollout.Waiting() {
		if one.Error == "" {
			continue
		}
		if shown++; shown > mostErrors {
			continue
		}
		s.line("  ", pad(name), s.yellow(strings.TrimPrefix(one.Name, status.Stack+"_")+": "+tidy(report.Message(one))), after(" on ", one.Node))
		name = ""
	}
	if shown > mostErrors {
		s.indented("and ", shown-mostErrors, " more")
	}
}

// namedOnce has what adds indented lines begin with a name.
func namedOnce(s *page, name string, add func()) {
	before := s.text.Len()
	add()
	text := s.text.String()
	if added := text[before:]; added != "" {
		s.text.Reset()
		s.text.WriteString(text[:before] + strings.Replace(added, "\n            ", "\n  "+pad(name), 1))
	}
}

// pad gives the name of a fact as wide as all names are.
func pad(name string) string { return fmt.Sprintf("%-10s", name) }

// statusResult adds the errors of a sync, the gates that it waits at, or what it did.
func statusResult(s *page, of statusView) {
	status := &of.status
	sync := status.Sync
	switch {
	case sync.Error != "":
		s.errors(sync, of.all)
		if sync.Code != "" {
			s.indented(s.dim("code: " + string(sync.Code) + "; `agent explain " + string(sync.Code) + "` describes it"))
		}
		if sync.Transient && !status.Running {
			s.indented("it is tried again when the agent runs")
		} else if sync.Transient {
			s.indented("it is tried again automatically")
		} else if sync.State == record.Failed {
			s.indented("held: not tried again until a new commit or `agent retry`")
		}
	case sync.Waiting != "":
		s.waiting(sync)
	case sync.State != record.Succeeded && sync.Summary != "":
		s.indented(strings.TrimPrefix(sync.Summary, "about to apply: "))
	}
	if status.Progress != "" && status.Rollout == nil {
		s.indented(status.Progress)
	}
	if sync.State != record.Succeeded { // else they are below, with what it did
		statusAsked(s, sync)
	}
	back := sync.Rollback
	switch {
	case back == nil || sync.Unchanged || sync.State == record.Succeeded && sync.Degraded == "":
	case sync.State == record.RolledBack:
		if sync.Error != "" {
			s.indented(s.yellow(tidy(sync.Summary)))
		}
	case back.Refused != "":
		s.indented(s.red("not rolled back: " + tidy(back.Refused)))
		s.hint(tidy(sync.Key.In(back.Hint)))
	default:
		s.indented(s.yellow("rollback: " + tidy(report.Outcome(back))))
		s.hint(tidy(sync.Key.In(back.Hint)))
	}
}

// statusAsked adds what the checks of a sync, and its migrations, gave.
func statusAsked(s *page, sync *record.Sync) {
	if text := checksText(sync); text != "" {
		s.indented("checks: ", text)
	}
	if sync.Migration != nil {
		s.indented("migrations: ", migrationText(sync.Migration))
	}
}

// errors adds the first errors of a sync, or all of them.
func (s *page) errors(sync *record.Sync, all bool) {
	for i, one := range sync.All() {
		if i == mostErrors && !all {
			s.indented("and ", len(sync.All())-mostErrors, " more: agent show ", sync.ID)
			return
		}
		s.indented(s.red(string(sync.Stage) + ": " + one.Error))
		s.hint(one.Hint)
	}
}

// waiting adds the gates that a sync waits at.
func (s *page) waiting(sync *record.Sync) {
	if text := report.Loosens(sync); len(sync.Gates) > 0 && text != "" {
		s.indented(s.yellow(tidy(text)))
	}
	var last record.GateName
	for _, gate := range sync.Gates {
		if gate.Waiting == "" {
			continue
		}
		last = gate.Name
		s.indented("waiting: ", tidy(gate.Waiting))
		if !gate.Since.IsZero() {
			s.put(", for ", since(gate.Since))
		}
		if !gate.Until.IsZero() && !strings.Contains(gate.Waiting, "until ") {
			s.put(", until ", clock(gate.Until))
		}
	}
	if last == "" {
		s.indented("waiting: ", tidy(sync.Waiting))
	}
}
