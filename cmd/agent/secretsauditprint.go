package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"coin.internal/coin-agent/provenance"
)

func printSecretsAudit(p printer, report *provenance.Report) {
	branch := ""
	if report.Branch != "" {
		branch = " (" + printable(report.Branch) + ")"
	}
	p.line("%s at %s%s, %s since %s", report.Environment, short(report.Commit), branch,
		counted(report.Commits, "commit", "commits"), report.Since.Local().Format(time.DateOnly))
	for _, warning := range report.Warnings {
		p.line("%s: %s", p.paint(yellow, "warning"), warning)
	}
	for rest := report.Secrets; len(rest) > 0; {
		end := slices.IndexFunc(rest, func(s *provenance.Secret) bool { return s.Name != rest[0].Name })
		if end < 0 {
			end = len(rest)
		}
		p.printSecret(rest[:end])
		rest = rest[end:]
	}
}

// printSecret prints a secret of all its nodes.
func (p printer) printSecret(nodes []*provenance.Secret) {
	p.line("\n%s", printable(nodes[0].Name))
	for _, secret := range nodes {
		p.line("  %s: %s", secret.Node, rotation(p, secret))
		for _, warning := range secret.Warnings {
			p.line("    %s: %s: %s, %s", p.paint(yellow, "warning"), short(warning.Commit), printable(warning.Author), warning.Text)
		}
	}
	var rows [][]string
	for _, secret := range nodes {
		for i := len(secret.Entries) - 1; i >= 0; i-- {
			rows = append(rows, entryRow(secret, secret.Entries[i]))
		}
	}
	p.table([]string{"  NODE", "VERSION", "COMMITTED", "BY", "COMMIT", "CHANGE", "MERGED", "APPLIED"}, rows)
}

// rotation gives the age of a secret's value, and by how much its rotation is overdue.
func rotation(p printer, secret *provenance.Secret) string {
	if secret.Removed {
		return "removed"
	}
	text := "version " + versionText(secret.Version, secret.Object == "" && secret.Version == "")
	if secret.Version == "" && secret.Object != "" {
		text = "no version (" + printable(secret.Object) + ")"
	}
	if secret.External {
		text += ", external"
	}
	last := secret.Rotated
	switch {
	case last == nil:
		text += ", its value is not in git"
	case last.AtLeast:
		text += fmt.Sprintf(", rotated %s or before (at least %s ago)", last.At.Local().Format(time.DateOnly), counted(last.AgeDays, "day", "days"))
	default:
		text += fmt.Sprintf(", rotated %s (%s ago) by %s", last.At.Local().Format(time.DateOnly), counted(last.AgeDays, "day", "days"), printable(last.By))
	}
	if secret.RotationDays == 0 {
		return text
	}
	text += fmt.Sprintf(", due every %s", counted(secret.RotationDays, "day", "days"))
	if secret.OverdueDays > 0 {
		text += ": " + p.paint(red, "overdue by "+counted(secret.OverdueDays, "day", "days"))
	}
	return text
}

func versionText(version string, unknown bool) string {
	switch {
	case unknown:
		return "unknown (encrypted)"
	case version == "":
		return "-"
	}
	return printable(version)
}

func entryRow(secret *provenance.Secret, entry *provenance.Entry) []string {
	version := versionText(entry.Version, entry.Sealed)
	if entry.Version == "auto" && entry.Object != "" {
		version = printable(entry.Object)
	}
	if entry.Current {
		version += " *"
	}
	return []string{
		"  " + secret.Node, version, entry.Commit.Authored.Local().Format("2006-01-02 15:04"), printable(entry.Commit.Author),
		short(entry.Commit.Hash), string(entry.Change), mergedText(entry), appliedText(entry),
	}
}

func mergedText(entry *provenance.Entry) string {
	by := ""
	if entry.Merged != nil {
		by = "by " + printable(entry.Merged.Author)
	}
	return orDash(joined(" ", printable(entry.Request), by))
}

func appliedText(entry *provenance.Entry) string {
	switch {
	case entry.Applied != nil:
		return entry.Applied.At.Local().Format("2006-01-02 15:04")
	case !entry.Created.IsZero():
		return "created " + entry.Created.Local().Format("2006-01-02 15:04")
	case entry.Skipped:
		return "replaced before merge"
	case entry.Change == provenance.Gone:
		return "-"
	}
	return "unknown"
}

// writeSecretsCSV writes one line for each secret, version and node.
func writeSecretsCSV(w io.Writer, report *provenance.Report) error {
	lines := csv.NewWriter(w)
	lines.UseCRLF = true // RFC 4180
	header := []string{
		"environment", "secret", "node", "variable", "version", "object", "current", "change", "new_value",
		"commit", "author", "author_email", "authored", "committer", "committer_email", "committed", "subject",
		"merge_commit", "merged_by", "merged", "merge_request", "applied", "applied_commit", "applied_source", "created",
		"rotated", "rotated_by", "age_days", "rotation_days", "overdue_days", "warning",
	}
	rows := [][]string{header}
	for _, secret := range report.Secrets {
		for _, entry := range secret.Entries {
			rows = append(rows, csvRow(report.Environment, secret, entry))
		}
	}
	if err := lines.WriteAll(rows); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// csvRow gives the cells of an entry. What git does not show is empty.
func csvRow(environment string, secret *provenance.Secret, entry *provenance.Entry) []string {
	version := entry.Version
	if entry.Sealed {
		version = versionText("", true)
	}
	merged, applied := cmp.Or(entry.Merged, &provenance.Commit{}), cmp.Or(entry.Applied, &provenance.Applied{})
	last, age := &provenance.Rotation{}, ""
	if secret.Rotated != nil {
		last, age = secret.Rotated, strconv.Itoa(secret.Rotated.AgeDays)
	}
	var warnings []string
	for _, warning := range secret.Warnings {
		if warning.Commit == entry.Commit.Hash {
			warnings = append(warnings, warning.Text)
		}
	}
	row := []string{
		environment, secret.Name, secret.Node, secret.Variable, version, entry.Object,
		strconv.FormatBool(entry.Current), string(entry.Change), string(entry.NewValue),
		entry.Commit.Hash, entry.Commit.Author, entry.Commit.AuthorEmail, csvTime(entry.Commit.Authored),
		entry.Commit.Committer, entry.Commit.CommitterEmail, csvTime(entry.Commit.Committed), entry.Commit.Subject,
		merged.Hash, merged.Author, csvTime(merged.Committed), entry.Request,
		csvTime(applied.At), applied.Commit, applied.Source, csvTime(entry.Created),
		csvTime(last.At), last.By, age, strconv.Itoa(secret.RotationDays), strconv.Itoa(secret.OverdueDays),
		strings.Join(warnings, "; "),
	}
	for i, cell := range row {
		row[i] = csvCell(cell)
	}
	return row
}

func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// csvCell quotes a text that a spreadsheet would run as a formula.
func csvCell(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t\r\n") {
		return "'" + text
	}
	return text
}
