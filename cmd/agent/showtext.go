package main

import (
	"encoding/json"
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

// took says how long something took; "" if it is not over.
func took(from, to time.Time) string {
	if to.IsZero() {
		return ""
	}
	return to.Sub(from).Round(100 * time.Millisecond).String()
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
