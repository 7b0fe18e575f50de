package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/sopstest"
)

const (
	sandbox     = "environments/sandbox/"
	composeFile = node3 + "docker-compose.yml"
)

// said is one fault as each way of asking shows it: its text begins with its
// place, and the hint is the remedy.
type said struct{ text, hint string }

// badCommit is a commit that must be refused before anything is touched.
type badCommit struct {
	name  string
	stage string
	files func(l *lab) map[string]string
	want  []said
	keys  bool // it takes keys, or the engine, to see it: `agent check` cannot
}

// edited is the small compose file with one thing replaced.
func edited(old, text string) func(*lab) map[string]string {
	return func(*lab) map[string]string {
		return map[string]string{composeFile: strings.Replace(smallCompose, old, text, 1)}
	}
}

// plain is one file with other content.
func plain(name, content string) func(*lab) map[string]string {
	return func(*lab) map[string]string { return map[string]string{name: content} }
}

// configured is config.yml with lines before its deployment section.
func configured(lines string) func(*lab) map[string]string {
	return func(l *lab) map[string]string {
		config := l.smallRepo()[sandbox+"config.yml"]
		return map[string]string{sandbox + "config.yml": strings.Replace(config, "deployment:\n", lines+"deployment:\n", 1)}
	}
}

func sealed(key func(l *lab) sopstest.Key, values map[string]string) func(*lab) map[string]string {
	return func(l *lab) map[string]string {
		return map[string]string{node3 + "secrets.enc": sopstest.YAML(l.t, key(l), values)}
	}
}

func ownKey(l *lab) sopstest.Key     { return l.key }
func strangeKey(l *lab) sopstest.Key { return sopstest.NewKey(l.t) }

var badCommits = []badCommit{
	{"missing variables", "render", edited("SERVICE_NAME: worker", "SERVICE_NAME: $WORKER_NAME, B: $OTHER_NAME"), []said{
		{composeFile + ":19: the variable OTHER_NAME is not set and has no default", "set OTHER_NAME in node.env, or add a default: ${OTHER_NAME:-value}"},
		{composeFile + ":19: the variable WORKER_NAME is not set and has no default", "set WORKER_NAME in node.env, or add a default: ${WORKER_NAME:-value}"},
	}, false},
	{"unknown config keys", "load", configured("deploymnt: {}\ndrift: mend\n"), []said{
		{sandbox + `config.yml:5:1: unknown key "deploymnt"`, `did you mean "deployment"?`},
		{sandbox + "config.yml:6:8: drift: want one of report, correct, got \"mend\"", "use one of: report, correct"},
	}, false},
	{"unknown compose key", "render", edited("  worker:\n", "  worker:\n    imagee: x\n"), []said{
		{composeFile + ":17: services.worker.imagee is not a key", "check its spelling"},
	}, false},
	{"missing secret", "plan", edited("  web_auth:\n", "  nobody:\n    file: ./secrets/nobody\n  web_auth:\n"), []said{
		{composeFile + `:42: the secret "nobody" has no value: looked for `, "add it with sops to one of these places"},
	}, false},
	{"wrong SOPS key", "decrypt", sealed(strangeKey, canaries), []said{
		{node3 + "secrets.enc: no key opens the file; it is encrypted to age age1", "sops updatekeys --input-type yaml " + node3 + "secrets.enc"},
	}, true},
	{"plaintext secrets", "decrypt", plain(node3+"secrets.enc", "db_access: "+canaries["db_access"]+"\n"), []said{
		{node3 + "secrets.enc: the file is not encrypted", "encrypt it: sops -e -i " + node3 + "secrets.enc"},
	}, false},
	{"malformed compose file", "render", edited("  worker:\n", "  worker: [\n"), []said{
		{composeFile + ":15: not valid YAML: did not find expected ',' or ']'", "YAML"},
	}, false},
	{"malformed config.yml", "load", plain(sandbox+"config.yml", "environment: {name: sandbox\nnodes: ]\n"), []said{
		{sandbox + "config.yml:1: malformed YAML: did not find expected ',' or '}'", "check the indentation and the quotes around this line"},
	}, false},
	{"path that leaves", "render", edited("env_file: $PROJECT_SETTINGS", "env_file: ../../../../../etc/passwd"), []said{
		{composeFile + `:5: path "../../../../../etc/passwd" leaves the repository`, "name a file in the repository, relative to " + strings.TrimSuffix(node3, "/")},
	}, false},
	{"link that leaves", "load", plain(node3+"project.env", "-> ../../../../../etc/passwd"), []said{
		{node3 + "project.env", "put the file itself into the repository"},
	}, false},
	{"changed secret", "plan", sealed(ownKey, map[string]string{"db_access": "other", "web_auth": canaries["web_auth"]}), []said{
		{"db_access.1", "raise SV_db_access"},
	}, true},
}

