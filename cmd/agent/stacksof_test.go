package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestStacksOffline runs the commands that need no engine on a node with several stacks.
func TestStacksOffline(t *testing.T) {
	const repo = "../../examples/layers"
	key := filepath.Join(t.TempDir(), "key")
	content, err := os.ReadFile("../../examples/keys/sandbox.agekey")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, content, 0o600); err != nil {
		t.Fatal(err)
	}
	node := []string{"--config", "/dev/null", "--environment", "sandbox", "--node", "node1"}
	ran := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(t.Context(), append(args, node...), &out, &errs); code != want {
			t.Errorf("agent %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, &out, &errs)
		}
		return out.String() + errs.String()
	}
	render := []string{"render", "--repo", repo, "--age-key-files", key}
	stacks := func(text string) (names []string) {
		for line := range strings.Lines(text) {
			if name, found := strings.CutPrefix(line, "# stack "); found {
				names = append(names, strings.TrimSpace(name))
			}
		}
		return names
	}
	if got := stacks(ran(exitDone, render...)); !slices.Equal(got, []string{"system", "platform", "business"}) {
		t.Errorf("render prints the stacks %v", got)
	}
	one := ran(exitDone, append(slices.Clone(render), "--stack", "business")...)
	if len(stacks(one)) != 0 || strings.Contains(one, "---") || !strings.Contains(one, "gateway:") || strings.Contains(one, "router:") {
		t.Errorf("render of one stack:\n%s", one)
	}
	var list []struct{ Stack string }
	if err := json.Unmarshal([]byte(ran(exitDone, append(slices.Clone(render), "-o", "specs")...)), &list); err != nil || len(list) != 3 || list[2].Stack != "business" {
		t.Errorf("the specs are of %v, %v", list, err)
	}
	if said := ran(exitError, append(slices.Clone(render), "--stack", "platform2")...); !strings.Contains(said, `did you mean "platform"?`) {
		t.Errorf("an unknown stack: %s", said)
	}
	if said := ran(exitDone, "check", "--repo", repo); !strings.Contains(said, "sandbox/node1/platform") || !strings.Contains(said, "3 stacks of 1 node checked, 0 with problems") {
		t.Errorf("check says:\n%s", said)
	}
	if said := ran(exitUsage, "policy", "suggest", "--repo", repo); !strings.Contains(said, "name one of them with --stack: system, platform, business") {
		t.Errorf("policy suggest says:\n%s", said)
	}
}
