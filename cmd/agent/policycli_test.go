package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPolicyCommands suggests a policy for a node of the example and tests it, as a merge
// request's job does: without an engine, keys or settings.
func TestPolicyCommands(t *testing.T) {
	repo := t.TempDir()
	if err := os.CopyFS(repo, os.DirFS(examples+"coin-gitops")); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "agent.yml")
	file := filepath.Join(t.TempDir(), "policy.yml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(empty, "")
	command := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		args = append(args, "--config", empty)
		if code := run(context.Background(), args, &out, &errs); code != want {
			t.Errorf("%v: exit %d, want %d: %s%s", args, code, want, out.String(), errs.String())
		}
		return out.String() + errs.String()
	}
	node := []string{"--repo", repo, "--environment", "sandbox", "--node", "node3"}
	write(file, command(exitDone, append([]string{"policy", "suggest"}, node...)...))
	test := append([]string{"policy", "test", "--policy", file}, node...)
	if out := command(exitDone, test...); out != "the policy allows it\n" {
		t.Errorf("said of the files that it was made of: %s", out)
	}
	shop := filepath.Join(repo, node3+"docker-compose-testshop.yaml")
	text, err := os.ReadFile(shop)
	if err != nil {
		t.Fatal(err)
	}
	write(shop, strings.Replace(string(text), "    networks:", "    cap_add: [SYS_ADMIN]\n    networks:", 1))
	const refusal = node3 + "docker-compose-testshop.yaml:14: service testshop adds the capability SYS_ADMIN: policy.capabilities does not allow it\n  hint: remove it, or have the node's operator add SYS_ADMIN to policy.capabilities.testshop in agent.yml\n1 refusal\n"
	if out := command(exitDifferent, test...); out != refusal {
		t.Errorf("said of an attack: %s", out)
	}
	write(shop, string(text))
	write(file, "policy:\n  floor: {approval: {required: true, minimum: 3}, deployment: {auto_deploy: false}}\n")
	if out := command(exitDone, test...); !strings.Contains(out, "policy.floor is stricter and holds: config.yml lowers approvals from 3 to 0, turns auto_deploy on") {
		t.Errorf("said of a floor: %s", out)
	}
	if out := command(exitError, append(test, "--policy", empty)...); !strings.Contains(out, "the key policy is missing") {
		t.Errorf("with a file that has no policy: %s", out)
	}
	if out := command(exitUsage, append([]string{"policy", "test"}, node...)...); !strings.Contains(out, "name the policy with --policy") {
		t.Errorf("without a policy: %s", out)
	}
	if out := command(exitDone, "policy", "show", "--socket", repo+"/nowhere.sock"); out != "no policy: a commit can take over this node\n" {
		t.Errorf("shown without a policy: %s", out)
	}
	write(empty, "policy: strict\n")
	if out := command(exitDone, "policy", "show", "--socket", repo+"/nowhere.sock"); out != "policy:\n  strict: true\n" {
		t.Errorf("shown: %s", out)
	}
}
