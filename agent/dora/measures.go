package dora

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"time"
)

// Measure is one line of a report: a value, its goal, and whether that is met.
type Measure struct {
	Name   string   `json:"name"`
	Value  *float64 `json:"value,omitempty"` // nil if nothing was counted
	Unit   string   `json:"unit"`            // seconds, percent, or per week
	Count  int      `json:"count"`           // of what the value is made
	Before *float64 `json:"before,omitempty"`
	Goal   string   `json:"goal"`
	Met    *bool    `json:"met,omitempty"` // nil if that is not known
}

// The units of measures.
const (
	seconds = "seconds"
	percent = "percent"
	perWeek = "per week"
)

// measures makes the lines of a report.
func measures(r *Report) []Measure {
	share := func(p *Period) float64 { return 100 * float64(p.Failed) / float64(p.Deployments) }
	lines := []Measure{
		r.measure("deployment frequency", perWeek, "twice that of the period before",
			func(p *Period) (float64, int) { return p.PerWeek, p.Releases }),
		r.measure("lead time (median)", seconds, "half that of the period before",
			func(p *Period) (float64, int) { return p.Lead.Median, p.Lead.Count }),
		r.measure("change failure rate", percent, "under 5 %",
			func(p *Period) (float64, int) { return share(p), p.Deployments }),
		r.measure("success rate", percent, "over 95 %",
			func(p *Period) (float64, int) { return 100 - share(p), p.Deployments }),
		r.measure("time to recover (mean)", seconds, "under 30m",
			func(p *Period) (float64, int) { return p.Recovery.Mean, p.Recovery.Count }),
		r.measure("approval time (95 %)", seconds, "under 2h",
			func(p *Period) (float64, int) { return p.Approval.P95, p.Approval.Count }),
		r.measure("deployment time (95 %)", seconds, "under 15m",
			func(p *Period) (float64, int) { return p.Rollout.P95, p.Rollout.Count }),
		r.measure("rollback time (95 %)", seconds, "under 5m",
			func(p *Period) (float64, int) { return p.Rollbacks.P95, p.Rollbacks.Count }),
	}
	for i, limit := range []func(now float64, before *float64) *bool{
		func(now float64, before *float64) *bool {
			return compared(before, func(b float64) bool { return now >= 2*b })
		},
		func(now float64, before *float64) *bool {
			return compared(before, func(b float64) bool { return now <= b/2 })
		},
		under(5), func(now float64, _ *float64) *bool { return new(now > 95) },
		under((30 * time.Minute).Seconds()), under((2 * time.Hour).Seconds()), under((15 * time.Minute).Seconds()), under((5 * time.Minute).Seconds()),
	} {
		if line := &lines[i]; line.Value != nil {
			line.Met = limit(*line.Value, line.Before)
		}
	}
	return lines
}

// measure makes a line; of gives its value in a period, and of how many it is made.
func (r *Report) measure(name, unit, goal string, of func(*Period) (float64, int)) Measure {
	line := Measure{Name: name, Unit: unit, Goal: goal}
	value, n := of(&r.Now)
	if line.Count = n; n > 0 {
		line.Value = &value
	}
	if r.Before != nil {
		if before, n := of(r.Before); n > 0 {
			line.Before = &before
		}
	}
	return line
}

func under(goal float64) func(float64, *float64) *bool {
	return func(now float64, _ *float64) *bool { return new(now < goal) }
}

func compared(before *float64, met func(float64) bool) *bool {
	if before == nil {
		return nil
	}
	return new(met(*before))
}

// Text gives a value with its unit; "-" without one.
func (m *Measure) Text(value *float64) string {
	switch {
	case value == nil:
		return "-"
	case m.Unit == seconds:
		return (time.Duration(*value) * time.Second).String()
	case m.Unit == percent:
		return fmt.Sprintf("%.1f %%", *value)
	}
	return fmt.Sprintf("%.1f %s", *value, m.Unit)
}

// Verdict gives in a word whether the goal is met.
func (m *Measure) Verdict() string {
	switch {
	case m.Met == nil:
		return "-"
	case *m.Met:
		return "met"
	}
	return "missed"
}

// Notes are what a reader has to know about the report.
func (r *Report) Notes() []string {
	notes := []string{fmt.Sprintf("%d deployments of %d releases to %s; %d failed.", r.Now.Deployments, r.Now.Releases, strings.Join(r.Nodes, ", "), r.Now.Failed)}
	if !r.Oldest.IsZero() {
		notes = append(notes, "The history begins "+r.Oldest.Format(time.RFC3339)+": what was before is not counted.")
	}
	if r.Now.Open > 0 {
		notes = append(notes, fmt.Sprintf("%d failures have not ended, and are not in the time to recover.", r.Now.Open))
	}
	return notes
}

// Markdown gives the report as a table.
func (r *Report) Markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "# Delivery, %s to %s\n\n", r.Since.Format(time.DateOnly), r.Until.Format(time.DateOnly))
	for _, note := range r.Notes() {
		fmt.Fprintf(&text, "%s\n", note)
	}
	text.WriteString("\n| measure | value | of | before | goal | |\n|---|---|---|---|---|---|\n")
	for i := range r.Results {
		m := &r.Results[i]
		fmt.Fprintf(&text, "| %s | %s | %d | %s | %s | %s |\n", m.Name, m.Text(m.Value), m.Count, m.Text(m.Before), m.Goal, m.Verdict())
	}
	return text.String()
}

// CSV gives the measures, one a line.
func (r *Report) CSV() (string, error) {
	var text bytes.Buffer
	number := func(value *float64) string {
		if value == nil {
			return ""
		}
		return fmt.Sprintf("%.3f", *value)
	}
	rows := [][]string{{"since", "until", "measure", "value", "unit", "count", "before", "goal", "met"}}
	for i := range r.Results {
		m := &r.Results[i]
		met := ""
		if m.Met != nil {
			met = fmt.Sprint(*m.Met)
		}
		rows = append(rows, []string{
			r.Since.Format(time.RFC3339), r.Until.Format(time.RFC3339), m.Name, number(m.Value), m.Unit,
			fmt.Sprint(m.Count), number(m.Before), m.Goal, met,
		})
	}
	writer := csv.NewWriter(&text)
	err := writer.WriteAll(rows)
	return text.String(), err
}
