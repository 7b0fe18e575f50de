package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"coin.internal/coin-agent/provenance"
)

func printSecretsAudit(p printer, report *provenance.Report) {
	p.line("%s at %s%s, %s since %s", report.Environment, short(report.Commit), onBranch(report.Branch),
		counted(report.Commits, "commit", "commits"), report.Since.Local().Format(time.DateOnly))
	for _, warning := range report.Warnings {
		p.line("%s: %s", p.paint(yellow, "warning"), warning)
	}
	for i := 0; i < len(report.Secrets); {
		group := report.Secrets[i:]
		for j, secret := range group {
			if secret.Name != group[0].Name {
				group = group[:j]
				break
			}
		}
		p.printSecret(group)
		i += len(group)
	}
}

func onBranch(branch string) string {
	if branch == "" {
		return ""
	}
	return " (" + printable(branch) + ")"
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
	var parts []string
	if entry.Request != "" {
		parts = append(parts, printable(entry.Request))
	}
	if entry.Merged != nil {
		parts = append(parts, "by "+printable(entry.Merged.Author))
	}
	return orDash(strings.Join(parts, " "))
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
	if err := lines.Write(header); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	for _, secret := range report.Secrets {
		for _, entry := range secret.Entries {
			if err := lines.Write(csvLine(report.Environment, secret, entry)); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
	}
	lines.Flush()
	if err := lines.Error(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

func csvLine(environment string, secret *provenance.Secret, entry *provenance.Entry) []string {
	version := entry.Version
	if entry.Sealed {
		version = versionText("", true)
	}
	line := []string{
		environment, secret.Name, secret.Node, secret.Variable, version, entry.Object,
		strconv.FormatBool(entry.Current), string(entry.Change), string(entry.NewValue),
	}
	line = append(line, csvCommit(entry.Commit)...)
	merged := []string{"", "", ""}
	if entry.Merged != nil {
		merged = []string{entry.Merged.Hash, entry.Merged.Author, csvTime(entry.Merged.Committed)}
	}
	line = append(append(line, merged...), entry.Request)
	applied := []string{"", "", ""}
	if entry.Applied != nil {
		applied = []string{csvTime(entry.Applied.At), entry.Applied.Commit, entry.Applied.Source}
	}
	line = append(append(line, applied...), csvTime(entry.Created))
	line = append(line, csvRotation(secret)...)
	var warnings []string
	for _, warning := range secret.Warnings {
		if warning.Commit == entry.Commit.Hash {
			warnings = append(warnings, warning.Text)
		}
	}
	line = append(line, strings.Join(warnings, "; "))
	for i, cell := range line {
		line[i] = csvCell(cell)
	}
	return line
}

func csvCommit(c provenance.Commit) []string {
	return []string{
		c.Hash, c.Author, c.AuthorEmail, csvTime(c.Authored), c.Committer, c.CommitterEmail, csvTime(c.Committed), c.Subject,
	}
}

// csvRotation is empty where git does not show when the value changed.
func csvRotation(secret *provenance.Secret) []string {
	rotated, by, age := "", "", ""
	if secret.Rotated != nil {
		rotated, by, age = csvTime(secret.Rotated.At), secret.Rotated.By, strconv.Itoa(secret.Rotated.AgeDays)
	}
	return []string{rotated, by, age, strconv.Itoa(secret.RotationDays), strconv.Itoa(secret.OverdueDays)}
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
