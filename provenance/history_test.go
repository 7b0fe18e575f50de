package provenance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/provenance"
)

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// A version that was cherry-picked to another branch and merged twice has the author of
// its first commit; a rebase keeps the author.
func TestHistoryRebased(t *testing.T) {
	l := newLab(t)
	l.Git("switch", "--quiet", "--create", "one")
	picked := l.by("Bob", date(2, 1), "Rotate", rotated(2, l.edit("canary-2")))
	l.Git("switch", "--quiet", "--create", "two", "master")
	l.by("Dan", date(2, 2), "Else", map[string]string{node3 + "node.env": "TAG=2\n"})
	l.At(date(2, 3))
	l.Git("cherry-pick", picked)
	l.merge("Grace", date(2, 4), "one", "coin/coin-gitops!1")
	l.merge("Grace", date(2, 5), "two", "coin/coin-gitops!2")
	l.Git("switch", "--quiet", "--create", "three", picked)
	l.by("Carl", date(2, 6), "Rotate again", rotated(3, l.edit("canary-3")))
	l.At(date(2, 7))
	l.Git("rebase", "--quiet", "master")
	l.Git("switch", "--quiet", "master")
	l.Git("merge", "--quiet", "--ff-only", "three")
	want := []string{
		"1 added value=yes Ada Engineer 01-01",
		"2 version value=yes Bob 02-01 merged Grace 02-04 coin/coin-gitops!1",
		"2 again value=yes Bob 02-01 merged Grace 02-05 coin/coin-gitops!2",
		"3 version value=yes Carl 02-06 *",
	}
	secret := find(t, l.trace(nil), "db_access")
	if diff := cmp.Diff(want, entryLines(secret)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if last := secret.Entries[3].Commit; !last.Committed.Equal(date(2, 7)) {
		t.Errorf("committed %s", last.Committed)
	}
}

// After master was merged into a branch that then became master, no version is missing.
func TestHistoryTurnedMerge(t *testing.T) {
	l := newLab(t)
	l.Git("switch", "--quiet", "--create", "mine")
	l.by("Dan", date(2, 1), "Else", map[string]string{node3 + "node.env": "TAG=2\n"})
	l.Git("switch", "--quiet", "master")
	l.by("Bob", date(2, 2), "Rotate", rotated(2, l.edit("canary-2")))
	l.by("Bob", date(2, 3), "Rotate", rotated(3, l.edit("canary-3")))
	l.Git("switch", "--quiet", "mine")
	l.At(date(2, 4))
	l.Git("merge", "--quiet", "--no-ff", "--message", "Merge branch 'master'", "master")
	l.Git("branch", "--force", "master", "mine")
	l.Git("switch", "--quiet", "master")
	want := []string{
		"1 added value=yes Ada Engineer 01-01",
		"2 version value=yes Bob 02-02 merged Ada Engineer 02-04 skipped",
		"3 version value=yes Bob 02-03 merged Ada Engineer 02-04 *",
	}
	if diff := cmp.Diff(want, entryLines(find(t, l.trace(nil), "db_access"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A renamed node, in a renamed environment, keeps its history; a copied one does not.
func TestHistoryRenamed(t *testing.T) {
	l := newLab(t)
	l.by("Bob", date(2, 1), "Rotate", rotated(2, l.edit("canary-2")))
	l.Git("mv", "environments/sandbox/nodes/node3", "environments/sandbox/nodes/front")
	l.by("Dan", date(2, 2), "Rename the node", map[string]string{
		"environments/sandbox/config.yml": strings.ReplaceAll(config, "node3", "front"), nodes + "front/node.env": "TAG=9\n",
	})
	l.Git("mv", "environments/sandbox", "environments/staging")
	l.by("Dan", date(2, 3), "Rename the environment", map[string]string{
		"environments/staging/config.yml": strings.NewReplacer("node3", "front", "sandbox", "staging").Replace(config),
	})
	copyFolder(t, filepath.Join(l.Dir, "environments/staging/nodes/front"), filepath.Join(l.Dir, "environments/staging/nodes/back"))
	l.by("Dan", date(2, 4), "A copy", map[string]string{
		"environments/staging/config.yml": strings.NewReplacer("node3", "front", "sandbox", "staging").Replace(config) + "  - {name: back, context: c4, stack: app4}\n",
	})
	report, err := provenance.Trace(t.Context(), provenance.Request{Dir: l.Dir, Environment: "staging", Now: l.now})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"1 added value=yes Ada Engineer 01-01", "2 version value=yes Bob 02-01 *"}
	if diff := cmp.Diff(want, entryLines(find(t, report, "db_access", "front"))); diff != "" {
		t.Errorf("renamed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"2 added value=yes Dan 02-04 *"}, entryLines(find(t, report, "db_access", "back"))); diff != "" {
		t.Errorf("copied (-want +got):\n%s", diff)
	}
}

// In a shallow clone, a version at the end of the history does not count as a rotation
// by the author of that commit.
func TestHistoryShallow(t *testing.T) {
	l := newLab(t)
	l.by("Bob", date(2, 1), "Rotate", rotated(2, l.edit("canary-2")))
	l.by("Carl", date(2, 2), "Else", map[string]string{node3 + "node.env": "TAG=2\n"})
	l.by("Carl", date(3, 1), "Rotate", rotated(3, l.edit("canary-3")))
	clone := filepath.Join(t.TempDir(), "clone")
	l.Git("clone", "--quiet", "--depth", "2", "file://"+l.Dir, clone)
	report, err := provenance.Trace(t.Context(), provenance.Request{Dir: clone, Environment: "sandbox", Now: l.now})
	if err != nil {
		t.Fatal(err)
	}
	secret := find(t, report, "db_access")
	if diff := cmp.Diff([]string{"2 earlier value=unknown Carl 02-02", "3 version value=yes Carl 03-01 *"}, entryLines(secret)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !report.Shallow || len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "git fetch --unshallow") || secret.OverdueDays == 0 || secret.Rotated.AtLeast {
		t.Errorf("got %v, overdue %d", report.Warnings, secret.OverdueDays)
	}
	if other := find(t, report, "api_key"); !other.Rotated.AtLeast || other.Rotated.AgeDays != 119 {
		t.Errorf("api_key: %+v", other.Rotated)
	}
}

// A removed secret is reported only if the request names it.
func TestHistoryRemoved(t *testing.T) {
	l := newLab(t)
	without, _, _ := strings.Cut(stack, "  api_key:")
	l.by("Bob", date(2, 1), "Remove", map[string]string{node3 + "docker-compose.yml": without})
	if len(l.trace(nil).Secrets) != 1 {
		t.Error("a removed secret is listed")
	}
	report, err := provenance.Trace(t.Context(), provenance.Request{Dir: l.Dir, Environment: "sandbox", Secret: "SV_api_key", Now: l.now})
	if err != nil {
		t.Fatal(err)
	}
	secret := find(t, report, "api_key")
	if diff := cmp.Diff([]string{"0 added value=yes Ada Engineer 01-01", " removed value=unknown Bob 02-01"}, entryLines(secret)); diff != "" || !secret.Removed {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Included compose files and the targets of symbolic links count.
func TestHistoryElsewhere(t *testing.T) {
	l := newLab(t)
	l.by("Bob", date(2, 1), "Share", map[string]string{
		"environments/sandbox/common/secrets.yml": strings.Replace(stack, "services:\n  web: {image: \"web:1\", secrets: [db_access]}\n", "", 1),
		node3 + "docker-compose.yml":              "include:\n  - {path: ../../common/secrets.yml, project_directory: .}\nservices:\n  web: {image: \"web:1\"}\n",
		"environments/sandbox/common/secrets.enc": l.edit("canary-1"),
		node3 + "secrets.enc":                     "-> ../../common/secrets.enc",
	})
	l.by("Carl", date(2, 2), "Change it there", map[string]string{"environments/sandbox/common/secrets.enc": l.edit("canary-2")})
	l.by("Carl", date(2, 3), "Rename it there", map[string]string{
		"environments/sandbox/common/secrets.yml": "secrets:\n  db_access: {file: ./secrets/db_access, name: db_access.7}\n",
	})
	secret := find(t, l.trace(nil), "db_access")
	if diff := cmp.Diff([]string{
		"1 added value=yes Ada Engineer 01-01", "1 value value=yes Carl 02-02", "7 version value=no Carl 02-03 *",
	}, entryLines(secret)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A clone without the contents of earlier commits is refused.
func TestHistoryPartialClone(t *testing.T) {
	l := newLab(t)
	l.by("Bob", date(2, 1), "Rotate", rotated(2, l.edit("canary-2")))
	clone := filepath.Join(t.TempDir(), "clone")
	l.Git("config", "uploadpack.allowFilter", "true")
	l.Git("clone", "--quiet", "--filter=blob:none", "file://"+l.Dir, clone)
	_, err := provenance.Trace(t.Context(), provenance.Request{Dir: clone, Environment: "sandbox", Now: l.now})
	if err == nil || !strings.HasPrefix(err.Error(), "read git's blob ") || !strings.HasSuffix(err.Error(), " in this clone: object not found") ||
		!strings.Contains(fault.Hint(err), "without --filter") {
		t.Errorf("got %v (%s)", err, fault.Hint(err))
	}
}
