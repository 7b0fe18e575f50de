package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/provenance"
)

// secretsAuditScreen shows who committed each version of a secret, and when nodes applied it.
func secretsAuditScreen(s *page, report *provenance.Report) {
	s.put(report.Environment, " at ", short(report.Commit))
	if report.Branch != "" {
		s.put(" (", printable(report.Branch), ")")
	}
	s.put(", ", plural.Count(report.Commits, "commit"), " since ", day(report.Since))
	for _, warning := range report.Warnings {
		s.line(s.yellow("warning"), ": ", warning)
	}
	for _, secrets := range report.ByName() {
		s.line()
		s.line(printable(secrets[0].Name))
		for _, one := range secrets {
			s.line("  ", one.Node, ": ")
			secretRotation(s, one)
			if !one.Removed {
				s.line("    used by ", orDash(printable(strings.Join(one.Users, ", "))))
			}
			for _, warning := range one.Warnings {
				s.line("    ", s.yellow("warning"), ": ", short(warning.Commit), ": ", printable(warning.Author), ", ", warning.Text)
			}
		}
		s.line()
		secretVersions(s, secrets)
	}
}

// secretRotation adds the age of a secret's value, and by how much its rotation is overdue.
func secretRotation(s *page, secret *provenance.Secret) {
	switch {
	case secret.Removed:
		s.put("removed")
		return
	case secret.Version != "":
		s.put("version ", printable(secret.Version))
	case secret.Object != "":
		s.put("no version (", printable(secret.Object), ")")
	default:
		s.put("version ", sealedVersion)
	}
	if secret.External {
		s.put(", external")
	}
	switch rotated := secret.Rotated; {
	case rotated == nil:
		s.put(", its value is not in git")
	case rotated.AtLeast:
		s.put(", rotated ", day(rotated.At), " or before (at least ", plural.Count(rotated.AgeDays, "day"), " ago)")
	default:
		s.put(", rotated ", day(rotated.At), " (", plural.Count(rotated.AgeDays, "day"), " ago) by ", printable(rotated.By))
	}
	if secret.RotationDays != 0 {
		s.put(", due every ", plural.Count(secret.RotationDays, "day"))
	}
	if secret.OverdueDays != 0 {
		s.put(": ", s.red("overdue by "+plural.Count(secret.OverdueDays, "day")))
	}
}

// secretVersions adds the versions of a secret, the newest first.
func secretVersions(s *page, secrets []*provenance.Secret) {
	s.table("  NODE\tVERSION\tCOMMITTED\tBY\tCOMMIT\tCHANGE\tMERGED\tAPPLIED", func(row func(...any)) {
		for _, secret := range secrets {
			for _, entry := range slices.Backward(secret.Entries) {
				merged := ""
				if entry.Merged != nil {
					merged = "by " + printable(entry.Merged.Author)
				}
				row("  "+secret.Node, versionText(entry), minute(entry.Commit.Authored), printable(entry.Commit.Author), short(entry.Commit.Hash), entry.Change,
					orDash(joined(" ", printable(entry.Request), merged)), appliedText(entry))
			}
		}
	})
}

func versionText(entry *provenance.Entry) string {
	version := orDash(printable(entry.Version))
	if entry.Sealed {
		version = sealedVersion
	} else if entry.Object != "" && entry.Version == "auto" {
		version = printable(entry.Object)
	}
	if entry.Current {
		version += " *"
	}
	return version
}

func appliedText(entry *provenance.Entry) string {
	switch {
	case entry.Applied != nil:
		return minute(entry.Applied.At)
	case !entry.Created.IsZero():
		return "created " + minute(entry.Created)
	case entry.Skipped:
		return "replaced before merge"
	case entry.Change == provenance.Gone:
		return "-"
	}
	return "unknown"
}

// secretsListScreen lists the secrets in Swarm.
func secretsListScreen(s *page, survey *inventory.Survey) {
	s.table("SECRET\tVERSION\tCREATED\tAGE\tROTATION\tUSED BY, OR WHY IT STAYS+", func(row func(...any)) {
		for _, secret := range survey.Secrets {
			name, due := secret.Secret, "-"
			if secret.Overdue {
				due = "overdue by " + between(secret.Due, survey.At)
			} else if !secret.Due.IsZero() {
				due = "due in " + between(survey.At, secret.Due)
			}
			if newer := secret.Vault.Newer(); newer != "" {
				due = joined("; ", strings.TrimPrefix(due, "-"), newer)
			}
			if live := secret.Live; live != nil {
				row(name, live.Name, s.moment(live.Created, local), between(live.Created, survey.At), due, usersText(live))
				name = ""
			}
			for _, other := range secret.Others {
				row(name, other.Name, s.moment(other.Created, local), between(other.Created, survey.At), "", s.dim(fateText(other)))
				name = ""
			}
		}
	}, "CREATED", "ROTATION")
}

// collection is a survey, and whether its versions were removed.
type collection struct {
	survey *inventory.Survey
	dryRun bool
}

// secretsGCScreen shows the versions that a collection removes, and why the others stay.
func secretsGCScreen(s *page, of collection) {
	survey := of.survey
	due := deploy.Collectable(survey.Versions)
	s.table("KIND\tNAME\tAGE\tWHAT+", func(row func(...any)) {
		for _, one := range survey.Removed {
			row(one.Kind, one.Name, between(one.Created, survey.At), s.yellow("removed"))
		}
		for _, one := range due {
			row(one.Kind, one.Name, between(one.Created, survey.At), s.yellow("to remove"))
		}
		for _, one := range survey.Versions {
			if !one.Collectable() {
				row(one.Kind, one.Name, between(one.Created, survey.At), fateText(one))
			}
		}
	})
	stay := plural.Of(len(survey.Versions)-len(due), "version stays", "versions stay")
	if !of.dryRun {
		s.line(plural.Count(len(survey.Removed), "version"), " removed, ", stay)
		return
	}
	s.line(plural.Count(len(due), "version"), " to remove, ")
	if len(due) > 0 && survey.Uncertain != "" {
		s.put("but not now: ", survey.Uncertain, "; ")
	}
	s.put(stay)
}

// rotatedScreen shows what a rotation committed.
func rotatedScreen(s *page, of rotated) {
	commit := of.Result.Commit
	if commit.Taken {
		s.put(s.yellow("resumed: " + commit.Message))
		s.line("no other value was generated or set")
	} else {
		s.put(s.green(commit.Message))
		s.line()
		s.rotatedSecrets(of)
	}
	for _, note := range of.Notes {
		s.line(s.yellow("note"), ": ", note)
	}
	proposedScreen(s, of.Result)
}

func (s *page) rotatedSecrets(of rotated) {
	s.table("NODE\tSECRET\tVERSION\tVERSION IN\tVALUE IN", func(row func(...any)) {
		for _, node := range of.Nodes {
			for _, secret := range node.Secrets {
				version, in := "auto", "-"
				for _, one := range node.Versions {
					if one.File != "" && one.Variable == secret.Variable {
						version, in = fmt.Sprint(one.Variable, " ", one.Old, " -> ", one.New), path.Base(one.File)
					}
				}
				row(node.Name, fmt.Sprint(secret.Old, " -> ", secret.New), version, in, valueFile(node.File)+after(": ", node.Key))
			}
		}
	})
}
