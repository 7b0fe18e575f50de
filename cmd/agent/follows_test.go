package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/sync/gittest"
)

// TestFilesOfTheTagOfAllStacks reads the files of the tag that the agent follows with all stacks of
// the node, and names a stack that a user led to another tag.
func TestFilesOfTheTagOfAllStacks(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	commits := map[string]string{}
	for _, tag := range []string{"2026-01-10", "2026-02-10"} {
		compose := "services: {web: {image: \"app:" + tag + "\"}}\n"
		commits[tag] = repo.Commit(tag, map[string]string{
			"environments/sandbox/config.yml":         "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, stacks: [{name: platform}, {name: business}]}]\n",
			node3 + "node.env":                        "TAG=" + tag + "\n",
			node3 + "platform/docker-compose.yml":     compose,
			node3 + "business/docker-compose.yml":     compose,
			"environments/sandbox/common/project.env": "LOG_LEVEL=info\n",
		})
		repo.Tag(tag)
	}
	repo.Git("tag", "--delete", "2026-02-10") // which platform has rolled out
	dir := filepath.Join(t.TempDir(), "state")
	state, err := store.Open(dir, "sandbox/node3", nil)
	if err != nil {
		t.Fatal(err)
	}
	list := record.StackList{Commit: commits["2026-02-10"], Stacks: []record.ListedStack{{Key: "business"}, {Key: "platform"}}}
	if err := state.Lists().SaveStackList(list, nil); err != nil {
		t.Fatal(err)
	}
	save := func(key record.StackKey, tag string, change func(*record.Sync)) {
		t.Helper()
		sync := record.Sync{Commit: commits[tag], Ref: tag, State: record.Succeeded, Wrote: true}
		change(&sync)
		if err := state.Stack(key).SaveOutcome(&sync, &record.GoodState{Owner: "sandbox/node3", Commit: commits[tag], StackName: string(key)}); err != nil {
			t.Fatal(err)
		}
	}
	ran := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		args = append(args, "render", "--config", "/dev/null", "--environment", "sandbox", "--node", "node3", "--state-dir", dir,
			"--socket", filepath.Join(dir, "none.sock"), "--repository", repo.Dir, "--tag-pattern", `^\d{4}-\d{2}-\d{2}$`)
		if code := run(t.Context(), args, &out, &errs); code != exitDone {
			t.Fatalf("agent %s: exit code %d\n%s%s", strings.Join(args, " "), code, &out, &errs)
		}
		return out.String() + errs.String()
	}
	save("platform", "2026-02-10", func(*record.Sync) {})
	save("business", "2026-01-10", func(*record.Sync) {})
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	if said := ran(); strings.Count(said, "app:2026-02-10") != 2 || strings.Contains(said, "are read") {
		t.Errorf("of both:\n%s", said)
	}
	if state, err = store.Open(dir, "sandbox/node3", nil); err != nil {
		t.Fatal(err)
	}
	save("business", "2026-01-10", func(sync *record.Sync) { sync.Chosen = &record.Chosen{Over: "2026-02-10"} })
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	said := ran()
	if strings.Count(said, "app:2026-02-10") != 2 || !strings.Contains(said, "the stack business follows 2026-01-10, and the files of 2026-02-10 are read") || !strings.Contains(said, "`--stack business`") {
		t.Errorf("of a stack that was led, and the other:\n%s", said)
	}
	if said := ran("--stack", "business"); !strings.Contains(said, "app:2026-01-10") || strings.Contains(said, "are read") {
		t.Errorf("of the other alone:\n%s", said)
	}
}
