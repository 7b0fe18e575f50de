package main

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/policy"
)

// statusScreen shows the status of a node.
func statusScreen(s *page, status report.Status) {
	s.put(status.Environment, "/", status.Node, "  ", verdict(s.p, status))
	if status.Mode != "" {
		s.line("  mode      ", s.yellow(status.Mode+": the agent plans and reports, and changes nothing"))
	}
	s.line("  stack     ", orDash(status.Stack))
	s.followed(&status)
	if status.Sync != nil {
		s.lastSync(&status)
	}
	for _, one := range status.Contests {
		s.line("  contested ", s.yellow(report.ContestText(status.Stack, one)), "; corrected again in ", until(one.Again))
	}
	for _, one := range status.Forbidden {
		s.line("  refused   ", s.red("drift is not corrected: "+tidy(one.Error)))
	}
	for _, one := range status.Ignored {
		s.line("  ignored   ", tidy(report.IgnoredText(status.Stack, one)))
	}
	for _, one := range status.Tags {
		s.line("  tag       ", s.yellow(tidy(one)))
	}
	if status.Group != "" {
		s.line("  group     ", s.yellow(status.Group))
	}
	s.looking(&status)
	if status.Policy != nil {
		s.policy(status.Policy)
	}
	if status.GitLab != nil {
		s.gitlab(status.GitLab)
	}
	s.tokens(status.Tokens)
	for i, place := range status.Anchors {
		s.anchor(i, place)
	}
	for _, one := range status.Overdue {
		s.overdue(status.Environment, one)
	}
	if status.Notices != nil && len(status.Notices.Receivers) > 0 {
		s.notices(status.Notices)
	}
	if len(status.Services) > 0 {
		s.services(status)
	}
	s.line()
	s.line("next: ", status.Next)
}

// followed adds what the node follows, what was applied, and what holds it there.
func (s *page) followed(status *report.Status) {
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
	if p := status.Pinned; p != nil {
		s.line("  pinned    at ", short(p.Commit), " release ", orDash(p.Release), " since ", local(p.Since), " by ", p.By, after(": ", tidy(p.Reason)))
	}
	if p := status.Pause; p != nil {
		s.line("  paused    until ", pauseEnd(p), ", since ", local(p.Since), " by ", p.Actor, ": ", tidy(p.Reason))
	}
}

// lastSync adds the current or last sync.
func (s *page) lastSync(status *report.Status) {
	sync := status.Sync
	s.line("  sync      #", sync.ID, " of ", short(sync.Commit), " (", sync.Trigger, ") ", sync.State)
	if !sync.State.Final() {
		s.put(" at ", sync.Stage)
	}
	s.put(", ", ago(sync.Started))
	s.result(sync)
	if status.Progress != "" && status.Rollout == nil {
		s.indented(status.Progress)
	}
	const most = 3
	for i, warning := range sync.Warnings {
		if i < most {
			s.indented(s.yellow("warning:"), " ", warning)
		}
	}
	if more := len(sync.Warnings) - most; more > 0 {
		s.indented(s.dim(counted(more, "more warning", "more warnings") + ": see `agent status -o json`"))
	}
	switch {
	case status.Rollout == nil:
	case sync.State.Final():
		detailsScreen(s, status.Rollout)
	default:
		s.line()
		s.line()
		rolloutScreen(s, status.Rollout)
		s.line()
	}
}

// looking adds when the remote is looked at.
func (s *page) looking(status *report.Status) {
	switch {
	case status.PollError != "" && (status.Sync == nil || status.PollError != status.Sync.Error):
		s.line("  looking   ", s.red(status.PollError), "; again in ", until(status.NextPoll))
		s.hint(status.PollHint)
	case status.Running && status.LastLook.IsZero():
		s.line("  looking   for the first time since the agent started, ", ago(status.Started))
	case status.Running:
		s.line("  looking   last ", ago(status.LastLook), ", next in ", until(status.NextPoll))
	}
}

func (s *page) policy(state *policy.State) {
	if state.Rules == nil {
		s.line("  policy    ", s.yellow("warning: "+policy.Warning))
		s.hint("`agent policy suggest` prints one for agent.yml")
	}
	if state.Error != "" {
		s.line("  policy    ", s.red("not reloaded: "+tidy(state.Error)), "; the one before is in force")
		s.hint(state.Hint)
	}
}

