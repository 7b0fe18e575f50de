package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/waitfor"
)

// newSmallLab makes a world with the small repository, beside other tests: each
// has a stack of its own, and mostly waits. The daemon does not run yet.
func newSmallLab(t *testing.T) (l *lab, first string) {
	t.Helper()
	t.Parallel()
	l = newLab(t)
	return l, l.commit("first", l.smallRepo())
}

// step is a subtest of what follows what: a failure in it ends it alone.
func (l *lab) step(name string, act func()) {
	whole := l.t
	whole.Run(name, func(t *testing.T) {
		l.t = t
		act()
	})
	l.t = whole
}

// running starts the daemon and waits until the commit is rolled out.
func (l *lab) running(commit string) report.Status {
	l.t.Helper()
	l.start()
	status := l.await(commit, record.Succeeded)
	l.posts(commit, "success")
	return status
}

// looks waits until the daemon has looked n more times and is idle.
func (l *lab) looks(n int) report.Status {
	l.t.Helper()
	var status report.Status
	last, seen := time.Time{}, -1
	waitfor.NoError(l.t, patience, func() (err error) {
		if status, err = l.status(); err != nil {
			return err
		}
		if !status.LastLook.Equal(last) {
			last = status.LastLook
			seen++
		}
		if seen < n {
			return fmt.Errorf("%d of %d looks; the last said %q", seen, n, status.PollError)
		}
		return nil
	})
	return status
}

// until waits for a status.
func (l *lab) until(what string, is func(report.Status) bool) report.Status {
	l.t.Helper()
	var status report.Status
	waitfor.NoError(l.t, patience, func() (err error) {
		if status, err = l.status(); err != nil {
			return err
		}
		if !is(status) {
			return fmt.Errorf("the status is never: %s; it is %+v, gitlab %+v", what, status, status.GitLab)
		}
		return nil
	})
	return status
}

// tasks gives the IDs of every task of the stack, by service.
func (l *lab) tasks() map[string][]string {
	l.t.Helper()
	ids := map[string][]string{}
	for name := range l.versions() {
		for _, task := range l.swarm.Tasks(l.t, l.stack+"_"+name) {
			ids[name] = append(ids[name], task.ID)
		}
		slices.Sort(ids[name])
	}
	return ids
}

// replicas gives what a service of the stack is scaled to.
func (l *lab) replicas(name string) uint64 {
	l.t.Helper()
	return *l.service(name).Spec.Mode.Replicated.Replicas
}

// describe gives the description of the last status of a commit.
func (l *lab) described(commit string) string {
	l.t.Helper()
	posts := l.gitlab.Statuses(commit).Posts
	if len(posts) == 0 {
		l.t.Fatalf("GitLab has nothing of %s", commit)
	}
	return posts[len(posts)-1].Description
}

// describedAs waits until GitLab has a description of a commit with the texts: the outbox
// delivers it after the state is recorded.
func (l *lab) describedAs(commit string, texts ...string) {
	l.t.Helper()
	waitfor.NoError(l.t, patience, func() error {
		posts := l.gitlab.Statuses(commit).Posts
		for _, text := range texts {
			if len(posts) == 0 || !strings.Contains(posts[len(posts)-1].Description, text) {
				return fmt.Errorf("GitLab has %+v of %s, and not %q", posts, commit, text)
			}
		}
		return nil
	})
}

// stateFile is the agent's state as it lies on disk.
func (l *lab) stateFile() string { return l.settings["state_dir"] + "/state.db" }

// mustRun runs a command line that is to end with a code and to print texts, on
// either stream.
func (l *lab) mustRun(code int, texts []string, args ...string) string {
	l.t.Helper()
	var got int
	var out, errs string
	waitfor.NoError(l.t, patience, func() error {
		got, out, errs = l.command(args...)
		if code == exitDone && strings.Contains(out, "UNKNOWN for ") { // a busy engine answers late
			return errors.New(out)
		}
		return nil
	})
	if got != code {
		l.t.Errorf("agent %s: exit %d, want %d: %s%s", strings.Join(args, " "), got, code, out, errs)
	}
	for _, text := range texts {
		if !strings.Contains(out+errs, text) {
			l.t.Errorf("agent %s does not say %q:\n%s%s", strings.Join(args, " "), text, out, errs)
		}
	}
	return out
}

var listening = regexp.MustCompile(`"metrics and health","address":"([^"]+)"`)

// get asks the daemon's HTTP port.
func (l *lab) get(path string) (code int, body string) {
	l.t.Helper()
	found := listening.FindAllStringSubmatch(l.logText(), -1)
	if len(found) == 0 {
		l.t.Fatal("the log does not say where metrics are served")
	}
	response, err := http.Get("http://" + found[len(found)-1][1] + path)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// metric waits until a line stands among the metrics.
func (l *lab) metric(line string) {
	l.t.Helper()
	waitfor.NoError(l.t, patience, func() error {
		if _, body := l.get("/metrics"); !strings.Contains(body, "\n"+line+"\n") {
			return fmt.Errorf("no metric %s", line)
		}
		return nil
	})
}
