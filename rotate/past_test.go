package rotate_test

import (
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/sopstest"
)

// A rotation that was merged and reverted has used its version: Swarm may have a secret
// of that name, so the next rotation skips it.
func TestRotateAfterRevert(t *testing.T) {
	override := nodes + "node3/secrets.override.enc"
	for name, change := range map[string]func(sopstest.Key, map[string]string){
		"versions readable": nil,
		"versions encrypted": func(key sopstest.Key, files map[string]string) {
			files[override] = sopstest.WholeYAML(t, key, map[string]string{"SV_db_access": "3"})
		},
		"versions of the old script": func(_ sopstest.Key, files map[string]string) {
			files[override] = ""
			files[nodes+"node3/secrets.override.env"] = "db_access_VERSION=3\n"
		},
		"versions in node.env": func(_ sopstest.Key, files map[string]string) {
			files[override] = ""
			files[nodes+"node3/node.env"] = "TAG=1\nexport SV_db_access=3 # raised by hand\n"
		},
		"no version yet": func(_ sopstest.Key, files map[string]string) {
			files[override] = ""
			files[nodes+"node3/secrets.override.env"] = "# none yet\n"
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, change)
			_, first := l.sees("node3", "db_access")
			raised := func() string {
				l.must(generated("db_access", "node3"))
				_, name := l.sees("node3", "db_access")
				return name
			}
			second := raised()
			l.Git("switch", "--quiet", "master")
			l.Git("merge", "--quiet", "--no-ff", "--message", "Merge", "@{-1}")
			l.Git("revert", "--no-edit", "--mainline", "1", "HEAD")
			if _, back := l.sees("node3", "db_access"); back != first {
				t.Fatalf("reverted to %s, want %s", back, first)
			}
			third := raised()
			number := strings.TrimPrefix(second, "db_access.")
			if want := "db_access." + string(number[0]+1); third != want {
				t.Errorf("%s was followed by %s, and after the revert by %s, want %s", first, second, third, want)
			}
		})
	}
}

// A clone without the earlier contents has no earlier versions.
func TestRotateInPartialClone(t *testing.T) {
	l := newLab(t, nil)
	l.must(generated("db_access", "node3"))
	l.Git("commit", "--quiet", "--allow-empty", "--message", "Next")
	l.Git("config", "uploadpack.allowFilter", "true")
	clone := filepath.Join(t.TempDir(), "clone")
	l.Git("clone", "--quiet", "--filter=blob:none", "file://"+l.Dir, clone)
	l.Dir = clone
	if missing := l.Git("rev-list", "--objects", "--missing=print", "HEAD"); !strings.Contains(missing, "\n?") {
		t.Fatalf("the clone is complete: %s", missing)
	}
	result := l.must(generated("db_access", "node3"))
	if version := result.Plan.Nodes[0].Versions[0]; version.New != "5" {
		t.Errorf("got %+v", version)
	}
}