// TestBadCommits commits one bad thing after another: each is told once, with
// its place and remedy, wherever one may ask, and nothing that runs is touched.
func TestBadCommits(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	good := l.smallRepo()
	first := l.commit("first", good)
	l.start()
	l.await(first, record.Succeeded)
	before := l.versions()
	for _, bad := range badCommits {
		t.Run(bad.name, func(t *testing.T) {
			files := bad.files(l)
			sha := l.commit(bad.name, files)
			l.recorder.Reset()
			l.refusedByCommands(t, bad, sha)
			l.refusedInStatus(t, bad, sha)
			l.refusedInGitLab(t, bad, sha)
			if writes := l.recorder.Writes(); len(writes) > 0 {
				t.Errorf("it wrote %v", writes)
			}
			if diff := cmp.Diff(before, l.versions()); diff != "" {
				t.Error(diff)
			}
			for name := range files {
				files[name] = good[name]
			}
			mended := l.commit("mend "+bad.name, files)
			l.await(mended, record.Succeeded)
			l.posts(mended, "success")
		})
	}
}

// refusedByCommands asks every command that sees the files.
func (l *lab) refusedByCommands(t *testing.T, bad badCommit, sha string) {
	t.Helper()
	code, out, _ := l.command("check", "--repo", l.repo.Dir)
	if bad.keys {
		if code != exitDone {
			t.Errorf("check: exit %d: %s", code, out)
		}
	} else {
		told(t, "check", out, bad.want, "error: ", "hint: ")
		if code != exitDifferent {
			t.Errorf("check: exit %d", code)
		}
	}
	commands := [][]string{{"diff"}, {"sync", "--dry-run"}, {"render", "--repo", l.repo.Dir}, {"sync", "--wait"}}
	for _, command := range commands {
		if bad.stage == "plan" && command[len(command)-1] != "--wait" {
			continue // only a sync compares the contents of secrets
		}
		prefix := "agent: error: "
		if command[len(command)-1] == "--wait" {
			prefix += "master " + short(sha) + ": " + bad.stage + ": "
		}
		code, _, errs := l.command(command...)
		told(t, strings.Join(command, " "), errs, bad.want, prefix, "agent: hint: ")
		if code != exitError {
			t.Errorf("%v: exit %d", command, code)
		}
	}
}

func (l *lab) refusedInStatus(t *testing.T, bad badCommit, sha string) {
	t.Helper()
	l.await(sha, record.Failed)
	code, out, _ := l.command("status")
	told(t, "status", out, bad.want, bad.stage+": ", "hint: ")
	if code != exitDifferent || !strings.Contains(out, "held: not tried again until a new commit or `agent retry`") {
		t.Errorf("status: exit %d: %s", code, out)
	}
	_, out, _ = l.command("status", "-o", "json")
	status := decode[report.Status](t, out)
	faults := status.Sync.All()
	if len(faults) != len(bad.want) || status.InSync || status.Sync.Transient || status.Applied == nil {
		t.Fatalf("status: %s", out)
	}
	for i, want := range bad.want {
		if !strings.Contains(faults[i].Error, want.text) || !strings.Contains(faults[i].Hint, want.hint) {
			t.Errorf("status: got %+v, want %+v", faults[i], want)
		}
	}
}

// refusedInGitLab looks at the commit's status. It is about one node, so a place
// there may be told from the node's folder on.
func (l *lab) refusedInGitLab(t *testing.T, bad badCommit, sha string) {
	t.Helper()
	l.posts(sha, "failed")
	posts := l.gitlab.Statuses(sha).Posts
	got, first := posts[len(posts)-1].Description, bad.want[0]
	text := strings.TrimPrefix(strings.TrimPrefix(first.text, node3), sandbox)
	if !strings.HasPrefix(got, bad.stage+": ") || !strings.Contains(got, text) || !strings.Contains(got, " (") || len([]rune(got)) > 255 {
		t.Errorf("GitLab shows %q", got)
	}
	if len(bad.want) > 1 && !strings.Contains(got, fmt.Sprintf("(and %d more)", len(bad.want)-1)) {
		t.Errorf("GitLab does not tell of the other faults: %q", got)
	}
	t.Logf("%d characters: %s", len([]rune(got)), got)
}

// told checks that output has each fault once, on a line of its own that begins
// with prefix, and under it its hint; and no other fault.
func told(t *testing.T, who, output string, want []said, prefix, hint string) {
	t.Helper()
	lines := strings.Split(output, "\n")
	var found []int
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(line, "  cause"), " "), prefix) {
			found = append(found, i)
		}
	}
	if len(found) != len(want) {
		t.Errorf("%s: %d faults, want %d:\n%s", who, len(found), len(want), output)
		return
	}
	for i, at := range found {
		next := ""
		if at+1 < len(lines) {
			next = strings.TrimSpace(lines[at+1])
		}
		if !strings.Contains(lines[at], want[i].text) || !strings.HasPrefix(next, hint) || !strings.Contains(next, want[i].hint) {
			t.Errorf("%s: want %q and %q in:\n%s\n%s", who, want[i].text, want[i].hint, lines[at], next)
		}
	}
}
