package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/visible"
	"coin.internal/coin-agent/provenance"
)

// sealedVersion stands for a version that no key opens.
const sealedVersion = "unknown (encrypted)"

// writeSecretsCSV writes one line for each secret, version and node.
func writeSecretsCSV(w io.Writer, report *provenance.Report) error {
	lines := csv.NewWriter(w)
	lines.UseCRLF = true // RFC 4180
	header := []string{
		"environment", "secret", "node", "variable", "version", "object", "current", "change", "new_value",
		"commit", "author", "author_email", "authored", "committer", "committer_email", "committed", "subject",
		"merge_commit", "merged_by", "merged", "merge_request", "applied", "applied_commit", "applied_source", "created",
		"rotated", "rotated_by", "age_days", "rotation_days", "overdue_days", "warning", "used_by",
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
		version = sealedVersion
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
		strings.Join(warnings, "; "), strings.Join(secret.Users, " "),
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

// csvCell quotes a text that a spreadsheet would run as a formula, and makes visible what
// controls a terminal.
func csvCell(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t\r\n") {
		text = "'" + text
	}
	return visible.Line(text)
}
