package main

import (
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
)

// pauseEnd says when a pause ends.
func pauseEnd(pause *record.Pause) string {
	if pause.Until.IsZero() {
		return "a user runs `agent resume`"
	}
	return gates.Clock(pause.Until.Local(), time.Now())
}

// waits gives each gate that a sync waits at, since when, and until when.
func waits(sync *record.Sync) []string {
	var texts []string
	for _, gate := range sync.Gates {
		if gate.Waiting == "" {
			continue
		}
		text := tidy(gate.Waiting)
		if !gate.Since.IsZero() {
			text += ", for " + roughly(time.Since(gate.Since))
		}
		if !gate.Until.IsZero() && !strings.Contains(gate.Waiting, "until ") {
			text += ", until " + gates.Clock(gate.Until.Local(), time.Now())
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return []string{tidy(sync.Waiting)}
	}
	return texts
}
