package main

import (
	"cmp"
	"fmt"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/newest"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/policy"
)

// statusView is what a user asked of a status.
type statusView struct {
	status report.Status
	all    bool // also what is as it should be
}

// statusScreen shows the status of a node, what matters most first: its verdict, the cause, and
// what a user does next. Then come the services that are not healthy, and the rest.
func statusScreen(s *page, of statusView) {
	status := &of.status
	name := status.Environment + "/" + status.Node
	if len(status.Stacks) > 0 {
		name = statusStacks(s, status)
	}
	s.put(name, "  ", verdict(s.p, *status))
	if status.Mode != "" {
		s.line("  mode      ", s.yellow(status.Mode+": the agent plans and reports, and changes nothing"))
	}
	statusAnswer(s, of)
	switch {
	case waiting(*status):
		statusRollout(s, rolloutView{status.Rollout, status.Stack})
		statusServices(s, of)
	case len(status.Services) > 0 || len(status.Drift) > 0:
		s.line()
		statusServices(s, of)
	}
	if status.Sync != nil && len(status.Sync.Warnings) > 0 {
		if len(status.Services) == 0 {
			s.line()
		}
		s.line(s.yellow(plural.Count(len(status.Sync.Warnings), "warning")), ": agent show ", status.Sync.ID)
	}
	statusLogs(s, status)
	s.line()
	statusTroubles(s, of)
	statusFollowed(s, status)
}

// statusAnswer adds why the node is as its verdict says, and what a user does next. A cause that
// would take the next step out of sight comes after it.
func statusAnswer(s *page, of statusView) {
	cause, next := &page{p: s.p}, &page{p: s.p}
	statusCauses(cause, of)
	next.line("  next      ", of.status.Next)
	first, second := cause, next
	if room := s.p.height - 1; s.p.height > 0 && len(s.lines())+len(cause.lines())+len(next.lines()) >= room {
		first, second = next, cause
	}
	s.text.WriteString(first.text.String() + second.text.String())
}

// statusStacks lists the stacks of a node, and gives the name of the one that the rest is about.
func statusStacks(s *page, status *report.Status) string {
	s.line(status.Environment, "/", status.Node, "  ", plural.Count(len(status.Stacks), "stack"))
	width := 0
	for _, one := range status.Stacks {
		width = max(width, len(one.Stack))
	}
	for _, one := range status.Stacks {
		colour := map[string]string{report.AllWell.String(): green, report.Alarm.String(): red}[one.State]
		s.line("  ", fmt.Sprintf("%-*s", width, one.Stack), "  ", s.p.paint(cmp.Or(colour, yellow), one.Text))
	}
	s.line()
	return status.Environment + "/" + status.Node + "/" + status.Stack
}

// statusTroubles adds what besides the services needs a user, and with --all also what does not.
func statusTroubles(s *page, of statusView) {
	status := of.status
	if status.Policy != nil {
		statusPolicy(s, status.Policy)
	}
	for _, one := range status.Tags {
		s.line("  tag       ", s.yellow(tidy(one)))
	}
	if health := status.GitLab; health != nil && (of.all || health.Undelivered != 0 || health.LastError != "" || health.Refused != nil) {
		statusGitLab(s, health)
	}
	statusTokens(s, of)
	shown := 0
	for _, place := range status.Anchors {
		if of.all || place.Left != 0 || place.Error != "" {
			statusAnchor(s, shown, place)
			shown++
		}
	}
	for _, one := range status.Overdue {
		statusOverdue(s, status.Environment, one)
	}
	if status.Vault != nil {
		statusVault(s, status.Vault, of.all)
	}
	if health := status.Notices; health != nil && len(health.Receivers) > 0 && (of.all || troubledNotices(health)) {
		statusNotices(s, health, of.all)
	}
	for _, one := range status.Ignored {
		s.line("  ignored   ", tidy(report.IgnoredText(status.Stack, one)))
	}
}

func troubledNotices(health *notify.Health) bool {
	bad := health.Undelivered != 0 || health.Dropped != 0
	for _, receiver := range health.Receivers {
		bad = bad || receiver.Problem != nil || receiver.Refused != nil
	}
	return bad
}

// statusFollowed adds the stack, what the node follows, what was applied, the last sync and look.
func statusFollowed(s *page, status *report.Status) {
	s.line("  stack     ", orDash(status.Stack))
	if d := status.Desired; d != nil {
		s.line("  desired   ", short(d.Commit), " ", d.Ref, "  ", byWhom(d.Subject, d.Author))
	}
	if a := status.Applied; a != nil {
		s.line("  applied   ", short(a.Commit), " release ", orDash(a.Release), ", ", ago(a.At))
		if !a.Soaking.IsZero() {
			s.put(", soaking until ", clock(a.Soaking))
		}
		if a.Unfit != "" {
			s.indented(s.yellow("no rollback returns to it: " + tidy(a.Unfit)))
		}
	}
	if sync := status.Sync; sync != nil {
		s.line("  sync      #", sync.ID, " of ", short(sync.Commit), " (", sync.Trigger, ") ", sync.State)
		if !sync.State.Final() {
			s.put(" at ", sync.Stage)
		}
		s.put(", ", ago(sync.Started))
		if sync.State == record.Succeeded && sync.Summary != "" {
			s.indented(sync.Summary)
		}
		if sync.State == record.Succeeded {
			statusAsked(s, sync)
		}
	}
	switch {
	case !status.Running || status.FailedLook():
	case status.LastLook.IsZero():
		s.line("  looking   for the first time since the agent started, ", ago(status.Started))
	default:
		s.line("  looking   last ", ago(status.LastLook), ", next in ", until(status.NextPoll))
	}
}