func (s *page) gitlab(health *gitlab.Health) {
	delivered := "all statuses delivered"
	if health.Undelivered != 0 {
		delivered = counted(health.Undelivered, "report", "reports") + " not delivered"
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

// tokens adds the GitLab tokens, with their problems.
func (s *page) tokens(states []tokens.State) {
	for i, token := range states {
		name := "tokens    "
		if i > 0 {
			name = "          "
		}
		s.line("  ", name, token.Setting, ": ")
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

// anchor adds how far a place outside of the node knows the audit log.
func (s *page) anchor(i int, place anchor.Health) {
	name := "anchors  "
	if i > 0 {
		name = "         "
	}
	s.line("  ", name, " ", place.Place, ": ")
	if place.Left != 0 {
		s.put(counted(place.Left, "entry", "entries"), " of the audit log not anchored")
	} else {
		s.put("entry ", place.Entry, " of the audit log")
	}
	if place.Error != "" {
		s.indented(s.red(tidy(place.Error)))
		s.hint(place.Hint)
	}
}

func (s *page) overdue(environment string, one inventory.Rotation) {
	s.line("  rotation  ", s.yellow(one.Name+" is "+since(one.Created)+" old and should have been rotated "+since(one.Due)+" ago"))
	s.indented("hint: agent secrets rotate ", one.Secret, " --environment ", environment)
}

func (s *page) notices(health *notify.Health) {
	sent := "all notices sent"
	if health.Undelivered != 0 {
		sent = counted(health.Undelivered, "notice", "notices") + " not sent to all receivers"
	}
	s.line("  notices   ", sent)
	if health.Dropped != 0 {
		s.put(", ", health.Dropped, " dropped (see the log)")
	}
	for _, receiver := range health.Receivers {
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

// services adds the services, and what has drifted besides them.
func (s *page) services(status report.Status) {
	s.line()
	s.line()
	s.table("SERVICE\tIMAGE\tTASKS\tSEEN\tSTATE", func(row func(...any)) {
		for _, one := range status.Services {
			row(one.Name, path.Base(one.Image), tasks(one), ago(status.Observed), serviceState(s.p, one, report.DriftOf(&status, one.Name)))
		}
	})
	for _, step := range report.Unlisted(&status) {
		s.line(step.Name, ": ", s.yellow(report.DriftOf(&status, step.Name)))
	}
}

// result adds the errors of a sync, the gates that it waits at, or what it did.
func (s *page) result(sync *record.Sync) {
	switch {
	case sync.Error != "":
		for _, one := range sync.All() {
			s.indented(s.red(string(sync.Stage) + ": " + one.Error))
			s.hint(one.Hint)
		}
		if sync.Transient {
			s.indented("it is tried again automatically")
		} else if sync.State == record.Failed {
			s.indented("held: not tried again until a new commit or `agent retry`")
		}
	case sync.Waiting != "":
		s.waiting(sync)
	case sync.Summary != "":
		s.indented(sync.Summary)
	}
	if text := checksText(sync); text != "" {
		s.indented("checks: ", text)
	}
	if sync.Migration != nil {
		s.indented("migrations: ", migrationText(sync.Migration))
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
		s.hint(tidy(back.Hint))
	default:
		s.indented(s.yellow("rollback: " + tidy(report.Outcome(back))))
		s.hint(tidy(back.Hint))
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

// detailsScreen shows the health output and the logs of the services that were not ready. Their
// errors are in the faults of the sync.
func detailsScreen(s *page, rollout *report.Rollout) {
	lines := func(name string, lines []string) {
		for i, line := range lines {
			if i > 0 {
				name = "        "
			}
			s.line("    ", name, printable(line))
		}
	}
	for _, one := range rollout.Waiting() {
		if len(one.Health) == 0 && len(one.Logs) == 0 {
			continue
		}
		s.line("  ", one.Name, "  ", one.Ready, "/", one.Want, after(" on ", one.Node))
		lines("health  ", one.Health)
		lines("log     ", one.Logs)
	}
}

// rolloutScreen shows the services that a rollout waits for, and for how long it has waited.
func rolloutScreen(s *page, rollout *report.Rollout) {
	waiting := rollout.Waiting()
	s.put(len(rollout.Services)-len(waiting), " of ", len(rollout.Services), " services ready after ", since(rollout.Started))
	if len(waiting) == 0 {
		return
	}
	s.line()
	s.table("SERVICE\tREADY\tSTATE\tWAITING FOR", func(row func(...any)) {
		for _, one := range waiting {
			message := shown(printable(report.Message(one)))
			if one.State == deploy.Failed {
				message = s.red(string(message))
			}
			row(one.Name, fmt.Sprint(one.Ready, "/", one.Want), one.State, message)
		}
	})
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
