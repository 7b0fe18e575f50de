package main

import (
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// printHeld shows the pin and the pause of the node.
func printHeld(p printer, s report.Status) {
	if at := s.Pinned; at != nil {
		why := ""
		if at.Reason != "" {
			why = ": " + tidy(at.Reason)
		}
		p.line("  pinned    at %s release %s since %s by %s%s", short(at.Commit), orDash(at.Release), at.Since.Local().Format(time.DateTime), at.By, why)
	}
	if pause := s.Pause; pause != nil {
		until := "a user runs `agent resume`"
		if !pause.Until.IsZero() {
			until = gates.Clock(pause.Until.Local(), time.Now())
		}
		p.line("  paused    until %s, since %s by %s: %s", until, pause.Since.Local().Format(time.DateTime), pause.Actor, tidy(pause.Reason))
	}
}

// printSyncResult shows the errors of a sync, the gates it waits at, or what it did.
func printSyncResult(p printer, sync *record.Sync) {
	switch {
	case sync.Error != "":
		for _, one := range sync.All() {
			p.line("            %s", p.paint(red, string(sync.Stage)+": "+one.Error))
			printHint(p, one.Hint)
		}
		if sync.Transient {
			p.line("            it is tried again automatically")
		} else if sync.State == record.Failed {
			p.line("            held: not tried again until a new commit or `agent retry`")
		}
	case sync.Waiting != "":
		printWaiting(p, sync)
	case sync.Summary != "":
		p.line("            %s", sync.Summary)
	}
}

// printWaiting shows each gate that a sync waits at, since when, and until when.
func printWaiting(p printer, sync *record.Sync) {
	shown := false
	for _, gate := range sync.Gates {
		if gate.Waiting == "" {
			continue
		}
		text := "waiting: " + tidy(gate.Waiting)
		if !gate.Since.IsZero() {
			text += ", for " + roughly(time.Since(gate.Since))
		}
		if !gate.Until.IsZero() && !strings.Contains(gate.Waiting, "until ") {
			text += ", until " + gates.Clock(gate.Until.Local(), time.Now())
		}
		p.line("            %s", text)
		shown = true
	}
	if !shown {
		p.line("            waiting: %s", tidy(sync.Waiting))
	}
}

// printRollbackResult shows the result of a rollback.
func printRollbackResult(p printer, sync *record.Sync) {
	back := sync.Rollback
	switch {
	case back == nil || sync.Unchanged:
	case sync.State == record.RolledBack:
		if sync.Error != "" {
			p.line("            %s", p.paint(yellow, tidy(sync.Summary)))
		}
	case back.Refused != "":
		p.line("            %s", p.paint(red, "not rolled back: "+tidy(back.Refused)))
		printHint(p, tidy(back.Hint))
	default:
		p.line("            %s", p.paint(yellow, "rollback: "+tidy(report.Outcome(back))))
		printHint(p, tidy(back.Hint))
	}
}