func statusPolicy(s *page, state *policy.State) {
	if state.Rules == nil {
		s.line("  policy    ", s.yellow("warning: "+policy.Warning))
		s.hint("`agent policy suggest` prints one for agent.yml")
	}
	if state.Error != "" {
		s.line("  policy    ", s.red("not reloaded: "+tidy(state.Error)), "; the one before is in force")
		s.hint(state.Hint)
	}
}

func statusGitLab(s *page, health *gitlab.Health) {
	delivered := "all statuses delivered"
	if health.Undelivered != 0 {
		delivered = plural.Count(health.Undelivered, "report") + " not delivered"
	}
	s.line("  gitlab    ", delivered)
	if health.LastError != "" {
		s.indented(s.red(health.LastError))
		s.hint(health.Hint)
	}
	if r := health.Refused; r != nil {
		s.indented(s.yellow(fmt.Sprintf("refused: %s of %s: %s", r.Report.State, short(r.Report.Commit), r.Reason)))
	}
}

// statusTokens adds the GitLab tokens with problems, and with --all the others.
func statusTokens(s *page, of statusView) {
	name := "tokens    "
	for _, token := range of.status.Tokens {
		if !of.all && len(token.Problems) == 0 {
			continue
		}
		s.line("  ", name, token.Setting, ": ")
		name = "          "
		if len(token.Problems) > 0 {
			s.put(s.yellow(tidy(token.Line())))
		} else {
			s.put(tidy(token.Line()))
		}
		for _, one := range token.Problems {
			if !one.Soon { // else the line says it
				s.indented(s.red(tidy(one.Text)))
			}
			s.hint(one.Hint)
		}
	}
}

// statusAnchor adds how far a place outside of the node knows the audit log.
func statusAnchor(s *page, i int, place anchor.Health) {
	name := "anchors  "
	if i > 0 {
		name = "         "
	}
	s.line("  ", name, " ", place.Place, ": ")
	if place.Left != 0 {
		s.put(plural.Of(place.Left, "entry", "entries"), " of the audit log not anchored")
	} else {
		s.put("entry ", place.Entry, " of the audit log")
	}
	if place.Error != "" {
		s.indented(s.red(tidy(place.Error)))
		s.hint(place.Hint)
	}
}

// statusVault adds the secrets of which Vault has a newer version, and with --all when it was asked.
func statusVault(s *page, state *newest.State, all bool) {
	name := "vault     "
	for _, one := range state.Newer {
		s.line("  ", name, s.yellow(tidy(one.Text())))
		s.hint(one.Hint())
		name = "          "
	}
	if state.Error != "" {
		s.line("  ", name, s.yellow("the newest versions are not known: "+tidy(state.Error)), ", next in ", until(state.Next))
		s.hint(state.Hint)
	} else if all && len(state.Newer) == 0 && !state.Asked.IsZero() {
		s.line("  ", name, "no newer version of a secret, asked ", ago(state.Asked))
	}
}

func statusOverdue(s *page, environment string, one inventory.Rotation) {
	s.line("  rotation  ", s.yellow(one.Name+" is "+since(one.Created)+" old and should have been rotated "+since(one.Due)+" ago"))
	s.indented("hint: agent secrets rotate ", one.Secret, " --environment ", environment)
}

func statusNotices(s *page, health *notify.Health, all bool) {
	sent := "all notices sent"
	if health.Undelivered != 0 {
		sent = plural.Count(health.Undelivered, "notice") + " not sent to all receivers"
	}
	s.line("  notices   ", sent)
	if health.Dropped != 0 {
		s.put(", ", health.Dropped, " dropped (see the log)")
	}
	for _, receiver := range health.Receivers {
		if receiver.Last != "" && all {
			s.indented(receiver.String(), "  ", ago(receiver.LastSent), ": ", tidy(receiver.Last))
		}
		if !receiver.Held.IsZero() {
			s.indented(receiver.String(), ": ", plural.Count(receiver.Waiting, "notice"), " held until ", clock(receiver.Held), ", as one message: it had 5 within 10 minutes")
		}
		if problem := receiver.Problem; problem != nil {
			s.indented(s.red(receiver.String() + ": " + problem.Error))
			s.hint(problem.Hint)
		}
		if refused := receiver.Refused; refused != nil {
			s.indented(s.yellow(fmt.Sprintf("%s: refused %q: %s", receiver.String(), refused.Title, refused.Reason)))
			s.hint(refused.Hint)
		}
	}
}

// migrationText gives the migrations of the database, as far as the agent read them.
func migrationText(m *record.Migration) markup {
	number := func(id *int64) string {
		if id == nil {
			return "?"
		}
		return fmt.Sprint(*id)
	}
	text := joinShown(m.Table, ": ", number(m.Before), " before, ", number(m.After), " after")
	if m.Expected != nil {
		text += joinShown(", the release expects ", number(m.Expected))
	}
	if m.Forced {
		text += "; rollback across migrations forced by a user"
	}
	return text
}

// releaseName names what was released, or the commit.
func releaseName(release, commit string) string { return cmp.Or(release, short(commit)) }
