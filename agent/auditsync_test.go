package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// withSecret is the node's compose file with a secret of a version.
func withSecret(version int, users ...string) string {
	text := "services:\n  web: {image: \"app:$TAG\", SECRETS}\n  worker: {image: \"app:$TAG\", SECRETS}\n"
	for _, user := range []string{"web", "worker"} {
		with := "stop_grace_period: 5s"
		if slices.Contains(users, user) {
			with = "secrets: [db]"
		}
		text = strings.Replace(text, "SECRETS", with, 1)
	}
	return text + fmt.Sprintf("secrets: {db: {file: ./secrets/db, name: s_db.%d}}\n", version)
}

// useSecret commits a secret's version and who uses it.
func (w *world) useSecret(name string, version int, users ...string) string {
	w.mu.Lock()
	config := strings.TrimSuffix(string(w.files[configFile].Data), "allow_plaintext_secrets: true\n")
	w.mu.Unlock()
	return w.commit(name, configFile, config+"allow_plaintext_secrets: true\n",
		nodeDir+"secrets/db", "a canary", nodeDir+"docker-compose.yml", withSecret(version, users...))
}

// audited lists the entries after the first in short, and checks that the log is
// whole and that the state file knows its head.
func (w *world) audited() (told []string) {
	w.t.Helper()
	head, err := w.store.AuditHead()
	if err != nil || head != w.audit.Head() {
		w.t.Errorf("the state file knows %v, %v; the log ends with %v", head, err, w.audit.Head())
	}
	report, err := w.audit.Verify()
	if err != nil || len(report.Problems)+len(report.Notes) > 0 {
		w.t.Errorf("%+v, %v", report, err)
	}
	if _, err := audit.Read(w.dir, func(entry audit.Entry) {
		if entry.Seq == 1 {
			return
		}
		text := fmt.Sprintf("%s: %s %s %s", entry.Actor, entry.Action, entry.Name, entry.Outcome)
		if entry.Service != "" {
			text += " by " + entry.Service
		}
		if strings.Contains(entry.Detail, "interruption") {
			text += ", found done"
		}
		told = append(told, text)
	}); err != nil {
		w.t.Error(err)
	}
	return told
}

// wantAudit checks what the log has after some entries, and gives how many it has
// now.
func (w *world) wantAudit(after int, want ...string) int {
	w.t.Helper()
	told := w.audited()
	if diff := cmp.Diff(append([]string{}, want...), told[min(after, len(told)):]); diff != "" {
		w.t.Errorf("the audit log: %s", diff)
	}
	return len(told)
}

// obstruct puts a folder in the place of the log; what it gives puts the log back.
func (w *world) obstruct() func() {
	path := filepath.Join(w.dir, audit.FileName)
	if err := errors.Join(os.Rename(path, path+".kept"), os.Mkdir(path, 0o700)); err != nil {
		w.t.Error(err)
	}
	return func() {
		if err := errors.Join(os.Remove(path), os.Rename(path+".kept", path)); err != nil {
			w.t.Error(err)
		}
	}
}

const ada = "git:Ada <ada@coin.example>: "

// The log has what was done, who had it done, and which service got which secret;
// of looks and syncs that change nothing it has nothing.
func TestAuditOfSyncs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.useSecret("1", 1, "web")
		w.start()
		n := w.wantAudit(0, ada+"sync s started", ada+"create s_default succeeded", ada+"create s_db.1 succeeded",
			ada+"create s_web succeeded", ada+"use s_db.1 succeeded by s_web", ada+"create s_worker succeeded", ada+"sync s succeeded")
		for range 5 {
			w.poll()
		}
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		w.commit("2", "README.md", "new")
		w.poll()
		n = w.wantAudit(n)

		w.useSecret("3", 1, "web", "worker")
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		n = w.wantAudit(n, "local:ada: sync s started", "local:ada: update s_worker succeeded", "local:ada: use s_db.1 succeeded by s_worker", "local:ada: sync s succeeded")
		if actor := w.last().Actor; actor != person {
			w.t.Errorf("the history has %+v", actor)
		}

		w.useSecret("4", 2, "web")
		w.poll()
		n = w.wantAudit(n, ada+"sync s started", ada+"create s_db.2 succeeded",
			ada+"update s_web succeeded", ada+"use s_db.2 succeeded by s_web", ada+"update s_worker succeeded", ada+"sync s succeeded")

		w.commit("tag", nodeDir+"node.env", "TAG=2\n") // who has a secret already does not get it again
		w.poll()
		n = w.wantAudit(n, ada+"sync s started", ada+"update s_web succeeded", ada+"update s_worker succeeded", ada+"sync s succeeded")

		w.commit("5", configFile, string(w.files[configFile].Data)+"drift: correct\n")
		w.poll()
		w.set(func() { w.live = nil })
		w.poll()
		w.wantAudit(n, "agent: sync s started", "agent: create s_web succeeded", "agent: use s_db.2 succeeded by s_web",
			"agent: create s_worker succeeded", "agent: sync s succeeded")
	})
}

