package main

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/checks"
)

// tidy makes one printable line of a text.
func tidy(text string) string { return printable(strings.Join(strings.Fields(text), " ")) }

func outcomeText(p printer, sync *record.Sync) string {
	colour := yellow
	switch sync.State {
	case record.Succeeded:
		colour = green
	case record.Failed:
		colour = red
	case record.Pending, record.Waiting, record.Running, record.RolledBack, record.Superseded:
	}
	text := p.paint(colour, strings.ReplaceAll(string(sync.State), "_", " "))
	if sync.Good {
		text += ", a good state"
	}
	return text
}

// shownPlan gives the lines of a sync's plan, in colours; none if it changes nothing.
func shownPlan(p printer, m *report.Manifest) []string {
	if m.Plan == nil || m.Plan.Empty() {
		return nil
	}
	var lines []string
	for _, line := range report.PlanLines(*m.Plan) {
		lines = append(lines, p.paint(toneColours[line.Tone], printable(line.Text)))
	}
	return lines
}

// tookText gives the start of a sync, its duration, and the time of each stage.
func tookText(m *report.Manifest) string {
	text := m.Started.Local().Format(time.DateTime)
	if m.Finished != nil {
		text += ", took " + m.Finished.Sub(m.Started).Round(100*time.Millisecond).String()
	}
	var parts []string
	for _, stage := range m.Stages {
		if stage.Seconds >= 0.05 {
			parts = append(parts, fmt.Sprintf("%s %.1fs", stage.Stage, stage.Seconds))
		}
	}
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	return text
}

// gateText gives a gate in one line; "" for a gate without a text.
func gateText(gate record.Gate) string {
	switch {
	case gate.Waiting == "" && gate.Passed == "":
		return ""
	case gate.Waiting == "":
		return string(gate.Name) + ": " + gate.Passed
	}
	text := string(gate.Name) + ": " + gate.Waiting
	if !gate.Since.IsZero() {
		text += ", since " + gate.Since.Local().Format(time.DateTime)
	}
	if !gate.Until.IsZero() {
		text += ", until " + gate.Until.Local().Format(time.DateTime)
	}
	return text
}

// migrationText gives the migrations of the database; "" if the agent did not read them.
func migrationText(at *record.Migration) string {
	if at == nil {
		return ""
	}
	number := func(id *int64) string {
		if id == nil {
			return "?"
		}
		return fmt.Sprint(*id)
	}
	text := fmt.Sprintf("%s: %s before, %s after", at.Table, number(at.Before), number(at.After))
	if at.Expected != nil {
		text += fmt.Sprintf(", the release expects %d", *at.Expected)
	}
	if at.Forced {
		text += "; rollback across migrations forced by a user"
	}
	return text
}

// rollbackTook says how long a rollback took; "" if none was made, or it is under way.
func rollbackTook(back *record.Rollback) string {
	if back.Finished.IsZero() || back.Refused != "" {
		return ""
	}
	return ", after " + back.Finished.Sub(back.Started).Round(100*time.Millisecond).String()
}

// imageText gives a service's image, and the tag that it had before if the tag
// changed.
func imageText(service report.Service) string {
	name := func(parts report.Image) string {
		if parts.Tag == "" {
			return path.Base(parts.Name)
		}
		return path.Base(parts.Name) + ":" + parts.Tag
	}
	text := name(service.Image)
	switch before := service.Before; {
	case before == nil || *before == service.Image:
	case before.Name == service.Image.Name && before.Tag != service.Image.Tag:
		text = path.Base(before.Name) + ":" + before.Tag + " -> " + service.Image.Tag
	case before.Name == service.Image.Name:
		text += " (another digest)"
	default:
		text = name(*before) + " -> " + text
	}
	return text
}

// checksText gives the check results of a sync in one text; "" if it had no checks.
func checksText(sync *record.Sync) string {
	var results []checks.Result
	if len(sync.Checks) == 0 || json.Unmarshal(sync.Checks, &results) != nil {
		return ""
	}
	return checks.Summary(results)
}
