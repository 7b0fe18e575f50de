package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/waitfor"
)

// brokenRelease has a crash loop, a service that is never healthy and shows a
// secret in its log, one without a node, and one that is well.
const brokenRelease = `
services:
  crash:
    image: coin-test/app:$TAG
    environment: {CRASH_AFTER: 1ms}
    deploy: {restart_policy: {delay: 2s}, update_config: {monitor: 15s}} # a busy engine tells seconds late
  homeless:
    image: coin-test/app:$TAG
    deploy: {placement: {constraints: [node.hostname == nowhere]}}
  ill:
    image: coin-test/app:$TAG
    environment: {HEALTH_FAIL: "1"}
    healthcheck: {test: ["CMD", "/app", "health"], interval: 300ms, timeout: 20s, retries: 100}
    deploy:
      labels:
        coin-agent.timeout: 1h
  none:
    image: coin-test/app:$TAG
    deploy: {replicas: 0}
`

// TestFollowingARolloutThatFails follows one with each command, as people and
// pipes see it.
func TestFollowingARolloutThatFails(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.settings["interval"] = "1h" // the sync is ours
	files := l.tinyRepo()
	files[composeFile] = "services:\n  none:\n    image: coin-test/app:$TAG\n    deploy: {replicas: 0}\n"
	l.commit("first", files)
	l.start()
	waitfor.NoError(t, patience, func() error {
		status, err := l.status()
		if err == nil && !status.InSync {
			err = errors.New("not in sync")
		}
		return err
	})
	watch, watched := l.watch("status", "--watch")
	asJSON, objects := l.watch("status", "--watch", "-o", "json")
	l.commit("broken", map[string]string{composeFile: brokenRelease})
	code, _, errs := l.command("sync", "--wait") // which ends long before the timeout
	if code != exitError {
		t.Errorf("sync --wait: exit %d\n%s", code, errs)
	}
	name := func(text string) string { return strings.ReplaceAll(text, "NAME", l.stack) }
	l.finds("sync --wait", errs,
		`(?m)^\d+s  NAME_crash 0/1 pending: 0 of 1 tasks run$`,
		`(?m)^\d+s  NAME_crash 0/1 failed: task: non-zero exit \(3\); its tasks keep failing \(3 times\)$`,
		`(?m)^  NAME_crash  0/1 on .+\n    log     time=.*\n            app: error: .*CRASH_AFTER`,
		`(?m)^  NAME_ill  0/1 on .+\n    health  exit code 1\n            app: error: ask for health: .*503`,
		`agent: error: master .*: verify: service NAME_crash: task: non-zero exit \(3\); its tasks keep failing \(3 times\) \(on `,
		`agent: error: master .*: verify: service NAME_homeless: no suitable node .*; not ready when the wait ended: 0 of 1 tasks run\n`,
		`agent: error: master .*: verify: service NAME_ill: health check: app: error: ask for health: .* 503 Service Unavailable; not ready when the wait ended: 0 of 1 tasks run`,
	)
	_, out, _ := l.command("status")
	l.finds("status", out, `verify: service NAME_crash: task: non-zero exit \(3\)`, `    log     time=.*\n            app: error: .*CRASH_AFTER`)
	_, out, _ = l.command("status", "-o", "json")
	var states []string
	for _, one := range decode[report.Status](t, out).Rollout.Services {
		states = append(states, fmt.Sprintf("%s %s", one.Name, one.State))
	}
	want := []string{name("NAME_crash failed"), name("NAME_homeless pending"), name("NAME_ill pending"), name("NAME_none converged")}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
	waitfor.NoError(t, patience, func() error {
		if !strings.Contains(watched(), "failed at verify: service") {
			return fmt.Errorf("status --watch showed %s", watched())
		}
		return nil
	})
	watch()
	asJSON()
	l.finds("status --watch", watched(),
		`^sandbox/node3 HEALTHY  1 of 1 service run · in sync with \w+; sync #1 of .* succeeded\n`,
		`(?m)^sandbox/node3 ROLLING OUT .* is running; sync #2 of .* running at verify$`,
		`(?m)^\d+s  NAME_ill 0/1 pending: 0 of 1 tasks run$`,
		`(?m)^\d+s  NAME_crash 0/1 pending: task: non-zero exit \(3\); 0 of 1 tasks run$`)
	seen := map[string]int{}
	for line := range strings.SplitSeq(strings.TrimSpace(regexp.MustCompile(`(?m)^\d+s  `).ReplaceAllString(watched(), "")), "\n") {
		if seen[line]++; seen[line] > 3 { // one task fails three times
			t.Errorf("%d times: %s", seen[line], line)
		}
	}
	for line := range strings.SplitSeq(strings.TrimSpace(objects()), "\n") {
		decode[report.Status](t, line)
	}
	l.finds("status --watch -o json", objects(), `"rollout":\{"started":"[^"]+","until":"[^"]+","services":\[\{"name":"NAME_crash","state":"pending","ready":0,"want":1`)
}