func TestAuditOfFailures(t *testing.T) {
	inWorld(t, func(w *world) {
		w.result = deploy.Result{Services: []deploy.ServiceResult{{Name: "s_web", State: deploy.Failed, Error: "No such image: app:1"}}}
		w.start()
		n := w.wantAudit(0, ada+"sync s started", ada+"create s_default succeeded", ada+"create s_web succeeded", ada+"sync s failed")
		var last audit.Entry
		if err := w.audit.Read(func(entry audit.Entry) { last = entry }); err != nil {
			w.t.Fatal(err)
		}
		if last.Detail != "in verify" || !strings.Contains(last.Error, "No such image: app:1") || last.Plan != w.last().PlanDigest || last.Revision != w.revision.Commit {
			w.t.Errorf("got %+v", last)
		}
		w.poll()
		w.commit("2", nodeDir+"node.env", "") // nothing is applied
		w.poll()
		w.wantLast(w.revision.Commit, record.Failed)
		w.wantAudit(n)
	})
}

// An engine that is away for long is one failure, however often it is tried again.
func TestAuditIsBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.onApply = func(context.Context) { w.set(func() { w.engineErr = errors.New("away") }) }
		w.start()
		w.pass(5 * time.Hour)
		n := w.wantAudit(0, ada+"sync s started", ada+"create s_default succeeded", ada+"create s_web succeeded", ada+"sync s failed")
		w.set(func() { w.engineErr, w.onApply = nil, nil })
		w.pass(time.Hour)
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.wantAudit(n, ada+"sync s succeeded")
	})
}

// What an agent did just before it was killed, and could not write down, the next
// one finds.
func TestAuditAfterInterruption(t *testing.T) {
	inWorld(t, func(w *world) {
		w.useSecret("1", 1, "web")
		w.lost = true
		w.start()
		w.halt()
		w.lost = false
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.wantAudit(0, ada+"sync s started", ada+"create s_default succeeded, found done", ada+"create s_db.1 succeeded, found done",
			ada+"create s_web succeeded, found done", ada+"use s_db.1 succeeded by s_web, found done", ada+"create s_worker succeeded, found done", ada+"sync s succeeded")
	})
}

// A sync that wrote and that a newer commit follows has an end in the log too.
func TestAuditOfOvertaken(t *testing.T) {
	inWorld(t, func(w *world) {
		w.onApply = func(ctx context.Context) { <-ctx.Done() }
		w.start()
		w.halt()
		w.onApply = nil
		w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.wantAudit(0, ada+"sync s started", "agent: sync s superseded",
			ada+"sync s started", ada+"create s_default succeeded", ada+"create s_web succeeded", ada+"sync s succeeded")
	})
}

// Without its log the agent applies nothing; it tries again by itself.
func TestNoAuditNoApply(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		n := len(w.audited())
		heal := w.obstruct()
		second := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		failed := w.wantLast(second, record.Failed)
		if failed.Stage != "apply" || !failed.Transient || failed.Wrote || !strings.Contains(failed.Error, "audit log") || failed.Hint == "" {
			w.t.Errorf("failed as %+v", failed)
		}
		w.pass(time.Hour)
		if w.plans() != 1 {
			w.t.Errorf("%d plans applied", w.plans())
		}
		heal()
		w.pass(time.Hour)
		w.wantLast(second, record.Succeeded)
		w.wantAudit(n, ada+"sync s started", ada+"update s_web succeeded", ada+"sync s succeeded")
	})
}

// A log that fails in the middle of an apply stops it; what was done is written
// down when that is possible again.
func TestAuditFailsWhileApplying(t *testing.T) {
	inWorld(t, func(w *world) {
		var heal func()
		w.onApply = func(context.Context) { heal = w.obstruct() }
		w.start()
		failed := w.wantLast(w.revision.Commit, record.Failed)
		if failed.Stage != "apply" || !failed.Transient || !strings.Contains(failed.Error, "audit log") {
			w.t.Errorf("failed as %+v", failed)
		}
		w.set(func() { w.onApply = nil })
		heal()
		w.pass(time.Hour)
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.wantAudit(0, ada+"sync s started", ada+"create s_default succeeded, found done", ada+"create s_web succeeded, found done", ada+"sync s succeeded")
		w.told(w.revision.Commit, gitlab.Pending, gitlab.Running, gitlab.Success)
	})
}

// A good end that cannot be written is no end: it is tried again.
func TestAuditFailsAtTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		var heal func()
		w.onVerify = func() { heal, w.onVerify = w.obstruct(), nil }
		w.start()
		failed := w.wantLast(w.revision.Commit, record.Failed)
		if failed.Stage != "verify" || !failed.Transient || !strings.Contains(failed.Error, "audit log") {
			w.t.Errorf("failed as %+v", failed)
		}
		heal()
		w.pass(time.Hour)
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.wantAudit(0, ada+"sync s started", ada+"create s_default succeeded", ada+"create s_web succeeded", ada+"sync s succeeded")
	})
}
