package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/sync/gittest"
)

// hostile goes up a line and erases it, sets the window's title, turns the direction of
// writing, hides, rings, and forges a line.
const hostile = "x\x1b[2A\x1b[2K\x1b]0;t\x07\u202egnp\u2066\u200b\u009b2Jy\r\nforged line\u2028z\x7f"

// noRaw checks that a text has no character that controls a terminal or hides: only line
// breaks, and no line that the hostile text began.
func noRaw(t *testing.T, what, text string) {
	t.Helper()
	text = strings.ReplaceAll(text, "\r\n", "\n") // of CSV
	if at := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (!unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)) }); at >= 0 {
		t.Errorf("%s: %q", what, text[max(0, at-60):min(len(text), at+60)])
	}
	if strings.HasPrefix(text, "forged line") || strings.Contains(text, "\nforged line") {
		t.Errorf("%s: a forged line in %s", what, text)
	}
}

// shows checks that a command shows the hostile text, made harmless.
func shows(t *testing.T, what, text string) {
	t.Helper()
	noRaw(t, what, text)
	if !slices.ContainsFunc([]string{`\x1b[2A`, `\u001b[2A`, `\x1b\[2A`, `\e[2A`}, func(escape string) bool { return strings.Contains(text, escape) }) {
		t.Errorf("%s does not show the hostile text: %s", what, text)
	}
}

// fixed are the keys of a record whose values are words of the agent.
var fixed = []string{"id", "state", "stage", "trigger", "by", "action", "kind", "source", "path", "commit"}

// poisoned gives a JSON value whose texts end with the hostile text.
func poisoned(value any, key string) any {
	switch v := value.(type) {
	case map[string]any:
		for name, one := range v {
			v[name] = poisoned(one, name)
		}
	case []any:
		for i, one := range v {
			v[i] = poisoned(one, key)
		}
	case string:
		if _, err := time.Parse(time.RFC3339, v); err != nil && !slices.Contains(fixed, key) {
			return v + hostile
		}
	}
	return value
}