// finds fails unless text has all patterns; NAME in them is the stack.
func (l *lab) finds(what, text string, patterns ...string) {
	l.t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile(strings.ReplaceAll(pattern, "NAME", l.stack)).MatchString(text) {
			l.t.Errorf("%s lacks %s:\n%s", what, pattern, text)
		}
	}
}

// watch starts a command that goes on, with its output in a pipe, and gives what
// ends it, and what tells its output.
func (l *lab) watch(args ...string) (end func(), output func() string) {
	l.t.Helper()
	var mu sync.Mutex
	var text bytes.Buffer
	command := exec.Command(binary, append(args, "--config", l.config())...)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	command.Stdout = lockedWriter{&mu, &text}
	if err := command.Start(); err != nil {
		l.t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	l.t.Cleanup(end)
	output = func() string {
		mu.Lock()
		defer mu.Unlock()
		return text.String()
	}
	waitfor.NoError(l.t, patience, func() error {
		if output() == "" {
			return fmt.Errorf("%v prints nothing", args)
		}
		return nil
	})
	return end, output
}

func TestLinesForWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		f := newFollower(&out)
		at := func(services ...deploy.ServiceResult) {
			f.note(control.Event{Progress: "text", Rollout: &report.Rollout{Started: time.Now(), Services: services}})
		}
		f.note(control.Event{Progress: "create service s_a: done"})
		a := deploy.ServiceResult{Name: "s_a", State: deploy.Pending, Want: 1, Message: "0 of 1 tasks run"}
		b := deploy.ServiceResult{Name: "s_b", State: deploy.Pending, Want: 2, Error: "bad\x1b[2J", Message: "wait"}
		at(b, a)
		at(b, a)
		a.State, a.Ready, a.Message, a.Seconds = deploy.Converged, 1, "", 3
		at(b, a)
		f.close()
		want := "create service s_a: done\n" +
			"0s  s_a 0/1 pending: 0 of 1 tasks run\n0s  s_b 0/2 pending: bad\\x1b[2J; wait\n" +
			"0s  s_a 1/1 converged\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestWatchingInAPipe shows a rollout with its time, and what has become of the services
// once it is over: what was waited for is history then.
func TestWatchingInAPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		show := statusShower(&out, "text")
		at := func(sync record.State, failed deploy.State) {
			status := wellStatus(time.Now())
			status.InSync, status.Sync.State, status.Sync.Stage = false, sync, "verify"
			status.Rollout = &report.Rollout{Started: time.Now().Add(-12 * time.Second), Services: []deploy.ServiceResult{{Name: "s_web", State: failed, Want: 2, Message: "why"}}}
			if err := show(status); err != nil {
				t.Error(err)
			}
		}
		at(record.Running, deploy.Pending)
		time.Sleep(time.Second)
		at(record.Running, deploy.Pending)
		at(record.RolledBack, deploy.Failed)
		want := "sandbox/node3 ROLLING OUT  0 of 1 service ready · 79f141c9f3 is running; sync #12 of 79f141c9f3 running at verify\n12s  s_web 0/2 pending: why\n" +
			"sandbox/node3 HEALTHY  1 of 1 service run · out of sync, still 79f141c9f3; sync #12 of 79f141c9f3 rolled_back\ns_web 2/2 running\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestScreenStaysInItsPlace(t *testing.T) {
	var out bytes.Buffer
	s := &screen{Writer: &out, size: func() (int, int) { return 10, 4 }}
	s.draw("one\n\x1b[31ma long line, in red\x1b[0m\n")
	s.draw("1\n2\n3\n4\n")
	s.keep()
	s.draw("exactly 10\n")
	want := "\r\x1b[Jone\n\x1b[31ma long li…\x1b[0m\n" +
		"\x1b[2A\r\x1b[J1\n2\n… 2 more lines\n" +
		"\r\x1b[Jexactly 10\n"
	want = strings.Replace(want, "… 2 more lines", "… 2 more …", 1)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
