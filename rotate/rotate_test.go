package rotate_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/rotate"
)

// Nodes with the same value get the same new one, in one commit on a branch that is
// checked out. No other line changes.
func TestRotateShared(t *testing.T) {
	l := newLab(t, nil)
	before := l.Head()
	result := l.must(generated("db_access"))
	value, name := l.sees("node3", "db_access")
	other, otherName := l.sees("node4", "db_access")
	if value != other || name != "db_access.4" || otherName != name || len(value) != 24 {
		t.Errorf("node3 has %q as %s, node4 %q as %s", value, name, other, otherName)
	}
	if kept, name := l.sees("node4", "server.key"); kept != "canary-key-node4" || name != "server.key.1" {
		t.Errorf("server.key became %q as %s", kept, name)
	}
	if branch := l.Git("symbolic-ref", "--short", "HEAD"); branch != "rotate/sandbox/db_access-4" || result.Commit.Branch != branch {
		t.Errorf("on branch %s", branch)
	}
	if got := l.Git("rev-parse", "HEAD~", "master"); got != before+"\n"+before {
		t.Errorf("started at %s, want %s", got, before)
	}
	want := strings.Join([]string{
		"3\t3\t" + nodes + "node3/secrets.enc", "3\t3\t" + nodes + "node3/secrets.override.enc",
		"3\t3\t" + nodes + "node4/secrets.enc", "3\t3\t" + nodes + "node4/secrets.override.enc",
	}, "\n")
	if diff := cmp.Diff(want, l.changed()); diff != "" && !strings.Contains(l.changed(), "2\t2\t") { // within one second, the time is the same
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	message := l.Git("log", "-1", "--format=%an <%ae>%n%B")
	if !strings.HasPrefix(message, "Grace Operator <grace@coin.example>\nsecurity: rotate db_access of sandbox (node3, node4: 3 -> 4)\n") {
		t.Errorf("commit: %s", message)
	}
	l.Git("fsck", "--strict", "--no-dangling")
	if got := l.Git("switch", "-"); !strings.Contains(got, "master") {
		t.Errorf("the way back leads to %s", got)
	}
}

// Neither given nor generated values are anywhere in plaintext.
func TestRotateLeaksNothing(t *testing.T) {
	l := newLab(t, nil)
	result := l.must(generated("db_access"))
	fresh, _ := l.sees("node3", "db_access")
	l.Git("switch", "--quiet", "master")
	l.Git("branch", "--quiet", "-D", result.Commit.Branch)
	l.must(given("db_access", "canary-given\n"))
	all := l.everywhere(t.Context()) + l.Git("log", "--all", "--format=%B")
	for _, secret := range []string{"canary-", fresh} {
		if strings.Contains(all, secret) {
			t.Errorf("%q stands in the working copy or in git", secret)
		}
	}
}

// Nodes with different values get different new ones.
func TestRotateDifferent(t *testing.T) {
	l := newLab(t, nil)
	if _, err := l.rotate(given("server.key", "canary-new")); err == nil || !strings.Contains(err.Error(), "(node3; node4)") {
		t.Errorf("one value for all: got %v", err)
	}
	result := l.must(generated("SV_server_key"))
	value, _ := l.sees("node3", "server.key")
	if other, name := l.sees("node4", "server.key"); value == other || name != "server.key.2" || len(result.Plan.Notes) != 1 {
		t.Errorf("node3 has %q, node4 %q as %s; notes %q", value, other, name, result.Plan.Notes)
	}
	l.Git("switch", "--quiet", "master")
	l.Git("branch", "--quiet", "-D", result.Commit.Branch)
	l.must(given("server_key", "canary-new\n", "node3", "node4"))
	if value, _ := l.sees("node4", "server.key"); value != "canary-new" {
		t.Errorf("node4 has %q", value)
	}
}

func TestRotateOneNode(t *testing.T) {
	l := newLab(t, nil)
	result := l.must(given("db_access", "canary-new\n\n", "node4"))
	if value, name := l.sees("node4", "db_access"); value != "canary-new\n" || name != "db_access.4" {
		t.Errorf("node4 has %q as %s", value, name)
	}
	if value, name := l.sees("node3", "db_access"); value != "canary-old" || name != "db_access.3" {
		t.Errorf("node3 has %q as %s", value, name)
	}
	want := []string{"node3 had the same value and keeps it", "the line break at the end of the value was removed; --raw keeps it"}
	if diff := cmp.Diff(want, result.Plan.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// A version is raised in the file that sets it, and added to the file of the node's other
// versions.
func TestRotateVersionsEverywhere(t *testing.T) {
	const dir = nodes + "node3/"
	cases := map[string]struct {
		files    map[string]string
		override map[string]string // encrypted whole
		want     []rotate.Version
		line     string // in the file, where it is readable
		object   string
	}{
		"encrypted override": {
			override: map[string]string{"SV_db_access": "9"},
			want:     []rotate.Version{{Variable: "SV_db_access", File: dir + "secrets.override.enc", Old: "9", New: "10"}},
			object:   "db_access.10",
		},
		"old spelling": {
			override: map[string]string{"db_access_VERSION": "9"},
			want:     []rotate.Version{{Variable: "SV_db_access", File: dir + "secrets.override.enc", Old: "9", New: "10"}},
			object:   "db_access.10",
		},
		"plain override": {
			files:  map[string]string{dir + "secrets.override.env": "# versions\nSV_db_access=2 # two\n"},
			want:   []rotate.Version{{Variable: "SV_db_access", File: dir + "secrets.override.env", Old: "2", New: "3"}},
			line:   "# versions\nSV_db_access=3 # two\n",
			object: "db_access.3",
		},
		"node.env": {
			files:  map[string]string{dir + "node.env": "TAG=1\nexport SV_db_access='2'\n"},
			want:   []rotate.Version{{Variable: "SV_db_access", File: dir + "node.env", Old: "2", New: "3"}},
			line:   "TAG=1\nexport SV_db_access='3'\n",
			object: "db_access.3",
		},
		"nowhere": {
			want:   []rotate.Version{{Variable: "SV_db_access", File: dir + "secrets.override.env", Old: "0", New: "1"}},
			line:   "SV_db_access=1\n",
			object: "db_access.1",
		},
		"nowhere, others in the override": {
			override: map[string]string{"SV_server_key": "9", "SV_z": "1"},
			want:     []rotate.Version{{Variable: "SV_db_access", File: dir + "secrets.override.enc", Old: "0", New: "1"}},
			object:   "db_access.1",
		},
		"nowhere, others in node.env": {
			files:  map[string]string{dir + "node.env": "TAG=1\nSV_server_key=4"},
			want:   []rotate.Version{{Variable: "SV_db_access", File: dir + "node.env", Old: "0", New: "1"}},
			line:   "TAG=1\nSV_server_key=4\nSV_db_access=1\n",
			object: "db_access.1",
		},
		"the compose file's default": {
			files:  map[string]string{dir + "docker-compose.yml": strings.Replace(stack, "db_access.$SV_db_access", `"db_access.${SV_db_access:-3}"`, 1)},
			want:   []rotate.Version{{Variable: "SV_db_access", File: dir + "secrets.override.env", Old: "3", New: "4"}},
			line:   "SV_db_access=4\n",
			object: "db_access.4",
		},
		"the one that counts": {
			files:    map[string]string{dir + "node.env": "TAG=1\nSV_db_access=1\n", dir + "secrets.override.env": "SV_db_access=2\n"},
			override: map[string]string{"SV_db_access": "5"},
			want:     []rotate.Version{{Variable: "SV_db_access", File: dir + "secrets.override.enc", Old: "5", New: "6"}},
			object:   "db_access.6",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(key sopstest.Key, files map[string]string) {
				delete(files, dir+"secrets.override.enc")
				if c.override != nil {
					files[dir+"secrets.override.enc"] = sopstest.WholeYAML(t, key, c.override)
				}
				maps.Copy(files, c.files)
			})
			result := l.must(generated("db_access", "node3"))
			if diff := cmp.Diff(c.want, result.Plan.Nodes[0].Versions); diff != "" {
				t.Errorf("versions (-want +got):\n%s", diff)
			}
			if value, object := l.sees("node3", "db_access"); value == "canary-old" || object != c.object {
				t.Errorf("sees %q as %s", value, object)
			}
			if c.line != "" {
				if got := l.Git("show", "HEAD:"+c.want[0].File) + "\n"; got != c.line {
					t.Errorf("%s became %q, want %q", c.want[0].File, got, c.line)
				}
			}
		})
	}
}

// With auto, the version is derived from the content.
func TestRotateAuto(t *testing.T) {
	for how, version := range map[string]string{"set": "auto", "the compose file's default": ""} {
		t.Run(how, func(t *testing.T) { rotateAuto(t, version) })
	}
}

func rotateAuto(t *testing.T, version string) {
	t.Helper()
	l := newLab(t, func(key sopstest.Key, files map[string]string) {
		values := map[string]string{"auto_version_key": strings.Repeat("k", 32)}
		if version != "" {
			values["SV_db_access"] = version
		} else {
			files[nodes+"node3/docker-compose.yml"] = strings.Replace(stack, "db_access.$SV_db_access", `"db_access.${SV_db_access:-auto}"`, 1)
		}
		files[nodes+"node3/secrets.override.enc"] = sopstest.YAML(t, key, values)
	})
	_, before := l.sees("node3", "db_access")
	result := l.must(generated("db_access", "node3"))
	_, after := l.sees("node3", "db_access")
	if after == before || len(l.changed()) == 0 || strings.Contains(l.changed(), "override") || !strings.HasSuffix(result.Commit.Branch, strings.TrimPrefix(after, "db_access.")) {
		t.Errorf("%s -> %s on %s, changed %s", before, after, result.Commit.Branch, l.changed())
	}
	if !strings.Contains(result.Commit.Message, "(node3: auto)") {
		t.Errorf("message %q", result.Commit.Message)
	}
}

// A secret with its value in the same place changes too.
func TestRotateSharedPlace(t *testing.T) {
	l := newLab(t, func(_ sopstest.Key, files map[string]string) {
		files[nodes+"node3/docker-compose.yml"] = stack + "  replica: {file: ./secrets/db_access, name: replica.$SV_replica}\n"
	})
	result := l.must(generated("db_access", "node3"))
	value, name := l.sees("node3", "db_access")
	if other, otherName := l.sees("node3", "replica"); other != value || name != "db_access.4" || otherName != "replica.1" || len(result.Plan.Nodes[0].Secrets) != 2 {
		t.Errorf("%s has %q, %s has %q", name, value, otherName, other)
	}
}
