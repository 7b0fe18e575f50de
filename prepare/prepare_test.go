package prepare_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/prepare"
)

// TestPrepare brings two releases to two nodes, one of which has changes of its own in its compose
// file. They stay through both, though each release is merged as a squash.
func TestPrepare(t *testing.T) {
	local := replaced(original, "replicas: 1", "replicas: 3")
	l := newLab(t, map[string]string{nodes + "node4/docker-compose.yml": local})
	wanted := request(second)
	wanted.Release.Version, wanted.Release.Task, wanted.Release.Migration = "25.22", "41361", "565"
	result := l.must(release(replaced(original, "info", "debug")), wanted)
	if branch := l.Git("symbolic-ref", "--short", "HEAD"); branch != "release/sandbox/"+second || result.Commit.Branch != branch || result.Commit.Taken {
		t.Errorf("on branch %s with %+v", branch, result.Commit)
	}
	if diff := cmp.Diff(replaced(local, "info", "debug"), l.read(nodes+"node4/docker-compose.yml")); diff != "" {
		t.Errorf("node4 (-want +got):\n%s", diff)
	}
	want := "# The release.\nexport TAG=\"" + second + "\" # of all services\nRELEASE_VERSION=25.22\nEXPECTED_MIGRATION_ID=565\nTASK_ID=41361\n"
	if diff := cmp.Diff(want, l.read(nodes+"node3/node.env")); diff != "" {
		t.Errorf("node.env (-want +got):\n%s", diff)
	}
	if subject := l.Git("log", "-1", "--format=%an: %s"); subject != "Grace Operator: release: sandbox to 25.22 ("+second+")" {
		t.Errorf("the commit is %q", subject)
	}
	l.Git("fsck", "--strict", "--no-dangling")
	l.merged()
	l.must(release(replaced(original, "info", "warning")), request(third))
	if diff := cmp.Diff(replaced(local, "info", "warning"), l.read(nodes+"node4/docker-compose.yml")); diff != "" {
		t.Errorf("the next release on node4 (-want +got):\n%s", diff)
	}
	if got := l.read(nodes + "node3/docker-compose.yml"); got != replaced(original, "info", "warning") {
		t.Errorf("the next release on node3:\n%s", got)
	}
	l.merged()
	again := l.must(release(replaced(original, "info", "warning")), request(third))
	if again.Commit != nil || len(again.Plan.Files) > 0 {
		t.Errorf("with the same release: %+v", again.Commit)
	}
}

// TestConflict shows both sides and writes nothing.
func TestConflict(t *testing.T) {
	l := newLab(t, map[string]string{nodes + "node4/docker-compose.yml": replaced(original, "info", "trace")})
	before := l.state()
	_, err := l.prepare(release(replaced(original, "info", "debug")), request(second))
	for _, want := range []string{nodes + "node4/docker-compose.yml:5: ", "LEVEL: trace", "LEVEL: info", "LEVEL: debug", "release " + second} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if fault.Hint(err) == "" || l.state() != before {
		t.Errorf("hint %q, state %s", fault.Hint(err), l.state())
	}
}

// TestBeside joins changes of neighbouring lines, and says where, also in a run that finishes an earlier
// one.
func TestBeside(t *testing.T) {
	local := replaced(original, "info", "trace")
	l := newLab(t, map[string]string{nodes + "node4/docker-compose.yml": local})
	bundle := release(replaced(original, "environment:", "environment: # of the release"))
	made := l.must(bundle, request(second))
	if got := l.read(nodes + "node4/docker-compose.yml"); got != replaced(local, "environment:", "environment: # of the release") {
		t.Errorf("got\n%s", got)
	}
	want := []string{nodes + "node4/docker-compose.yml:4: the release changes a line next to one that the node has changed: check that they fit"}
	if diff := cmp.Diff(want, made.Plan.Notes); diff != "" || !strings.Contains(made.Commit.Text, want[0]) {
		t.Errorf("notes (-want +got):\n%s\n%s", diff, made.Commit.Text)
	}
	if again := l.must(nil, request(second)); again.Commit.Text != made.Commit.Text {
		t.Errorf("the second run has\n%s", again.Commit.Text)
	}
}

