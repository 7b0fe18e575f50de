package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/plural"
)

// statusServices adds the services that no rollout waits for: those that are healthy only as a number,
// unless all are asked for.
func statusServices(s *page, of statusView) {
	lines := report.ServiceLines(&of.status)
	if waiting(of.status) {
		lines = slices.DeleteFunc(lines, func(line report.ServiceLine) bool {
			return slices.ContainsFunc(of.status.Rollout.Services, func(one deploy.ServiceResult) bool {
				return strings.TrimPrefix(one.Name, of.status.Stack+"_") == line.Name
			})
		})
		if len(lines) > 0 {
			s.line()
		}
	}
	listed := lines
	if !of.all {
		listed = nil
		for _, line := range lines {
			if line.Tone != report.AllWell {
				listed = append(listed, line)
			}
		}
	}
	if len(listed) > 0 {
		s.line()
		s.table("SERVICE\tTASKS\tSTATE\tSINCE\tRESTARTS\tNODE\tIMAGE", func(row func(...any)) {
			for _, one := range listed {
				row(one.Name, orDash(one.Tasks), s.p.paint(headlineColours[one.Tone], one.Word), sinceOrDash(one.Since), number(one.Restarts), orDash(one.Node), orDash(one.Image))
			}
		}, "IMAGE", "NODE")
	}
	if healthy := len(lines) - len(listed); healthy > 0 {
		s.line(plural.Count(healthy, "service"), " healthy")
		if unknown := of.status.Unknown; unknown != nil {
			s.put(" when last seen, ", ago(unknown.Since))
		}
	}
}

func sinceOrDash(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return since(at)
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// statusLogs adds the health output and the logs of the services over which the last sync failed, as
// far as they have not become healthy since.
func statusLogs(s *page, status *report.Status) {
	if status.Rollout == nil || status.Sync == nil || !status.Sync.State.Final() {
		return
	}
	healthy := map[string]bool{}
	for _, one := range report.ServiceLines(status) {
		healthy[status.Stack+"_"+one.Name] = one.Tone == report.AllWell
	}
	var left report.Rollout
	for _, one := range status.Rollout.Services {
		if !healthy[one.Name] {
			left.Services = append(left.Services, one)
		}
	}
	detailsScreen(s, &left)
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

// rolloutView is a rollout, and the stack that it is of.
type rolloutView struct {
	rollout *report.Rollout
	stack   string // "" if it is not known: services then have their full names
}

// rolloutScreen shows how far a rollout is, and the services that it waits for.
func rolloutScreen(s *page, of rolloutView) {
	s.put(of.rollout.Counts(), " after ", since(of.rollout.Started))
	if s.p.width > 0 {
		statusProgress(s, of.rollout)
	}
	rolloutServices(s, of)
}

// statusRollout adds what rolloutScreen shows to a status, whose first line has the count.
func statusRollout(s *page, of rolloutView) {
	s.line()
	if s.p.width > 0 {
		statusProgress(s, of.rollout)
	} else {
		s.line(of.rollout.Counts(), " after ", since(of.rollout.Started))
	}
	if len(of.rollout.Waiting()) > 0 {
		s.line()
	}
	rolloutServices(s, of)
}

// rolloutServices adds the services that a rollout waits for.
func rolloutServices(s *page, of rolloutView) {
	waiting := of.rollout.Waiting()
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
			row(strings.TrimPrefix(one.Name, of.stack+"_"), fmt.Sprint(one.Ready, "/", one.Want), one.State, message)
		}
	}, "STATE")
}

// statusProgress adds bars of services, of tasks, and of the time that is left.
func statusProgress(s *page, rollout *report.Rollout) {
	services, ready, tasks := rollout.Ready()
	s.bar("services", float64(services)/float64(max(1, len(rollout.Services))), fmt.Sprintf("%d/%d", services, len(rollout.Services)))
	s.bar("tasks", float64(ready)/float64(max(1, tasks)), fmt.Sprintf("%d/%d", ready, tasks))
	if limit := rollout.Until.Sub(rollout.Started); limit > 0 {
		passed := min(time.Since(rollout.Started), limit)
		s.bar("time", float64(passed)/float64(limit), fmt.Sprintf("%s of %s", roughly(passed), roughly(limit)))
	} else {
		s.line("  ", pad("time"), since(rollout.Started))
	}
}

// bar adds a bar of which a share is filled.
func (s *page) bar(name string, share float64, text string) {
	room := min(100, max(10, s.p.width-12-len(" 00m of 00m")-3))
	full := int(share * float64(room))
	s.line("  ", pad(name), "[", strings.Repeat("#", full), strings.Repeat("-", room-full), "] ", text)
}
