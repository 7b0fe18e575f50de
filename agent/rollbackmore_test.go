package agent_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/memoryfolder"
)

// instant is all that a kill would leave.
type instant struct {
	files map[string][]byte
	live  map[string]swarm.ServiceSpec
}

func (w *world) instant() instant {
	now := instant{files: map[string][]byte{}, live: maps.Clone(w.live)}
	for _, name := range []string{"state.db", "audit.log"} {
		content, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			w.t.Fatal(err)
		}
		now.files[name] = content
	}
	return now
}

// An agent that is killed at any moment of going back comes to the same end, with
// the remote gone.
func TestRollbackAfterAnyKill(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		back   func(w *world)
		is     record.Sync // what does not depend on when it was killed
	}{
		"by itself": {automatic, func(*world) {}, record.Sync{ID: 2, Trigger: "commit", Actor: audit.Author("Ada <ada@coin.example>"), Stage: "verify", Error: "service s_web: it is broken; the task failed"}},
		"by hand":   {baseConfig, func(w *world) { w.wentBack(request.Rollback{}) }, record.Sync{ID: 3, Trigger: "rollback", Actor: person}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.release("1", configFile, test.config)
				w.start()
				w.breaks("2")
				var instants []instant
				w.set(func() {
					w.moment = func() {
						if last := w.desk.Status().Sync; !last.Rollback.Over() {
							instants = append(instants, w.instant())
						}
					}
				})
				bad := w.release("2")
				w.poll()
				test.back(w)
				w.wantLast(bad, record.RolledBack)
				w.halt()
				w.moment = nil
				if len(instants) < 4 {
					t.Fatalf("%d moments", len(instants))
				}
				for i, left := range instants {
					w.revive(left)
					sync := w.wantLast(bad, record.RolledBack)
					w.runs("1")
					w.told(bad, gitlab.Failed)
					good, err := w.records.Good(10)
					is := record.Sync{ID: sync.ID, Trigger: sync.Trigger, Actor: sync.Actor, Stage: sync.Stage, Error: sync.Error}
					if !cmp.Equal(test.is, is) || err != nil || len(good) != 1 {
						t.Errorf("after kill %d: %+v, %d good states", i, sync, len(good))
					}
					w.halt()
				}
			})
		})
	}
}

// revive starts an agent where another one was killed, with the remote gone.
func (w *world) revive(left instant) {
	w.t.Helper()
	w.dir, w.live, w.reported, w.selectErr = memoryfolder.New(w.t), left.live, nil, context.DeadlineExceeded
	for name, content := range left.files {
		if err := os.WriteFile(filepath.Join(w.dir, name), content, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	w.start()
}

const twoServices = "services: {web: {image: \"app:$TAG\"}, worker: {image: \"app:$TAG\"}, migrate: {image: \"app:$TAG\", deploy: {restart_policy: {condition: none}}}}\n"

// images are what the services run.
func (w *world) images() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	images := map[string]string{}
	for name, spec := range w.live {
		images[name] = spec.TaskTemplate.ContainerSpec.Image
	}
	return images
}

// One service goes back, the rest stays; a job is never run again.
func TestRollbackOfOneService(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", nodeDir+"docker-compose.yml", twoServices)
		w.start()
		w.release("2", nodeDir+"docker-compose.yml", twoServices+"# and a service\n")
		w.poll()
		sync := w.wentBack(request.Rollback{Services: []string{"web"}})
		want := map[string]string{"s_web": "app:1", "s_worker": "app:2", "s_migrate": "app:2"}
		if diff := cmp.Diff(want, w.images()); diff != "" {
			t.Errorf("of web alone: %s", diff)
		}
		if !strings.HasPrefix(sync.Summary, "rolled s_web back to 1 (sync #1) by local:ada") {
			t.Errorf("told as %q", sync.Summary)
		}
		w.poll()
		if status := w.desk.Status(); len(status.Drift) > 0 {
			t.Errorf("it drifted: %v", status.Drift)
		}
		w.wentBack(request.Rollback{To: 1})
		want["s_worker"] = "app:1"
		if diff := cmp.Diff(want, w.images()); diff != "" {
			t.Errorf("of all: %s", diff)
		}
		if taken := w.last().Rollback; !cmp.Equal(taken.Left, []string{"s_migrate"}) {
			t.Errorf("left as it is: %v", taken.Left)
		}
		w.wentBack(request.Rollback{To: 3}) // the mixed one is a good state, too
		want["s_worker"] = "app:2"
		if diff := cmp.Diff(want, w.images()); diff != "" {
			t.Errorf("of the mixed one: %s", diff)
		}
	})
}

