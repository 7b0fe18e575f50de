package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
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

// screen writes a screen about data. A table in it is a template whose tabs become aligned
// columns. Colour goes into the last column only: its codes would break the alignment of
// the other columns.
func (p printer) screen(name string, data any) error {
	all := template.New("").Funcs(p.functions())
	all.Funcs(template.FuncMap{"table": func(name string, data any) (string, error) {
		var text strings.Builder
		w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		err := all.ExecuteTemplate(w, name, data)
		fmt.Fprintln(w)
		err = errors.Join(err, w.Flush())
		return strings.TrimSuffix(text.String(), "\n"), err
	}})
	var text strings.Builder
	err := template.Must(all.ParseFS(screens, "screens/*")).ExecuteTemplate(&text, name, data)
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
		"joined":    joined,
		"join":      func(texts []string) string { return strings.Join(texts, ", ") },
		"local":     func(at time.Time) string { return at.Local().Format(time.DateTime) },
		"printable": printable,
		"short":     short,
		"row":       row,
		"since":     func(at time.Time) string { return roughly(time.Since(at)) },
		"subtract":  func(a, b int) int { return a - b },
		"tidy":      tidy,
		"until":     func(at time.Time) string { return roughly(time.Until(at)) },

		"checksText":    checksText,
		"contest":       report.ContestText,
		"failedRollout": report.FailedRollout,
		"gate":          gateText,
		"history":       historyText,
		"ignored":       report.IgnoredText,
		"image":         imageText,
		"message":       report.Message,
		"migration":     migrationText,
		"nextStep":      report.NextStep,
		"outcome":       report.Outcome,
		"pauseEnd":      pauseEnd,
		"rollbackTook":  rollbackTook,
		"summary":       checks.Summary,
		"syncTook":      syncTook,
		"took":          tookText,
		"trigger":       triggerText,
		"waits":         waits,

		"grade":     func(f doctor.Finding) string { return p.paint(gradeColours[f.Grade], string(f.Grade)) },
		"overdue":   func(s report.Status) string { return p.captured(func(p printer) { printOverdue(p, s) }) },
		"planLines": func(m *report.Manifest) []string { return shownPlan(p, m) },
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

// row gives a line of a table.
func row(cells ...any) string {
	texts := make([]string, 0, len(cells))
	for _, cell := range cells {
		texts = append(texts, fmt.Sprint(cell))
	}
	return "\n" + strings.Join(texts, "\t")
}

// after gives a text with another before it; "" if the text is empty.
func after(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