// TestUnknownRelease takes the present release from its bundle, or replaces the file if that is
// asked for.
func TestUnknownRelease(t *testing.T) {
	local := replaced(original, "replicas: 1", "replicas: 3")
	files := map[string]string{nodes + "node4/docker-compose.yml": local, "releases/" + first + "/docker-compose.yml": ""}
	next := release(replaced(original, "info", "debug"))
	l := newLab(t, files)
	before := l.state()
	if _, err := l.prepare(next, request(second)); err == nil || !strings.Contains(err.Error(), "it is not known what the node has changed") || l.state() != before {
		t.Errorf("got %v, %s", err, l.state())
	}
	var asked []string
	base := func(tag string) prepare.Source {
		asked = append(asked, tag)
		return release(original)
	}
	if _, err := l.prepareFrom(next, base, request(second)); err != nil || asked[0] != first {
		t.Errorf("with the bundle: %v, asked for %s", err, asked)
	}
	if got := l.read(nodes + "node4/docker-compose.yml"); got != replaced(local, "info", "debug") {
		t.Errorf("with the bundle:\n%s", got)
	}
	l = newLab(t, files)
	replacing := request(second)
	replacing.Replace = true
	l.must(next, replacing)
	if got := l.read(nodes + "node4/docker-compose.yml"); got != replaced(original, "info", "debug") {
		t.Errorf("replaced:\n%s", got)
	}
}

// TestText has what people decide by: dropped overrides, variables without a value, what `agent
// check` says, images and differences.
func TestText(t *testing.T) {
	l := newLab(t, map[string]string{nodes + "node3/node.env": settings + "TAG_WEB=" + first + " # hotfix\nexport TAG_OTHER=1\n"})
	wanted := request(second)
	wanted.Keep = []string{"TAG_OTHER"}
	result := l.must(release(original+"  new:\n    image: \"registry.coin.example/coin/new:$TAG_NEW\"\n    command: [\"$NEW_SETTING\", \"a```b|\"]\n"), wanted)
	text := result.Commit.Text
	for _, want := range []string{
		"| `node3` | `" + first + "` | 2 files |",
		"- `node3`: `TAG_WEB=" + first + " # hotfix` (`" + nodes + "node3/node.env`:4)",
		"- `node4`: `NEW_SETTING`",
		"the variable NEW_SETTING is not set and has no default",
		"- `registry.coin.example/coin/new:" + second + "`: node3, node4",
		"### `" + nodes + "node4/docker-compose.yml`\n\n````diff\n@@",
		"+  new:",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "`TAG_OTHER") || !strings.Contains(l.read(nodes+"node3/node.env"), "\n#TAG_WEB="+first+" # hotfix\nexport TAG_OTHER=1\n") {
		t.Errorf("node.env:\n%s", l.read(nodes+"node3/node.env"))
	}
	if !strings.HasPrefix(result.Commit.Title, "Draft: release: sandbox to ") || len(result.Plan.Problems) == 0 {
		t.Errorf("title %q, problems %v", result.Commit.Title, result.Plan.Problems)
	}
}

// TestKeep keeps the TAG_ variable that is named. A run that names another one does not finish the commit of
// an earlier one, which has ended it; and a name that no node sets is in a note.
func TestKeep(t *testing.T) {
	l := newLab(t, map[string]string{nodes + "node3/node.env": settings + "TAG_WEB=" + first + "\n"})
	next, wanted := release(replaced(original, "info", "debug")), request(second)
	wanted.Keep = []string{"TAG_WBE"}
	ended := l.must(next, wanted)
	if got := strings.Join(ended.Plan.Notes, "\n"); got != "no node sets TAG_WBE, so --keep does not keep it" || len(ended.Plan.Nodes[0].Dropped) != 1 {
		t.Errorf("notes %q, %+v", got, ended.Plan.Nodes)
	}
	wanted.Keep = []string{"TAG_WEB"}
	if _, err := l.prepare(next, wanted); err == nil || !strings.Contains(err.Error(), "keeps other TAG_ variables") || fault.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
	l.Git("switch", "--quiet", "master")
	l.Git("branch", "--quiet", "-D", ended.Commit.Branch)
	l.must(next, wanted)
	if again := l.must(next, wanted); !again.Commit.Taken || len(again.Plan.Nodes[0].Dropped) > 0 || !strings.Contains(l.read(nodes+"node3/node.env"), "\nTAG_WEB="+first) {
		t.Errorf("got %+v\n%s", again.Plan, l.read(nodes+"node3/node.env"))
	}
}

