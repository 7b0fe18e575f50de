package provenance_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/provenance"
	"coin.internal/coin-agent/rotate"
	"coin.internal/coin-agent/secrets"
)

// The report has who committed and who merged each version, and the warnings, with and
// without keys.
func TestTrace(t *testing.T) {
	l := newLab(t)
	l.by("Dan", date(1, 5), "Another release", map[string]string{node3 + "node.env": "TAG=2\n"})
	l.Git("switch", "--quiet", "--create", "rotate")
	l.by("Bob", date(2, 1), "Rotate", rotated(2, l.edit("canary-2")))
	l.by("Bob", date(2, 2), "Rotate once more", rotated(3, l.edit("canary-3")))
	l.merge("Grace", date(2, 3), "rotate", "coin/coin-gitops!12")
	l.by("Carl", date(2, 10), "Only a value", map[string]string{node3 + "secrets.enc": l.edit("canary-4")})
	l.by("Carl", date(2, 11), "Only a version", map[string]string{node3 + "secrets.override.env": "SV_db_access=4\n"})
	l.by("Eve", date(2, 12), "Back", map[string]string{node3 + "secrets.override.env": "SV_db_access=3\n"})
	for name, keys := range map[string]*secrets.Keyring{"with keys": l.keys, "without": nil} {
		t.Run(name, func(t *testing.T) {
			report := l.trace(keys)
			secret := find(t, report, "db_access")
			want := []string{
				"1 added value=yes Ada Engineer 01-01",
				"2 version value=yes Bob 02-01 merged Grace 02-03 coin/coin-gitops!12 skipped",
				"3 version value=yes Bob 02-02 merged Grace 02-03 coin/coin-gitops!12",
				"3 value value=yes Carl 02-10",
				"4 version value=no Carl 02-11",
				"3 again value=no Eve 02-12 *",
			}
			if diff := cmp.Diff(want, entryLines(secret)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{
				"Carl: its value was changed without raising the version 3; a sync refuses that",
				"Carl: the version was raised to 4, but the value did not change",
			}, warningLines(secret)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			last := secret.Rotated
			if last == nil || last.By != "Carl" || last.At.Format("01-02") != "02-10" || last.AgeDays != 111 || secret.OverdueDays != 22 || secret.RotationDays != 90 {
				t.Errorf("rotated %+v, overdue by %d of %d", last, secret.OverdueDays, secret.RotationDays)
			}
			other := find(t, report, "api_key")
			if diff := cmp.Diff([]string{"0 added value=yes Ada Engineer 01-01 *"}, entryLines(other)); diff != "" || other.OverdueDays != 0 || len(other.Warnings) > 0 {
				t.Errorf("api_key: %s overdue %d, %v", diff, other.OverdueDays, other.Warnings)
			}
			overdue := slices.DeleteFunc(slices.Clone(report.Secrets), func(s *provenance.Secret) bool { return s.OverdueDays == 0 })
			if len(overdue) != 1 || report.Commits != 8 || report.Shallow || len(report.Warnings) > 0 || secret.Object != "db_access.3" {
				t.Errorf("got %+v", report)
			}
		})
	}
}

// A value that is reverted, with its version, has the age of its first commit.
func TestTraceRevert(t *testing.T) {
	l := newLab(t)
	first := l.edit("canary-1")
	l.by("Bob", date(5, 1), "Rotate", rotated(2, l.edit("canary-2")))
	l.by("Eve", date(5, 20), "Revert", rotated(1, first))
	secret := find(t, l.trace(l.keys), "db_access")
	if diff := cmp.Diff([]string{"1 added value=yes Ada Engineer 01-01", "2 version value=yes Bob 05-01", "1 again value=yes Eve 05-20 *"}, entryLines(secret)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if secret.Rotated.By != "Ada Engineer" || secret.OverdueDays == 0 || len(secret.Warnings) > 0 {
		t.Errorf("rotated %+v, warned %v", secret.Rotated, warningLines(secret))
	}
}

// The commit of `agent secrets rotate` is in the report.
func TestTraceRotate(t *testing.T) {
	l := newLab(t)
	l.Git("config", "user.name", "Bob")
	l.Git("config", "user.email", "bob@coin.example")
	tree, err := proposal.OpenWorktree(t.Context(), l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	result, err := rotate.Run(t.Context(), tree, l.keys, rotate.Request{Name: "db_access", Environment: "sandbox", Generate: rotate.Generate{Length: 20, Charset: "hex"}})
	tree.Close()
	if err != nil {
		t.Fatal(err)
	}
	l.merge("Grace", date(2, 3), result.Commit.Branch, "coin/coin-gitops!7")
	for _, keys := range []*secrets.Keyring{l.keys, nil} {
		entries := find(t, l.trace(keys), "db_access").Entries
		last := entries[len(entries)-1]
		if len(entries) != 2 || last.Version != "2" || last.Commit.Hash != result.Commit.Hash || last.Commit.AuthorEmail != "bob@coin.example" ||
			last.Merged.Author != "Grace" || last.Request != "coin/coin-gitops!7" || last.NewValue != provenance.Yes {
			t.Errorf("got %+v", entryLines(find(t, l.trace(keys), "db_access")))
		}
	}
}

// A file that is encrypted again has the same value; without keys that is unknown.
func TestTraceEncryptedAnew(t *testing.T) {
	l := newLab(t)
	l.by("Bob", date(2, 1), "Another data key", map[string]string{node3 + "secrets.enc": l.sealed("canary-1", "canary-api")})
	sees := func(keys *secrets.Keyring) ([]string, []string, string) {
		secret := find(t, l.trace(keys), "db_access")
		return entryLines(secret), warningLines(secret), secret.Rotated.By
	}
	entries, warnings, by := sees(l.keys)
	if diff := cmp.Diff([]string{"1 added value=yes Ada Engineer 01-01 *"}, entries); diff != "" || len(warnings) > 0 || by != "Ada Engineer" {
		t.Errorf("with keys: %s %v %s", diff, warnings, by)
	}
	entries, warnings, by = sees(nil)
	want := []string{"1 added value=yes Ada Engineer 01-01", "1 ciphertext value=unknown Bob 02-01 *"}
	if diff := cmp.Diff(want, entries); diff != "" || len(warnings) != 1 || !strings.Contains(warnings[0], "without a key it is not known") || by != "Ada Engineer" {
		t.Errorf("without: %s %v %s", diff, warnings, by)
	}
}

// An encrypted version is reported with keys, and is unknown without them.
func TestTraceSealedVersions(t *testing.T) {
	l := newLab(t)
	override := func(version string) map[string]string {
		return map[string]string{
			node3 + "secrets.override.env": "",
			node3 + "secrets.override.enc": sopstest.WholeYAML(t, l.key, map[string]string{"db_access_VERSION": version}),
		}
	}
	l.by("Bob", date(2, 1), "Hide the version", override("1"))
	l.by("Bob", date(2, 2), "Rotate", override("2"))
	l.by("Carl", date(2, 3), "Rotate the value", map[string]string{node3 + "secrets.enc": l.edit("canary-2")})
	with := find(t, l.trace(l.keys), "db_access")
	if diff := cmp.Diff([]string{"1 added value=yes Ada Engineer 01-01", "2 version value=no Bob 02-02", "2 value value=yes Carl 02-03 *"}, entryLines(with)); diff != "" {
		t.Errorf("with keys (-want +got):\n%s", diff)
	}
	report := l.trace(nil)
	without := find(t, report, "db_access")
	if diff := cmp.Diff([]string{
		"1 added value=yes Ada Engineer 01-01", "sealed version value=no Bob 02-01", "sealed version value=no Bob 02-02", "sealed value value=yes Carl 02-03 *",
	}, entryLines(without)); diff != "" {
		t.Errorf("without (-want +got):\n%s", diff)
	}
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "--age-key-files") || without.Version != "" || without.Object != "" {
		t.Errorf("got %v, %q", report.Warnings, without.Object)
	}
}

func TestTraceAuto(t *testing.T) {
	l := newLab(t)
	keyed := func(value string) map[string]string {
		values := map[string]string{"db_access": value, "api_key": "canary-api", "auto_version_key": "canary-key-that-is-long"}
		return map[string]string{node3 + "secrets.override.env": "SV_db_access=auto\n", node3 + "secrets.enc": sopstest.YAML(t, l.key, values)}
	}
	l.by("Bob", date(2, 1), "Automatic", keyed("canary-1"))
	l.by("Carl", date(2, 2), "Another value", keyed("canary-2"))
	secret := find(t, l.trace(l.keys), "db_access")
	if diff := cmp.Diff([]string{"1 added value=yes Ada Engineer 01-01", "auto version value=no Bob 02-01", "auto value value=yes Carl 02-02 *"}, entryLines(secret)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	one, two := secret.Entries[1].Object, secret.Entries[2].Object
	if one == two || len(one) != len("db_access.")+12 || two != secret.Object {
		t.Errorf("named %q, %q, %q", one, two, secret.Object)
	}
}

// A version that is a default in the compose file counts like one that is set.
func TestTraceDefault(t *testing.T) {
	l := newLab(t)
	l.by("Bob", date(2, 1), "Default", map[string]string{
		node3 + "docker-compose.yml":   strings.Replace(stack, "db_access.$SV_db_access", `"db_access.${SV_db_access:-3}"`, 1),
		node3 + "secrets.override.env": "",
	})
	secret := find(t, l.trace(l.keys), "db_access")
	if secret.Version != "3" || secret.Object != "db_access.3" {
		t.Errorf("version %q, object %q", secret.Version, secret.Object)
	}
}

func TestTraceFaults(t *testing.T) {
	l := newLab(t)
	cases := map[string]struct {
		request provenance.Request
		want    string
		remedy  string
	}{
		"no working copy": {provenance.Request{Dir: t.TempDir(), Environment: "sandbox"}, "not in a git working copy", "--repo"},
		"environment":     {provenance.Request{Dir: l.Dir, Environment: "sandbx"}, `environments/sandbx`, ""},
		"node":            {provenance.Request{Dir: l.Dir, Environment: "sandbox", Nodes: []string{"node9"}}, `node "node9"`, "node3"},
		"secret":          {provenance.Request{Dir: l.Dir, Environment: "sandbox", Secret: "db_acces"}, `secret "db_acces"`, "api_key, db_access"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := provenance.Trace(t.Context(), c.request)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.Hint(err), c.remedy) {
				t.Errorf("got %v (%s)", err, fault.Hint(err))
			}
		})
	}
}

// The report holds no part of a value, in every way that it is printed.
func TestTraceCanary(t *testing.T) {
	l := newLab(t)
	l.by("Bob", date(2, 1), "Plain", map[string]string{node3 + "secrets.enc": "db_access: canary-plain\napi_key: canary-api\n"})
	l.by("Bob", date(2, 2), "Broken", map[string]string{node3 + "secrets.enc": "db_access: canary-broken\nsops:\n  mac: canary\n"})
	l.by("Bob", date(2, 3), "Mended", rotated(2, l.sealed("canary-2", "canary-api")))
	report := l.trace(l.keys)
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	if all := string(text) + fmt.Sprintf("%+v", *report) + fmt.Sprintf("%#v", report.Secrets); strings.Contains(all, "canary") {
		t.Errorf("a value is in %s", all)
	}
	if got := warningLines(find(t, report, "db_access")); len(got) == 0 || got[0] != "Bob: its value was committed in plaintext and stays in git's history" {
		t.Errorf("warned %q", got)
	}
}

// TestRequestOfMerge merges a branch whose message quotes that of an earlier merge: GitLab names the
// merge request at the end.
func TestRequestOfMerge(t *testing.T) {
	l := newLab(t)
	l.Git("switch", "--quiet", "--create", "rotate")
	l.by("Bob", date(2, 1), "Rotate", rotated(2, l.edit("canary-2")))
	l.Git("switch", "--quiet", "master")
	l.Git("merge", "--quiet", "--no-ff", "--no-commit", "rotate")
	l.Git("commit", "--quiet", "--message", "Merge branch 'rotate' into 'master'", "--message", "* Merge branch 'try' into 'rotate'",
		"--message", "See merge request coin/coin-gitops!3", "--message", "See merge request coin/coin-gitops!12")
	if got := find(t, l.trace(nil), "db_access").Entries[1].Request; got != "coin/coin-gitops!12" {
		t.Errorf("got %s", got)
	}
}