// What a bad revision added is removed, and what it removed comes back.
func TestRollbackOfAddedServices(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic, nodeDir+"docker-compose.yml", twoServices)
		w.start()
		w.breaks("2")
		bad := w.release("2", nodeDir+"docker-compose.yml", "services: {web: {image: \"app:$TAG\"}, more: {image: \"app:$TAG\"}}\n")
		w.poll()
		w.wantLast(bad, record.RolledBack)
		want := map[string]string{"s_web": "app:1", "s_worker": "app:1"}
		if diff := cmp.Diff(want, w.images()); diff != "" {
			t.Errorf("back to: %s", diff)
		}
		w.poll()
		if status := w.desk.Status(); len(status.Drift) > 0 {
			t.Errorf("it drifted: %v", status.Drift)
		}
	})
}

// strip takes the files out of what is recorded, as an older agent left it.
func (w *world) strip() {
	w.t.Helper()
	last := w.last()
	applied, err := w.records.Deployed()
	if err != nil {
		w.t.Fatal(err)
	}
	applied.Files = nil
	if err := w.records.SaveOutcome(last, applied); err != nil {
		w.t.Fatal(err)
	}
}

// A state that an older agent has recorded is gone back to by its services alone.
func TestRollbackWithoutFiles(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		w.strip()
		w.release("2")
		w.poll()
		sync := w.wentBack(request.Rollback{})
		w.runs("1")
		if warnings := strings.Join(sync.Rollback.Warnings, "\n"); !strings.Contains(warnings, "only its services are verified: an earlier version of the agent") {
			t.Errorf("warned of %q", warnings)
		}
	})
}

const (
	secretCompose = "services: {web: {image: \"app:$TAG\", secrets: [db]}}\nsecrets: {db: {file: ./secrets/db, name: \"s_db.$SV_db\"}}\n"
	plainConfig   = baseConfig + "allow_plaintext_secrets: true\n"
	plainSecret   = "canary-plain-5be81d"
)

// A secret whose version is gone from Swarm is named before anything is touched,
// and nothing in the clear is on the disk.
func TestRollbackToAGoneSecret(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1\nSV_db=1", configFile, plainConfig, nodeDir+"docker-compose.yml", secretCompose, nodeDir+"secrets/db", plainSecret)
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.release("2\nSV_db=2")
		w.poll()
		last := w.wantLast(w.revision.Commit, record.Succeeded)
		w.recordedWithout(plainSecret)
		w.set(func() { delete(w.secrets, "s_db.1") })
		_, err := w.goBack(request.Rollback{})
		if err == nil || !strings.Contains(err.Error(), "the secret s_db.1 is gone from Swarm") {
			t.Errorf("got %v", err)
		}
		w.runs("2")
		if w.last().ID != last.ID {
			t.Errorf("recorded as %+v", w.last())
		}
	})
}

// What a mixed state refers to is recorded with it, also what a release brought that
// was never proven: else it would be collected, and found missing half-way back.
func TestRollbackOfOneServiceRecordsSecrets(t *testing.T) {
	inWorld(t, func(w *world) {
		both := "services: {web: {image: \"app:$TAG\", secrets: [db]}, worker: {image: \"app:$TAG\", secrets: [db]}}\n" +
			"secrets: {db: {file: ./secrets/db, name: \"s_db.$SV_db\"}}\n"
		w.release("1\nSV_db=1", configFile, plainConfig, nodeDir+"docker-compose.yml", both, nodeDir+"secrets/db", plainSecret)
		w.start()
		w.breaks("2")
		w.release("2\nSV_db=2")
		w.poll()
		w.wantLast(w.revision.Commit, record.Failed)
		w.wentBack(request.Rollback{Services: []string{"web"}})
		if want := []string{"s_db.1", "s_db.2"}; !cmp.Equal(w.unknown, want) { // 1 is not recorded in the clear
			t.Errorf("cannot hide %v, want %v", w.unknown, want)
		}
		good, err := w.records.Good(1)
		if err != nil || len(good) != 1 {
			t.Fatal(good, err)
		}
		if got, want := good[0].Secrets, []string{"s_db.1", "s_db.2"}; len(got) != 2 || got[0].Name != want[0] || got[1].Name != want[1] {
			t.Errorf("recorded with %v, want %v", got, want)
		}
	})
}