// TestTakesUp finishes a run that was killed at any point after its commit, with the same text.
func TestTakesUp(t *testing.T) {
	for name, interrupt := range map[string]func(*lab){
		"before the files": func(l *lab) { l.Git("switch", "--quiet", "master") },
		"among the files": func(l *lab) {
			branch := l.Git("symbolic-ref", "--short", "HEAD")
			l.Git("switch", "--quiet", "master")
			l.Git("restore", "--source", branch, "--worktree", nodes+"node3")
		},
		"before the index": func(l *lab) {
			l.Git("symbolic-ref", "HEAD", "refs/heads/master")
			l.Git("reset", "--quiet")
		},
		"after all": func(*lab) {},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, map[string]string{nodes + "node3/node.env": settings + "TAG_WEB=" + first + "\n"})
			bundle := release(replaced(original, "info", "debug"))
			made := l.must(bundle, request(second))
			interrupt(l)
			again := l.must(nil, request(second)) // it needs no bundle
			if !again.Commit.Taken || again.Commit.Hash != made.Commit.Hash {
				t.Fatalf("got %+v, want %+v", again.Commit, made.Commit)
			}
			if diff := cmp.Diff(made.Commit.Text, again.Commit.Text); diff != "" {
				t.Errorf("text (-first +second):\n%s", diff)
			}
			other := request(second)
			other.Release.Migration = "566"
			if _, err := l.prepare(bundle, other); err == nil || !strings.Contains(err.Error(), "with another version, task or migration") {
				t.Errorf("with another migration: %v", err)
			}
		})
	}
}

// TestOlder asks before an older release follows a newer one.
func TestOlder(t *testing.T) {
	l := newLab(t, nil)
	before := l.state()
	bundle := release(replaced(original, "info", "debug"))
	if _, err := l.prepare(bundle, request("2025-11-01-0000000000")); err == nil || !strings.Contains(err.Error(), "is older than the present release "+first+" of node3") || l.state() != before {
		t.Errorf("got %v, %s", err, l.state())
	}
	l.agree = true
	l.must(bundle, request("2025-11-01-0000000000"))
	if diff := cmp.Diff([]string{"2025-11-01-0000000000 after " + first, "2025-11-01-0000000000 after " + first}, l.older); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestDryRun writes nothing.
func TestDryRun(t *testing.T) {
	l := newLab(t, nil)
	before := l.state()
	dry := request(second)
	dry.DryRun = true
	result, err := l.prepare(release(replaced(original, "info", "debug")), dry)
	if err != nil || result.Commit != nil || !strings.Contains(result.Plan.Text, "+      LEVEL: debug") || l.state() != before {
		t.Errorf("got %+v, %v, %s", result, err, l.state())
	}
}

// TestOneNode leaves the others alone, without getting another node's node.env.
func TestOneNode(t *testing.T) {
	l := newLab(t, nil)
	result := l.must(release(replaced(original, "info", "debug")), request(second, "node3"))
	want := strings.Join([]string{nodes + "node3/docker-compose.yml", nodes + "node3/node.env", "releases/" + second + "/docker-compose.yml"}, "\n")
	if got := l.Git("diff", "--name-only", "HEAD~", "HEAD"); got != want || len(result.Plan.Nodes) != 1 {
		t.Errorf("changed %s", got)
	}
}

// TestStacks brings a release to the stack of a node that it belongs to.
func TestStacks(t *testing.T) {
	layered := replaced(config, "stack: app3", "stacks: [{name: system}, {name: business}]")
	files := map[string]string{
		"environments/sandbox/config.yml":             layered,
		nodes + "node3/docker-compose.yml":            "",
		nodes + "node3/system/docker-compose.yml":     "services:\n  proxy: {image: \"proxy:1\"}\n",
		nodes + "node3/business/docker-compose.yml":   original,
		"releases/" + first + "/x/docker-compose.yml": "",
	}
	l := newLab(t, files)
	bundle := release(replaced(original, "info", "debug"))
	if _, err := l.prepare(bundle, request(second, "node3")); err == nil || !strings.Contains(fault.Hint(err), "--stack") {
		t.Errorf("without a stack: %v", err)
	}
	named := request(second, "node3")
	named.Stack = "business"
	l.must(bundle, named)
	if got := l.read(nodes + "node3/business/docker-compose.yml"); got != replaced(original, "info", "debug") {
		t.Errorf("business:\n%s", got)
	}
	if got := l.read(filepath.Join(nodes, "node3/system/docker-compose.yml")); !strings.Contains(got, "proxy:1") {
		t.Errorf("system:\n%s", got)
	}
}
