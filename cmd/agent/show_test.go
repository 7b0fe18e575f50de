package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
)

// reports has the syncs that reports are made of, and the reports.
const reports = "../../agent/report/testdata/"

// history writes a state file with the syncs of reports, and gives its folder.
func history(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	store, err := store.Open(dir, "sandbox/node3", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(reports + name + "/sync.json")
		if err != nil {
			t.Fatal(err)
		}
		sync := &record.Sync{}
		if err := json.Unmarshal(data, sync); err != nil {
			t.Fatal(err)
		}
		if err := store.Stack(record.OnlyStack).SaveOutcome(sync, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// offline runs the agent's binary over a state file without a daemon, where the
// clocks show UTC.
func offline(t *testing.T, dir string, args ...string) (stdout, stderr string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "agent.yml")
	settings := "environment: sandbox\nnode: node3\nstate_dir: " + dir + "\nsocket: " + filepath.Join(dir, "none.sock") + "\n"
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary, append(args, "--config", config)...)
	command.Env = []string{"TZ=UTC"}
	var out, errs strings.Builder
	command.Stdout, command.Stderr = &out, &errs
	_ = command.Run()
	return out.String(), errs.String()
}

// TestShow holds `agent show` to testdata/show, and its other forms to the reports.
func TestShow(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"automatic", "refused", "unproven", "by-hand", "waiting"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := history(t, name)
			shown, stderr := offline(t, dir, "show", "latest")
			if stderr != "" {
				t.Error(stderr)
			}
			checkGolden(t, "testdata/show/"+name+".txt", shown)
			manifest, _ := offline(t, dir, "show", "latest", "-o", "manifest")
			if want := normalJSON(t, readFile(t, reports+name+"/manifest.json")); want != normalJSON(t, manifest) {
				t.Error(cmp.Diff(want, manifest))
			}
			if name == "waiting" {
				return
			}
			report, _ := offline(t, dir, "show", "latest", "-o", "report")
			if want := readFile(t, reports+name+"/report.md"); want != report {
				t.Error(cmp.Diff(want, report))
			}
		})
	}
}

func TestShowNothing(t *testing.T) {
	t.Parallel()
	dir := history(t, "automatic", "by-hand", "waiting")
	tests := []struct{ args, want string }{
		{"show 12", "agent: error: no such sync: #12\nagent: hint: the history has #13 to #15: see `agent history`\n"},
		{"show x", "agent: error: no such sync: \"x\" is not a number\nagent: hint: name the ID as `agent history` shows it, or latest\n"},
		{"show 15 -o report", "agent: error: sync #15 has no rollback\nagent: hint: `agent show 15` shows what it did; `agent history` marks the syncs with a rollback\n"},
		{"show", "agent: error: name one sync: its number, as `agent history` shows it, or latest\nagent: hint: agent show --help lists its flags\nagent: usage: agent show ID [flags]\nagent: example: agent show latest\nagent: example: agent show 12 -o report > rollback.md\n"},
	}
	for _, test := range tests {
		if stdout, stderr := offline(t, dir, strings.Fields(test.args)...); stdout != "" || stderr != test.want {
			t.Errorf("agent %s: %s%s", test.args, stdout, stderr)
		}
	}
	if stdout, stderr := offline(t, dir, "show", "#14"); stderr != "" || !strings.HasPrefix(stdout, "sandbox/node3  stack sbxapp3  sync #14  rolled back\n") {
		t.Errorf("%s%s", stdout, stderr)
	}
}

// TestHistory holds `agent history` to testdata/show/history.txt.
func TestHistory(t *testing.T) {
	t.Parallel()
	shown, stderr := offline(t, history(t, "refused", "by-hand", "waiting"), "history")
	if stderr != "" {
		t.Error(stderr)
	}
	checkGolden(t, "testdata/show/history.txt", shown)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// checkGolden holds a text to a file, which -update writes.
func checkGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(readFile(t, file), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// normalJSON is a JSON text without what does not matter in it.
func normalJSON(t *testing.T, text string) string {
	t.Helper()
	data, err := json.Marshal(decode[any](t, text))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
