package agent_test

import (
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

func (w *world) pause(length, reason string) {
	w.t.Helper()
	if _, err := w.desk.Pause(person, request.Pause{For: length, Reason: reason}); err != nil {
		w.t.Fatal(err)
	}
	w.pass(time.Second)
}

func (w *world) resume() (request.Resumed, error) {
	w.t.Helper()
	ended, err := w.desk.Resume(w.t.Context(), person, request.Resume{Reason: "done"})
	w.pass(time.Second)
	return ended, err
}

// A pause keeps rollouts from beginning, also those that a person asks for, over
// restarts, until its time is over.
func TestPause(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.pause("10m", "the  database\nis moved\x1b[0m")
		const text = "paused by local:ada until 00:10 UTC: the database is moved[0m"
		commit := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		sync := w.said(text)
		w.states(commit)
		if w.description != "waiting (pause): "+text {
			w.t.Errorf("described as %q", w.description)
		}
		if sync, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil || sync.State != record.Waiting {
			w.t.Errorf("asked for: %+v, %v", sync, err)
		}
		w.halt()
		w.start()
		w.said(text)
		if pause := w.desk.Status().Pause; pause == nil || pause.Actor.Name != "ada" || pause.Until.Minute() != 10 {
			w.t.Errorf("status has %+v", pause)
		}
		for _, line := range []string{`coin_agent_paused{environment="sandbox",node="node3"} 1`, `coin_agent_waiting{environment="sandbox",gate="pause",node="node3"} 1`} {
			if !strings.Contains(w.scrape(), line) {
				w.t.Errorf("no metric %s", line)
			}
		}
		w.pass(10 * time.Minute)
		if done := w.wantLast(commit, record.Succeeded); done.ID != sync.ID || w.desk.Status().Pause != nil {
			w.t.Errorf("#%d, %+v", done.ID, w.desk.Status().Pause)
		}
		if body := w.scrape(); !strings.Contains(body, `coin_agent_paused{environment="sandbox",node="node3"} 0`) || strings.Contains(body, "coin_agent_waiting{") {
			w.t.Error("the metrics still tell of a pause")
		}
		_, err := w.resume()
		refuses(w.t, err, "nothing is paused")
		if wrote := w.wrote(audit.Pause); wrote != "local:ada: until 2000-01-01T00:10:00Z: the database is moved[0m" {
			w.t.Errorf("the audit log has %q", wrote)
		}
	})
}

// A pause without an end waits for somebody; what has begun goes on.
func TestResume(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.onApply = nil
		w.set(func() { w.onVerify = func() { w.mu.Unlock(); time.Sleep(time.Minute); w.mu.Lock() } })
		first := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.wantLast(first, record.Running)
		w.pause("", "looking into it")
		w.pass(2 * time.Minute)
		w.wantLast(first, record.Succeeded)
		commit := w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.pass(10 * time.Minute)
		w.said("paused by local:ada: looking into it")
		if ended, err := w.resume(); err != nil || ended.Pause.Reason != "looking into it" {
			w.t.Errorf("ended %+v, %v", ended, err)
		}
		w.pass(2 * time.Minute)
		w.wantLast(commit, record.Succeeded)
		if wrote := w.wrote(audit.Resume); wrote != "local:ada: done" {
			w.t.Errorf("the audit log has %q", wrote)
		}
	})
}

func TestPauseIsRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		for words, request := range map[string]request.Pause{
			"a reason is missing":       {For: "2h"},
			`"2" is not a valid`:        {For: "2", Reason: "x"},
			`"-2h" is not a valid`:      {For: "-2h", Reason: "x"},
			`"20000h" is not a valid`:   {For: "20000h", Reason: "x"},
			"longer than 200 character": {Reason: strings.Repeat("é", 201)},
		} {
			_, err := w.desk.Pause(person, request)
			refuses(w.t, err, words)
		}
		if w.desk.Status().Pause != nil || w.wrote(audit.Pause) != "" {
			w.t.Error("it is paused")
		}
	})
}

// Nothing is written while the agent is paused or a freeze holds, no drift is
// corrected either, and it makes no noise.
func TestDriftWaits(t *testing.T) {
	for name, hold := range map[string]func(w *world){
		"paused": func(w *world) { w.pause("8m", "wait") },
		"frozen": func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				freeze := "freeze: [{name: f, from: \"2000-01-01T00:01:00Z\", to: \"2000-01-01T00:10:00Z\"}]\n"
				if name == "paused" {
					freeze = ""
				}
				commit := w.commit("2", configFile, string(w.files[configFile].Data)+"drift: correct\n"+freeze)
				w.start()
				first := w.wantLast(commit, record.Succeeded)
				w.pass(2 * time.Minute)
				hold(w)
				w.halt()
				w.start()
				w.set(func() { w.live = nil })
				w.poll()
				if sync := w.last(); sync.ID != first.ID || w.plans() != 1 || len(w.desk.Status().Drift) == 0 {
					w.t.Errorf("#%d is %s after %d plans", sync.ID, sync.State, w.plans())
				}
				w.pass(10 * time.Minute)
				if sync := w.wantLast(commit, record.Succeeded); sync.Trigger != "drift" || w.plans() != 2 {
					w.t.Errorf("afterwards: %s, %d plans", sync.Trigger, w.plans())
				}
			})
		})
	}
}

