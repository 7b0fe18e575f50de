package provenance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/provenance"
	"coin.internal/coin-agent/secrets"
	"coin.internal/coin-agent/sync/gittest"
)

const (
	nodes  = "environments/sandbox/nodes/"
	node3  = nodes + "node3/"
	config = `environment: {name: sandbox, type: non-production}
secrets: {rotation_days: 90, rotation_exceptions: {api_key: 0}}
nodes:
  - {name: node3, context: c3, stack: app3}
`
	stack = `services:
  web: {image: "web:1", secrets: [db_access]}
secrets:
  db_access: {file: ./secrets/db_access, name: db_access.$SV_db_access}
  api_key: {file: ./secrets/api_key, name: api_key.$SV_api_key}
`
)

// lab is a repository with a known history, and the key of its files.
type lab struct {
	*gittest.Repo
	t    *testing.T
	key  sopstest.Key
	keys *secrets.Keyring
	now  time.Time
}

// newLab makes a repository with a first commit on 2025-01-01: db_access 1 and api_key 0
// by Ada.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{Repo: gittest.New(t), t: t, key: sopstest.NewKey(t), now: date(6, 1)}
	l.keys = l.key.Keyring(t)
	l.Commit("Start", map[string]string{
		"environments/sandbox/config.yml": config,
		node3 + "docker-compose.yml":      stack,
		node3 + "node.env":                "TAG=1\n",
		node3 + "secrets.override.env":    "SV_db_access=1\n",
		node3 + "secrets.enc":             l.sealed("canary-1", "canary-api"),
	})
	return l
}

// date is a day of 2025.
func date(month time.Month, day int) time.Time {
	return time.Date(2025, month, day, 12, 0, 0, 0, time.UTC)
}

func (l *lab) sealed(access, key string) string {
	return sopstest.YAML(l.t, l.key, map[string]string{"db_access": access, "api_key": key})
}

// edit gives secrets.enc with a new value of db_access, as sops would write it.
func (l *lab) edit(value string) string {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.Dir, node3+"secrets.enc"))
	if err != nil {
		l.t.Fatal(err)
	}
	edited, err := l.keys.Edit(secrets.File{Path: node3 + "secrets.enc", Data: data},
		secrets.Edits{Key: "db_access", Value: secrets.NewValue([]byte(value))})
	if err != nil {
		l.t.Fatal(err)
	}
	return string(edited)
}

// by commits files as another author.
func (l *lab) by(author string, when time.Time, message string, files map[string]string) string {
	l.t.Helper()
	l.At(when)
	l.Write(files)
	l.Git("add", "--all")
	l.Git("commit", "--quiet", "--message", message, "--author", author+" <"+strings.ToLower(author)+"@coin.example>")
	return l.Head()
}

// merge merges a branch into master as GitLab does.
func (l *lab) merge(author string, when time.Time, branch, request string) string {
	l.t.Helper()
	l.Git("switch", "--quiet", "master")
	l.Git("merge", "--quiet", "--no-ff", "--no-commit", branch)
	l.At(when)
	l.Git("commit", "--quiet", "--message", "Merge branch '"+branch+"' into 'master'", "--message", "Closes nothing", "--message",
		"See merge request "+request, "--author", author+" <"+strings.ToLower(author)+"@coin.example>")
	return l.Head()
}

func rotated(version int, values string) map[string]string {
	return map[string]string{node3 + "secrets.override.env": fmt.Sprintf("SV_db_access=%d\n", version), node3 + "secrets.enc": values}
}

func (l *lab) trace(keys *secrets.Keyring) *provenance.Report {
	l.t.Helper()
	report, err := provenance.Trace(l.t.Context(), provenance.Request{Dir: l.Dir, Environment: "sandbox", Keys: keys, Now: l.now})
	if err != nil {
		l.t.Fatal(err)
	}
	return report
}

// find gives a secret of node3, or of the given node.
func find(t *testing.T, report *provenance.Report, name string, node ...string) *provenance.Secret {
	t.Helper()
	for _, secret := range report.Secrets {
		if secret.Name == name && secret.Node == append(node, "node3")[0] {
			return secret
		}
	}
	t.Fatalf("%s is not in the report", name)
	return nil
}

// entryLines gives the entries of a secret, one a line.
func entryLines(secret *provenance.Secret) []string {
	lines := []string{}
	for _, entry := range secret.Entries {
		version := entry.Version
		if entry.Sealed {
			version = "sealed"
		}
		line := fmt.Sprintf("%s %s value=%s %s %s", version, entry.Change, entry.NewValue, entry.Commit.Author, entry.Commit.Authored.Format("01-02"))
		if entry.Merged != nil {
			line += fmt.Sprintf(" merged %s %s", entry.Merged.Author, entry.Merged.Committed.Format("01-02"))
		}
		if entry.Request != "" {
			line += " " + entry.Request
		}
		if entry.Skipped {
			line += " skipped"
		}
		if entry.Current {
			line += " *"
		}
		lines = append(lines, line)
	}
	return lines
}

func warningLines(secret *provenance.Secret) []string {
	lines := []string{}
	for _, warning := range secret.Warnings {
		lines = append(lines, warning.Author+": "+warning.Text)
	}
	return lines
}