// Nor is there anything in the clear where the secret's file is a link to another.
func TestGoodStateWithoutALinkedSecret(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1\nSV_db=1", configFile, plainConfig, nodeDir+"docker-compose.yml", secretCompose, "shared/db", plainSecret)
		link := *file("../../../../../shared/db")
		link.Mode = fs.ModeSymlink
		w.set(func() { w.files[nodeDir+"secrets/db"] = &link })
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.recordedWithout(plainSecret)
	})
}

// recordedWithout checks the files of the good states.
func (w *world) recordedWithout(canary string) {
	w.t.Helper()
	good, err := w.records.Good(10)
	if err != nil || len(good) == 0 {
		w.t.Fatalf("%d good states, %v", len(good), err)
	}
	for i := range good {
		files, err := w.store.Files(&good[i])
		if err != nil {
			w.t.Fatal(err)
		}
		seen := 0
		err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := fs.ReadFile(files, name)
			if seen++; strings.Contains(string(content), canary) {
				w.t.Errorf("%s holds a secret in the clear", name)
			}
			return err
		})
		if err != nil || seen < 3 {
			w.t.Errorf("%d files, %v", seen, err)
		}
	}
}

// An engine that goes away on the way back is waited for.
func TestRollbackOutlastsTheEngine(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic)
		w.start()
		w.breaks("2")
		fails := w.onVerify
		w.set(func() {
			w.onVerify = func() {
				if fails(); w.live["s_web"].TaskTemplate.ContainerSpec.Image == "app:1" {
					w.engineErr = errors.New("away")
				}
			}
		})
		bad := w.release("2")
		w.poll()
		w.wantLast(bad, record.Running)
		if status := w.desk.Status(); !strings.Contains(status.PollError, "away") || status.Sync.Stage != "rollback" {
			t.Errorf("status: %s at %s", status.PollError, status.Sync.Stage)
		}
		w.set(func() { w.onVerify, w.engineErr = fails, nil })
		w.poll()
		w.poll()
		w.wantLast(bad, record.RolledBack)
		w.told(bad, gitlab.Pending, gitlab.Running, gitlab.Failed)
	})
}

// The history says which states there are to go back to.
func TestGoodStatesInHistory(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, automatic)
		w.start()
		w.breaks("2")
		w.release("2")
		w.poll()
		syncs, err := w.store.History(5)
		if err != nil || len(syncs) != 2 || syncs[0].Good || !syncs[1].Good {
			t.Errorf("the history: %+v, %v", syncs, err)
		}
	})
}

// sticks has the services with an image neither converge nor fail.
func (w *world) sticks(image string) {
	w.set(func() {
		w.verify = func(ctx context.Context) error {
			w.mu.Lock()
			stuck := w.live["s_web"].TaskTemplate.ContainerSpec.Image == image
			w.mu.Unlock()
			if stuck {
				<-ctx.Done()
			}
			return ctx.Err()
		}
	})
}

// A person who wants to go back does not wait for a rollout that waits for its
// services. What is refused stops nothing.
func TestRollbackOfARolloutUnderWay(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		w.sticks("app:2")
		second := w.release("2")
		w.poll()
		w.wantLast(second, record.Running)
		if _, err := w.goBack(request.Rollback{To: 77}); err == nil || w.last().State != record.Running {
			t.Errorf("got %v, %+v", err, w.last())
		}
		before := time.Now()
		w.wentBack(request.Rollback{})
		w.runs("1")
		if waited := time.Since(before); waited > time.Second {
			t.Errorf("it took %s", waited)
		}
		w.told(second, gitlab.Pending, gitlab.Running, gitlab.Failed)
		w.poll()
		w.runs("1")
		if status := w.desk.Status(); status.Pinned == nil || status.PollError != "" {
			t.Errorf("pinned %+v, %s", status.Pinned, status.PollError)
		}
	})
}
