package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
)

// mailbox is a mail server in memory.
type mailbox struct {
	mu    sync.Mutex
	down  error
	mails []notify.Message
	to    []string // whom each was sent to
}

func (m *mailbox) Send(_ context.Context, to notify.Receiver, message notify.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		m.mails, m.to = append(m.mails, message), append(m.to, to.Address)
	}
	return m.down
}

func (m *mailbox) set(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

// wants demands the mails since the last time, by their titles.
func (m *mailbox) wants(t *testing.T, want ...string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var got []string
	for _, mail := range m.mails {
		got = append(got, strings.TrimPrefix(mail.Title, "sandbox/node3: "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	m.mails = nil
}

// inMailWorld is a world whose config.yml names one address, and its mailbox.
func inMailWorld(t *testing.T, config string, test func(w *world, box *mailbox)) {
	t.Helper()
	inWorld(t, func(w *world) {
		box := &mailbox{}
		w.notices = func(store *store.Store) publish.Notices {
			outbox, err := notify.NewOutbox(notify.Options{
				Senders: map[notify.Kind]notify.Sender{notify.KindEmail: box}, Store: store, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				w.t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(w.t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = outbox.Run(ctx)
			}()
			w.after = func() {
				cancel()
				<-ended
			}
			return publish.Notices{Outbox: outbox}
		}
		w.commit("1", configFile, "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n"+config)
		test(w, box)
	})
}

const toOps = "notifications: {email: [ops@example.com]}\n"

const goodCompose, badCompose = "services: {web: {image: \"app:$TAG\"}}\n", "services: {web: {image: \"app:$TAGG\"}}\n"

func TestFailureAndRecoveryAreTold(t *testing.T) {
	inMailWorld(t, toOps, func(w *world, box *mailbox) {
		w.start()
		w.poll()
		box.wants(t)
		bad := w.commit("2", nodeDir+"docker-compose.yml", badCompose)
		w.poll()
		w.wantLast(bad, record.Failed)
		box.wants(t, "rollout failed at render")
		w.pass(time.Hour)
		w.halt()
		w.start()
		w.pass(time.Hour)
		box.wants(t)
		w.commit("4", nodeDir+"docker-compose.yml", goodCompose)
		w.poll()
		w.pass(time.Hour)
		box.wants(t, "recovered: rolled out, release 1")
	})
}

// TestBrokenConfigIsTold goes to those whom the last good config.yml named.
func TestBrokenConfigIsTold(t *testing.T) {
	inMailWorld(t, toOps, func(w *world, box *mailbox) {
		w.start()
		w.commit("2", configFile, "environment: [sandbox]\n")
		w.poll()
		box.wants(t, "rollout failed at load")
	})
}

// TestRetriesAreToldOnce lets the engine fail for a day, in two ways by turns, with a
// text that is never the same.
func TestRetriesAreToldOnce(t *testing.T) {
	inMailWorld(t, toOps, func(w *world, box *mailbox) {
		w.start()
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		for i := range 48 {
			w.set(func() { w.engineErr = fmt.Errorf("engine %s: port %d", []string{"down", "gone"}[i%2], i) })
			w.pass(30 * time.Minute)
		}
		box.wants(t, "rollout failed at plan, release 2", "rollout failed at plan, release 2")
		w.set(func() { w.engineErr = nil })
		w.pass(time.Hour)
		box.wants(t, "recovered: rolled out, release 2")
	})
}

func TestWaitingIsToldOnce(t *testing.T) {
	inMailWorld(t, toOps+"approval: {required: true}\n", func(w *world, box *mailbox) {
		w.start()
		w.pass(time.Hour)
		w.halt()
		w.start()
		w.pass(time.Hour)
		box.wants(t, "rollout waits: approval is required: no GitLab is configured that could be asked; on the node: `agent approve 0000000000`, release 1")
	})
}

func TestDriftIsTold(t *testing.T) {
	inMailWorld(t, toOps, func(w *world, box *mailbox) {
		w.start()
		var proper map[string]swarm.ServiceSpec
		w.set(func() {
			proper = w.live
			w.live = map[string]swarm.ServiceSpec{}
		})
		w.pass(time.Hour)
		box.wants(t, "the live services differ from what was applied, release 1")
		w.set(func() { w.live = proper })
		w.pass(time.Hour)
		w.set(func() { w.live = map[string]swarm.ServiceSpec{} })
		w.pass(time.Hour)
		box.wants(t, "the live services differ from what was applied, release 1")
	})
}

// TestReceiverDownHoldsNothingUp rolls out while nobody can be told, over a
// restart, and tells in the end.
func TestReceiverDownHoldsNothingUp(t *testing.T) {
	inMailWorld(t, toOps, func(w *world, box *mailbox) {
		box.set(errors.New("down"))
		w.start()
		w.commit("2", nodeDir+"docker-compose.yml", badCompose)
		w.poll()
		w.halt()
		w.start()
		good := w.commit("3", nodeDir+"docker-compose.yml", goodCompose, nodeDir+"node.env", "TAG=3\n")
		w.poll()
		w.wantLast(good, record.Succeeded)
		status := w.desk.Status()
		if status.Notices == nil || status.Notices.Undelivered != 2 || status.Notices.Receivers[0].Problem == nil {
			t.Errorf("%+v", status.Notices)
		}
		box.set(nil)
		w.pass(10 * time.Minute)
		box.wants(t, "rollout failed at render", "recovered: rolled out, release 3")
	})
}

// TestReceiversOfACommitThatDoesNotPass has commits name another receiver: one that the policy
// refuses, and one that waits. Those of the last good revision are told. Once a commit has
// passed, its own receivers are.
func TestReceiversOfACommitThatDoesNotPass(t *testing.T) {
	inMailWorld(t, toOps, func(w *world, box *mailbox) {
		told := func(want string) {
			t.Helper()
			w.pass(time.Hour)
			box.mu.Lock()
			defer box.mu.Unlock()
			if diff := cmp.Diff([]string{want}, box.to); diff != "" {
				t.Errorf("told: %s", diff)
			}
			box.to = nil
		}
		toOthers := strings.Replace(string(w.files[configFile].Data), "ops@", "others@", 1)
		w.under(strict)
		w.start()
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		refused := w.release("2", configFile, toOthers, nodeDir+"docker-compose.yml", capableWeb)
		w.poll()
		w.wantLast(refused, record.Failed)
		told("ops@example.com")
		waits := w.release("3", configFile, toOthers+"approval: {required: true}\n", nodeDir+"docker-compose.yml", plainWeb)
		w.poll()
		w.wantLast(waits, record.Waiting)
		w.halt()
		w.start()
		told("ops@example.com")
		w.breaks("4")
		passes := w.release("4", configFile, toOthers)
		w.poll()
		w.wantLast(passes, record.Failed)
		told("others@example.com")
	})
}

// TestWaitingIsToldOnceWithoutGitLab cuts each connection to GitLab: each look says another port.
func TestWaitingIsToldOnceWithoutGitLab(t *testing.T) {
	inMailWorld(t, toOps+"approval: {required: true}\n", func(w *world, box *mailbox) {
		w.merges = &merges{}
		w.start()
		for i := range 60 {
			w.merges.mu.Lock()
			w.merges.err = fmt.Errorf("read tcp 10.0.0.2:%d->10.0.0.1:443: reset", 40000+i)
			w.merges.mu.Unlock()
			w.poll()
		}
		box.wants(t, "rollout waits: approval is required: no merge request brought this commit; on the node: `agent approve 0000000000`, release 1",
			"rollout waits: approval is required: GitLab does not tell: read tcp 10.0.0.2:40000->10.0.0.1:443: reset; on the node: `agent approve 0…")
	})
}

// TestDriftIsOfWhatRuns tells of a drift once, with the release that runs, whatever commits come.
func TestDriftIsOfWhatRuns(t *testing.T) {
	inMailWorld(t, toOps, func(w *world, box *mailbox) {
		w.start()
		w.set(func() {
			spec := w.live["s_web"]
			container := *spec.TaskTemplate.ContainerSpec
			container.Env = []string{"BY=hand"}
			spec.TaskTemplate.ContainerSpec = &container
			w.live["s_web"] = spec
		})
		w.poll()
		box.wants(t, "the live services differ from what was applied, release 1")
		same := w.commit("2", "README.md", "text")
		w.poll()
		w.wantLast(same, record.Succeeded)
		later := w.release("3", configFile, "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n"+toOps+"approval: {required: true}\n")
		w.poll()
		w.wantLast(later, record.Waiting)
		box.wants(t, "rollout waits: approval is required: no GitLab is configured that could be asked; on the node: `agent approve 0000000000`, release 3")
	})
}
