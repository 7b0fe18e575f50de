package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/doctor"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/oneline"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/provenance"
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
	filled := func(name string, data any) (string, error) {
		var text strings.Builder
		err := all.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	all.Funcs(template.FuncMap{"text": filled, "table": func(name string, data any) (markup, error) {
		rows, err := filled(name, data)
		var text strings.Builder
		w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, rows)
		err = errors.Join(err, w.Flush())
		return markup(strings.TrimSuffix(text.String(), "\n")), err
	}})
	var text strings.Builder
	err := guard(template.Must(all.ParseFS(screens, "screens/*"))).ExecuteTemplate(&text, name, data)
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
		"shown":  shown,
		"red":    func(text string) markup { return p.paint(red, text) },
		"green":  func(text string) markup { return p.paint(green, text) },
		"yellow": func(text string) markup { return p.paint(yellow, text) },
		"dim":    func(text string) markup { return p.paint(dim, text) },

		"add":       func(a, b int) int { return a + b },
		"after":     after,
		"age":       func(from, to time.Time) string { return roughly(to.Sub(from)) },
		"ago":       ago,
		"backward":  slices.Backward[[]*provenance.Entry],
		"base":      path.Base,
		"byWhom":    byWhom,
		"clock":     func(at time.Time) string { return gates.Clock(at.Local(), time.Now()) },
		"contains":  strings.Contains,
		"noPolicy":  func() string { return policy.Warning },
		"counted":   counted,
		"dash":      orDash,
		"day":       func(at time.Time) string { return at.Local().Format(time.DateOnly) },
		"fact":      fact,
		"joined":    joined,
		"join":      func(texts []string) string { return strings.Join(texts, ", ") },
		"local":     func(at time.Time) string { return at.Local().Format(time.DateTime) },
		"minute":    func(at time.Time) string { return at.Local().Format("2006-01-02 15:04") },
		"printable": printable,
		"short":     short,
		"row":       row,
		"since":     func(at time.Time) string { return roughly(time.Since(at)) },
		"subtract":  func(a, b int) int { return a - b },
		"tidy":      tidy,
		"took":      took,
		"authored":  audit.AuthorName,
		"cut":       func(most int, text string) string { return oneline.Cut(text, most) },
		"waited":    func(sync record.Sync) string { return lasted(report.Waited(&sync)) },
		"worked":    func(sync record.Sync) string { return lasted(report.Worked(&sync)) },
		"zoned":     zoned,
		"until":     func(at time.Time) string { return roughly(time.Until(at)) },

		"checksText":    checksText,
		"collectable":   deploy.Collectable,
		"contest":       report.ContestText,
		"drift":         driftOf,
		"failedRollout": report.FailedRollout,
		"fate":          fateText,
		"ignored":       report.IgnoredText,
		"loosens":       report.Loosens,
		"message":       report.Message,
		"nextStep":      report.NextStep,
		"outcome":       report.Outcome,
		"pauseEnd":      pauseEnd,
		"planLines":     report.PlanLines,
		"sealed":        func() string { return sealedVersion },
		"summary":       checks.Summary,
		"tasks":         tasks,
		"unlisted":      unlisted,
		"users":         usersText,
		"valueFile":     valueFile,

		"grade":   func(f doctor.Finding) markup { return p.paint(gradeColours[f.Grade], string(f.Grade)) },
		"service": func(s deploy.ServiceStatus, drift string) markup { return serviceState(p, s, drift) },
		"tone":    func(line report.Line) markup { return p.paint(toneColours[line.Tone], line.Text) },
		"verdict": func(s report.Status) markup { return verdict(p, s) },
	}
}

// fact gives a line with a name before its text.
func fact(name any, format string, args ...any) markup {
	return markup(fmt.Sprintf("\n  %-9s %s", shown(name), tidy(fmt.Sprintf(format, args...))))
}

// row gives a line of a table.
func row(cells ...any) markup {
	texts := make([]string, 0, len(cells))
	for _, cell := range cells {
		texts = append(texts, string(shown(cell)))
	}
	return markup("\n" + strings.Join(texts, "\t"))
}

// after gives a text with another before it; "" if the text is empty.
func after(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// tidy makes one printable line of a text.
func tidy(text string) string { return printable(strings.Join(strings.Fields(text), " ")) }

// took says how long something took; "" if it is not over.
func took(from, to time.Time) string {
	if to.IsZero() {
		return ""
	}
	return to.Sub(from).Round(100 * time.Millisecond).String()
}

// lasted gives a length of time; "" for none.
func lasted(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.Round(100 * time.Millisecond).String()
}

// checksText gives the check results of a sync in one text; "" if it had no checks.
func checksText(sync *record.Sync) string {
	var results []checks.Result
	if len(sync.Checks) == 0 || json.Unmarshal(sync.Checks, &results) != nil {
		return ""
	}
	return checks.Summary(results)
}
