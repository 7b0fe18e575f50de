package policy_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/policy"
)

// shownIn gives the policy that a document shows: the lines from a beginning on that have its
// prefix.
func shownIn(t *testing.T, file, prefix, begin string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(content), "\n"+begin)
	if !found {
		t.Fatalf("%s has no %q", file, begin)
	}
	lines := ""
	for line := range strings.SplitSeq(begin+text, "\n") {
		below, is := strings.CutPrefix(line, prefix)
		if !is {
			break
		}
		lines += below + "\n"
	}
	return lines
}

// TestFloorExamples reads the floors of the documents, and shows them as they were read.
func TestFloorExamples(t *testing.T) {
	for file, text := range map[string]string{
		"packaging/agent.yml": shownIn(t, "../packaging/agent.yml", "#", "#policy:\n"),
		"docs/gates.md":       shownIn(t, "../docs/gates.md", "    ", "    policy:\n      floor:\n"),
	} {
		got, err := policy.ReadFile(file, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if floor := got.Gates(); floor == nil || len(floor.Approvals()) != 1 || floor.Deployment.AutoDeploy {
			t.Errorf("%s: the floor is %+v", file, floor)
		}
		data, err := json.Marshal(got)
		var sent policy.Policy
		if err == nil {
			err = json.Unmarshal(data, &sent)
		}
		if err != nil {
			t.Fatal(err)
		}
		shown, err := sent.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.ReadFile(file, []byte(shown))
		if err != nil {
			t.Fatalf("%s: %v in\n%s", file, err, shown)
		}
		if diff := cmp.Diff(got.Gates().Approvals(), again.Gates().Approvals()); diff != "" {
			t.Errorf("%s: shown as\n%s%s", file, shown, diff)
		}
	}
}

// TestNoFloor gives no gates where there is no policy, or none in it.
func TestNoFloor(t *testing.T) {
	var none *policy.Policy
	if none.Gates() != nil || read(t, "strict: true").Gates() != nil {
		t.Error("gates without a floor")
	}
	_, err := policy.ReadFile("agent.yml", []byte("policy:\n  floor:\n    approvals: {}\n"))
	if err == nil || !strings.Contains(err.Error(), `agent.yml:3:5: unknown key "approvals"`) {
		t.Errorf("got %v", err)
	}
}
