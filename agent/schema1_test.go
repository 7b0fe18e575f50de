package agent_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	gitsync "coin.internal/coin-agent/sync"
)

// saved is the world beside a state file that an agent of schema 1 has written.
type saved struct {
	Revision gitsync.Revision                 `json:"revision"`
	Files    map[string]string                `json:"files"`
	Live     map[string]swarm.ServiceSpec     `json:"live"`
	Networks map[string]network.CreateOptions `json:"networks"`
	Secrets  map[string]swarm.Secret          `json:"secrets"`
	Now      time.Time                        `json:"now"`
}

// carriedOn is a world whose agent starts on a state file of schema 1.
func carriedOn(t *testing.T, name string, test func(w *world)) {
	t.Helper()
	inWorld(t, func(w *world) {
		from := filepath.Join("store", "testdata", "v1", name)
		for _, file := range []string{"state.db", audit.FileName} {
			content, err := os.ReadFile(filepath.Join(from, file))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(w.dir, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(filepath.Join(from, "world.json"))
		if err != nil {
			t.Fatal(err)
		}
		var was saved
		if err := json.Unmarshal(data, &was); err != nil {
			t.Fatal(err)
		}
		for path, content := range was.Files {
			w.files[path] = file(content)
		}
		w.revision, w.live, w.networks, w.secrets = was.Revision, was.Live, was.Networks, was.Secrets
		w.pass(time.Until(was.Now) + time.Minute)
		test(w)
	})
}

// An agent of this version carries on what one of schema 1 has left.
func TestCarriesOnSchema1(t *testing.T) {
	t.Run("waiting approval", func(t *testing.T) {
		carriedOn(t, "approval", func(w *world) {
			w.merges = &merges{requests: []gitlab.Request{{Number: 12, State: gitlab.Merged, Author: "ada", Target: "master", Brought: true}}}
			w.start()
			waits := w.said("approval is required")
			w.merges.set(func() { w.merges.users = []string{"bob"} })
			w.poll()
			if done := w.wantLast(w.revision.Commit, record.Succeeded); done.ID != waits.ID || done.PlanDigest != waits.PlanDigest {
				t.Errorf("carried on as %+v", done)
			}
		})
	})
	t.Run("held", func(t *testing.T) {
		carriedOn(t, "held", func(w *world) {
			w.start()
			for range 5 {
				w.poll()
			}
			if held := w.wantLast(w.revision.Commit, record.Failed); held.ID != 2 || !held.Held() || w.plans() != 0 {
				t.Errorf("it was tried again: %+v", held)
			}
			next := w.release("3")
			w.poll()
			w.wantLast(next, record.Succeeded)
		})
	})
	t.Run("pinned", func(t *testing.T) {
		carriedOn(t, "pinned", func(w *world) {
			w.start()
			w.poll()
			pinned := w.wantLast(w.revision.Commit, record.RolledBack)
			if at := w.desk.Status().Pinned; at == nil || at.Reason != "it is slow" || !pinned.PinnedByUser() || w.plans() != 0 {
				t.Errorf("pinned at %+v", at)
			}
			w.runs("1")
		})
	})
	t.Run("group", func(t *testing.T) {
		carriedOn(t, "group", func(w *world) {
			w.others = &neighbours{}
			w.others.says(w.revision.Commit, "node1", gitlab.Failed)
			w.start()
			w.poll()
			if back := w.wantLast(w.revision.Commit, record.RolledBack); back.Rollback.Reason != "node1 failed with this commit" {
				t.Errorf("rolled back as %+v", back.Rollback)
			}
			w.wantImage("app:1")
		})
	})
	t.Run("rollback under way", func(t *testing.T) {
		carriedOn(t, "rollingback", func(w *world) {
			w.start()
			back := w.wantLast(w.revision.Commit, record.RolledBack)
			if back.ID != 2 || !back.Rollback.Auto || !strings.Contains(back.Summary, "to 1 (sync #1)") {
				t.Errorf("carried on as %+v", back)
			}
			w.runs("1")
		})
	})
}
