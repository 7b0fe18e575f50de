package main

import (
	"fmt"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/oneline"
)

// versionScreen shows what program this is.
func versionScreen(s *page, facts map[string]string) {
	s.put("agent ", facts["version"], " (", facts["go"], ", ", facts["platform"], ")")
}

// historyScreen lists syncs, on a node with several stacks with the stack of each.
func historyScreen(s *page, syncs []record.Sync) {
	head, several := markup("ID\tSTARTED\t"), slices.ContainsFunc(syncs, func(sync record.Sync) bool { return sync.Key != "" })
	if several {
		head += "STACK\t"
	}
	s.table(head+"COMMIT\tREF\tRELEASE\tTRIGGER\tWAITED\tTOOK\tSTATE\tAUTHOR\tSUBJECT\tWHAT+", func(row func(...any)) {
		for i := range syncs {
			sync := &syncs[i]
			state := string(sync.State)
			if sync.Good {
				state += ", good"
			}
			trigger := joinShown(sync.Trigger)
			if sync.Actor.Person() {
				trigger += joinShown(" by ", sync.Actor)
			}
			cells := []any{sync.ID, s.moment(sync.Started, zoned)}
			if several {
				cells = append(cells, orDash(string(sync.Key)))
			}
			row(append(cells, short(sync.Commit), sync.Ref, orDash(sync.Release), trigger,
				orDash(lasted(report.Waited(sync))), orDash(lasted(report.Worked(sync))), state,
				orDash(audit.AuthorName(sync.Author)), orDash(oneline.Cut(tidy(sync.Subject), 50)), tidy(report.What(sync)))...)
		}
	}, "SUBJECT", "AUTHOR", "WAITED", "TRIGGER", "REF", "RELEASE", "TOOK")
}

// logScreen lists entries of the audit log.
func logScreen(s *page, entries []audit.Entry) {
	s.table("NO\tTIME\tWHO\tACTION\tOBJECT\tCOMMIT\tOUTCOME\tWHAT+", func(row func(...any)) {
		for _, one := range entries {
			row(one.Seq, s.moment(one.Time, local), tidy(one.Actor.String()), one.Action, fmt.Sprint(one.Kind, " ", one.Name), orDash(short(one.Revision)), one.Outcome,
				tidy(joined("; ", one.Error, after("by ", one.Service), one.Detail)))
		}
	}, "COMMIT")
}

// moment gives a time as a function does, but on a narrow terminal without seconds and zone.
func (s *page) moment(at time.Time, wide func(time.Time) string) string {
	if s.p.width > 0 && s.p.width < 120 {
		return minute(at)
	}
	return wide(at)
}

// lasted gives a length of time; "" for none.
func lasted(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.Round(100 * time.Millisecond).String()
}
