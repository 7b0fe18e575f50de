package main

import (
	"embed"
	"fmt"
	"io"
	"strings"
	"text/template"
	"time"

	"coin.internal/coin-agent/agent/doctor"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/checks"
)

// screens are the texts that fill a screen. Each line of them begins with its line break,
// so that a line that does not apply leaves nothing behind.
//
//go:embed screens
var screens embed.FS

// screen writes a screen about data.
func (p printer) screen(name string, data any) error {
	var text strings.Builder
	err := template.Must(template.New("").Funcs(p.functions()).ParseFS(screens, "screens/*")).ExecuteTemplate(&text, name, data)
	if err == nil && text.Len() > 0 {
		_, err = io.WriteString(p, strings.TrimPrefix(text.String(), "\n")+"\n")
	}
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// functions are what the screens call.
func (p printer) functions() template.FuncMap {
	return template.FuncMap{
		"red":    func(text string) string { return p.paint(red, text) },
		"green":  func(text string) string { return p.paint(green, text) },
		"yellow": func(text string) string { return p.paint(yellow, text) },
		"dim":    func(text string) string { return p.paint(dim, text) },

		"add":       func(a, b int) int { return a + b },
		"after":     after,
		"ago":       ago,
		"byWhom":    byWhom,
		"counted":   counted,
		"dash":      orDash,
		"fact":      fact,
		"join":      func(texts []string) string { return strings.Join(texts, ", ") },
		"local":     func(at time.Time) string { return at.Local().Format(time.DateTime) },
		"printable": printable,
		"short":     short,
		"subtract":  func(a, b int) int { return a - b },
		"tidy":      tidy,
		"until":     func(at time.Time) string { return roughly(time.Until(at)) },

		"checksText":    checksText,
		"failedRollout": report.FailedRollout,
		"gate":          gateText,
		"migration":     migrationText,
		"nextStep":      report.NextStep,
		"outcome":       report.Outcome,
		"pauseEnd":      pauseEnd,
		"rollbackTook":  rollbackTook,
		"summary":       checks.Summary,
		"took":          tookText,
		"waits":         waits,

		"grade":     func(f doctor.Finding) string { return p.paint(gradeColours[f.Grade], string(f.Grade)) },
		"overdue":   func(s report.Status) string { return p.captured(func(p printer) { printOverdue(p, s) }) },
		"planLines": func(m *report.Manifest) []string { return shownPlan(p, m) },
		"released":  func(m *report.Manifest) string { return p.captured(func(p printer) { printReleased(p, m) }) },
		"rollout":   func(r *report.Rollout) string { return p.captured(func(p printer) { printRollout(p, r) }) },
		"services":  func(s report.Status) string { return p.captured(func(p printer) { printServices(p, s) }) },
		"state":     func(sync *record.Sync) string { return outcomeText(p, sync) },
		"verdict":   func(s report.Status) string { return verdict(p, s) },
	}
}

// captured gives what write writes to a printer, without the line break at its end.
func (p printer) captured(write func(printer)) string {
	var text strings.Builder
	write(printer{Writer: &text, colour: p.colour})
	return strings.TrimSuffix(text.String(), "\n")
}

// fact gives a line with a name before its text.
func fact(name any, format string, args ...any) string {
	return fmt.Sprintf("\n  %-9s %s", name, tidy(fmt.Sprintf(format, args...)))
}

// after gives a text with another before it; "" if the text is empty.
func after(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