// A freeze keeps commits waiting until it ends, or until a person says for one of
// them that it does not hold. Worlds begin on Saturday, 2000-01-01 00:00 UTC.
func TestFreeze(t *testing.T) {
	const nightly = "freeze: [{name: nightly, schedule: \"0 1,2 * * SAT\", duration: 10m, time_zone: Europe/Amsterdam}]\n"
	inWorld(t, func(w *world) {
		commit := w.commit("2", configFile, string(w.files[configFile].Data)+nightly)
		w.start()
		w.said("frozen until 01:10 CET: nightly")
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		sync := w.said("frozen until")
		if !record.Unattended(sync) || sync.Gates[2].Until.UTC().Minute() != 10 {
			w.t.Errorf("gates %+v", sync.Gates)
		}
		w.pass(9 * time.Minute)
		w.said("frozen until")
		w.pass(2 * time.Minute)
		w.wantLast(commit, record.Succeeded)

		w.pass(50 * time.Minute)
		urgent := w.commit("3", nodeDir+"node.env", "TAG=3\n")
		w.poll()
		w.said("frozen until 02:10 CET: nightly")
		refuses(w.t, w.desk.SyncOver(person, ""), "a reason is missing")
		if err := w.desk.SyncOver(person, "the fix of an outage"); err != nil {
			w.t.Fatal(err)
		}
		done := w.wantLast(urgent, record.Succeeded)
		w.states(urgent)
		if want := ", freeze nightly overridden by local:ada: the fix of an outage"; done.Override == nil || !strings.HasSuffix(w.description, want) {
			w.t.Errorf("%+v, described as %q", done.Override, w.description)
		}
		if wrote := w.wrote(audit.Override); wrote != "local:ada: the fix of an outage" {
			w.t.Errorf("the audit log has %q", wrote)
		}
		w.commit("4", nodeDir+"node.env", "TAG=4\n")
		w.poll()
		w.said("frozen until") // that was for the one
	})
}

// An override counts for the freeze that holds when it is given, also while the rollout waits for
// something else, and not for the next one.
func TestOverrideIsOfOneFreeze(t *testing.T) {
	const nightly = "approval: {required: true}\nfreeze: [{name: nightly, schedule: \"0 1,2 * * SAT\", duration: 10m, time_zone: Europe/Amsterdam}]\n"
	inWorld(t, func(w *world) {
		w.commit("1", configFile, approvalConfig+nightly)
		w.start()
		w.said("frozen until 01:10 CET: nightly", "approval")
		if err := w.desk.SyncOver(person, "the fix of an outage"); err != nil {
			w.t.Fatal(err)
		}
		if sync := w.said("approval"); sync.Override == nil || strings.Contains(sync.Waiting, "frozen") {
			w.t.Errorf("with the override: %s", sync.Waiting)
		}
		w.pass(61 * time.Minute)
		w.said("frozen until 02:10 CET: nightly", "approval")
		if err := w.approve(""); err != nil {
			w.t.Fatal(err)
		}
		w.said("frozen until 02:10 CET: nightly")
		w.pass(10 * time.Minute)
		w.wantLast(w.revision.Commit, record.Succeeded)
	})
}

func TestRetry(t *testing.T) {
	inWorld(t, func(w *world) {
		retry := func() error {
			_, err := w.desk.Retry(w.t.Context(), person, request.Retry{Reason: "there is\nroom"}, func(string) {})
			return err
		}
		w.start()
		refuses(w.t, retry(), "no revision is held")
		w.set(func() {
			w.result = deploy.Result{Services: []deploy.ServiceResult{{Name: "s_web", State: deploy.Failed, Message: "crashed"}}}
		})
		commit := w.commit("2", configFile, string(w.files[configFile].Data)+"deployment: {auto_deploy: false, rollback: {enabled: false}}\n", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.said("auto_deploy is off")
		refuses(w.t, retry(), "no revision is held")
		if _, err := w.desk.Sync(w.t.Context(), person, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		failed := w.wantLast(commit, record.Failed)
		w.set(func() { w.result = deploy.Result{} })
		w.pass(5 * time.Minute)
		w.wantLast(commit, record.Failed)
		if err := retry(); err != nil {
			w.t.Fatal(err)
		}
		if done := w.wantLast(commit, record.Succeeded); done.ID != failed.ID+1 || done.Actor.Name != "ada" {
			w.t.Errorf("#%d by %s", done.ID, done.Actor)
		}
		if wrote := w.wrote(audit.Retry); wrote != "local:ada: there is room" {
			w.t.Errorf("the audit log has %q", wrote)
		}
	})
}

// After a rollback by hand the node stays there until somebody resumes; a retry is not
// that word.
func TestResumeAfterRollback(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		commit := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		w.poll()
		w.wantLast(commit, record.Succeeded)
		w.pause("", "an outage") // does not stop what follows
		if _, err := w.desk.Rollback(w.t.Context(), person, request.Rollback{Reason: "an outage"}, func(string) {}); err != nil {
			w.t.Fatal(err)
		}
		w.pass(5 * time.Minute)
		back := w.wantLast(commit, record.RolledBack)
		_, err := w.desk.Retry(w.t.Context(), person, request.Retry{}, func(string) {})
		refuses(w.t, err, "a rollback by hand keeps the node")
		ended, err := w.resume()
		if err != nil || ended.Pause == nil || ended.Pin != back.Rollback.Commit {
			w.t.Errorf("ended %+v, %v", ended, err)
		}
		w.wantLast(commit, record.Succeeded)
		_, err = w.resume()
		refuses(w.t, err, "no rollback holds a revision back")
	})
}
