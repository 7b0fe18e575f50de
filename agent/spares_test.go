package agent_test

import (
	"testing"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// A commit that changes nothing that the node reads gets its status, unless the settings spare it
// and no other node waits for this one.
func TestSpares(t *testing.T) {
	const two, first = "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}, {name: node4, context: d, stack: s}]\n",
		"environment: {name: sandbox, type: non-production}\nnodes: [{name: node2, context: b, stack: s}, {name: node3, context: c, stack: s}]\n"
	for name, test := range map[string]struct {
		config string
		all    bool
		want   []gitlab.State
	}{
		"by default":                 {"", true, []gitlab.State{gitlab.Success}},
		"spared":                     {"", false, nil},
		"another node waits for it":  {two, false, []gitlab.State{gitlab.Success}},
		"it waits for another node":  {first + "deployment: {strategy: replace}\n", false, nil},
		"all nodes at the same time": {two + "deployment: {strategy: parallel}\n", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			made := gittest.New(t)
			source, err := gitsync.Open(gitsync.Remote{URL: made.Dir})
			if err != nil {
				t.Fatal(err)
			}
			inWorld(t, func(w *world) {
				if test.config != "" {
					w.files[configFile] = file(test.config)
				}
				for path, content := range w.files {
					made.Write(map[string]string{path: string(content.Data)})
				}
				made.Commit("Set up", nil)
				w.change = func(parts *agent.Parts) {
					parts.Source, parts.Settings.UnchangedStatuses = source, test.all
					parts.Settings.Branch = "master"
				}
				w.start()
				other := made.Commit("Notes", map[string]string{"README.md": "Notes\n"})
				w.poll()
				if last := w.last(); last.Commit != other || !last.Unchanged {
					t.Errorf("%s, %s, unchanged: %t", last.Commit, last.State, last.Unchanged)
				}
				w.told(other, test.want...)
				changed := made.Commit("Change", map[string]string{nodeDir + "node.env": "TAG=2\n"})
				w.poll()
				w.told(changed, gitlab.Pending, gitlab.Running, gitlab.Success)
			})
		})
	}
}