// hostileState writes a state folder with hostile syncs and audit entries.
func hostileState(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	store, err := store.Open(dir, "sandbox/node3", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"waiting", "refused", "by-hand", "automatic"} {
		text, err := json.Marshal(poisoned(decode[any](t, readFile(t, reports+name+"/sync.json")), ""))
		if err != nil {
			t.Fatal(err)
		}
		sync := decode[record.Sync](t, string(text))
		sync.ID = 0
		if err := store.Stack(record.OnlyStack).SaveOutcome(&sync, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(dir, audit.Options{Environment: "sandbox", Node: "node3", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Append(audit.Entry{
		Actor: audit.Actor{By: audit.ByUser, Name: hostile}, Action: audit.Update, Kind: audit.Service, Name: hostile,
		Service: hostile, Revision: "79f141c9f3", Outcome: audit.Failed, Error: hostile, Detail: hostile,
	}); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRecordsCannotControlATerminal prints hostile records by all commands that read them.
func TestRecordsCannotControlATerminal(t *testing.T) {
	t.Parallel()
	dir := hostileState(t)
	for _, args := range []string{
		"status", "status -o json", "history", "history -o json", "audit log", "audit log -o json",
		"show 1", "show 2", "show 3", "show 4", "show 1 -o json", "show 2 -o json", "show 3 -o json", "show 4 -o json",
		"show 1 -o manifest", "show 2 -o manifest", "show 3 -o manifest", "show 4 -o manifest",
		"show 2 -o report", "show 3 -o report", "show 4 -o report",
	} {
		out, errs := offline(t, dir, strings.Fields(args)...)
		shows(t, args, out)
		noRaw(t, args, errs)
	}
	out, errs := offline(t, dir, "audit", "verify")
	noRaw(t, "audit verify", out+errs)
}

// TestFilesCannotControlATerminal reads a hostile repository, with a hostile history, by all
// commands that read files.
func TestFilesCannotControlATerminal(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	const quoted = `"x\e[2A\e[2K\u202e\u2028\x07\x9b2J\r\nforged line"`
	files := map[string]string{
		"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\nnodes:\n  - {name: node3, context: c, stack: s}\n",
		node3 + "node.env":                "TAG=1\n",
		node3 + "secrets.override.env":    "SV_own=2\n",
		node3 + "docker-compose.yml": "services:\n  web:\n    image: app:$TAG\n    labels: {" + quoted + ": " + quoted + "}\n    command: [" + quoted + "]\n" +
			"    restart: always\n    container_name: " + quoted + "\n    volumes: [{type: bind, source: \"/srv/x\\e[2A\\u202e\", target: " + quoted + "}]\n    secrets: [own]\n" +
			"secrets: {own: {external: true, name: own.$SV_own}}\n",
	}
	repo.Write(files)
	repo.Git("add", "--all")
	repo.Git("commit", "--quiet", "--message", "Start "+hostile, "--author", "Ada \x1b[2A\u202e <ada@coin.example>")
	strict := filepath.Join(t.TempDir(), "policy.yml")
	if err := os.WriteFile(strict, []byte("policy: {strict: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	node := []string{"--environment", "sandbox", "--node", "node3", "--repo", repo.Dir}
	for _, args := range [][]string{
		append([]string{"render"}, node...), append([]string{"render", "-o", "specs"}, node...),
		append([]string{"policy", "suggest"}, node...), append([]string{"policy", "test", "--policy", strict}, node...),
		append([]string{"policy", "test", "-o", "json", "--policy", strict}, node...),
	} {
		stdout, stderr := execute(t, args...)
		shows(t, strings.Join(args, " "), stdout+stderr)
	}
	repo.Write(map[string]string{node3 + "docker-compose-wrong.yml": "services:\n  web:\n    " + quoted + ": x\n"})
	for _, args := range [][]string{
		{"check", repo.Dir}, {"check", repo.Dir, "-o", "json"}, {"check", repo.Dir, "-o", "junit"}, {"check", repo.Dir, "-o", "codequality"},
	} {
		stdout, stderr := execute(t, args...)
		shows(t, strings.Join(args, " "), stdout+stderr)
	}
	for _, output := range []string{"text", "json", "csv"} {
		stdout, stderr := execute(t, "secrets", "audit", "--environment", "sandbox", "--repo", repo.Dir, "-o", output)
		shows(t, "secrets audit -o "+output, stdout+stderr)
	}
}

// TestErrorsCannotControlATerminal gives hostile arguments, settings and answers.
func TestErrorsCannotControlATerminal(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{hostile},
		{"audit", "log", "--since", hostile},
		{"adopt", hostile},
		{"check", hostile},
		{"diff", "-o", hostile},
		{"render", "--repo", hostile, "--environment", "e", "--node", "n"},
		{"history", "--config", hostile},
		{"run", "--log-level", hostile},
		{"doctor", "--repository", hostile, "--engine", "tcp://" + hostile},
	} {
		stdout, stderr := execute(t, args...)
		shows(t, strings.Join(args[:1], " "), stdout+stderr)
	}
}

// execute runs the built agent alone.
func execute(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, args...)
	command.Dir = t.TempDir()
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "COIN_AGENT_STATE_DIR=" + filepath.Join(command.Dir, "state"), "COIN_AGENT_SOCKET=" + filepath.Join(command.Dir, "none.sock")}
	var out, errs strings.Builder
	command.Stdout, command.Stderr = &out, &errs
	_ = command.Run() // what it says is checked
	return out.String(), errs.String()
}

// TestEveryCommandIsWalked names the commands that the tests of hostile values run, and those
// that print only what their caller knows. A new command belongs into one of the lists.
func TestEveryCommandIsWalked(t *testing.T) {
	walked := []string{
		"adopt", "audit log", "audit verify", "check", "diff", "doctor", "history", "policy show", "policy suggest", "policy test", "render", "run", "secrets audit", "secrets gc", "secrets list",
		"show", "status", "sync", "pause", "resume", "rollback",
	}
	own := []string{"approve", "completion", "events", "explain", "fleet", "import", "init", "logs", "release flags", "release prepare", "release promote", "release revert", "report dora", "retry", "secrets rotate", "stack check", "stack deploy", "stack run", "stack stop", "version", "wait"}
	a := &app{settings: settings.Default()}
	var all []string
	var visit func(command *cobra.Command)
	visit = func(command *cobra.Command) {
		if len(command.Commands()) == 0 {
			all = append(all, strings.TrimPrefix(command.CommandPath(), "agent "))
		}
		for _, below := range command.Commands() {
			visit(below)
		}
	}
	visit(a.root())
	for _, name := range all {
		if !slices.Contains(walked, name) && !slices.Contains(own, name) {
			t.Errorf("no test prints hostile values by agent %s", name)
		}
	}
}
