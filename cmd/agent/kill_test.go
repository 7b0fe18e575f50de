package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/sopstest"
)

// crash is a point at which the agent is killed.
type crash struct {
	name  string
	write int  // before this write to the engine, counted from 1; 0: at a stage
	lost  bool // the write reaches the engine all the same
	stage string
	fault gitlabtest.Fault // of GitLab at the same time
}

var errKilled = errors.New("the agent was killed meanwhile")

// rolloutFiles make a rollout of many writes: both services on another tag, a
// new version of a secret.
func (l *lab) rolloutFiles(round int) map[string]string {
	l.t.Helper()
	tag := fmt.Sprint(1 + round%2)
	return map[string]string{
		node3 + "node.env": l.nodeEnv("1", "TAG_WEB="+tag+"\nTAG_WORKER="+tag),
		node3 + "secrets.enc": sopstest.YAML(l.t, l.key, map[string]string{
			"db_access": fmt.Sprintf("version: %d\ncanary-round-%d", round, round), "web_auth": canaries["web_auth"],
		}),
		node3 + "secrets.override.enc": sopstest.YAML(l.t, l.key, map[string]string{"SV_db_access": fmt.Sprint(round)}),
	}
}

// crashAt kills the running agent at a point of the rollout to come; push starts
// that rollout. It comes back when the agent is dead.
func (l *lab) crashAt(at crash, push func() string) string {
	l.t.Helper()
	l.recorder.Reset()
	if at.fault != (gitlabtest.Fault{}) {
		l.gitlab.Inject(at.fault)
	}
	process, dead := l.process.Process, make(chan error, 1)
	if at.write > 0 {
		l.recorder.BeforeWrite(at.write, func(swarmtest.Call) error {
			dead <- process.Kill()
			if at.lost {
				return nil
			}
			return errKilled
		})
	}
	commit := push()
	if at.stage != "" {
		l.until("at "+at.stage, func(s report.Status) bool { return s.Sync.Commit == commit && string(s.Sync.Stage) == at.stage })
		dead <- process.Kill()
	}
	select {
	case err := <-dead:
		if err != nil {
			l.t.Fatal(err)
		}
	case <-time.After(patience):
		l.t.Fatalf("the point was not reached: %v", l.recorder.Writes())
	}
	_ = l.process.Wait()
	l.process = nil
	l.gitlab.Heal()
	return commit
}

// carriedOn checks that the agent, started again, has come to the end that it
// would have come to.
func (l *lab) carriedOn(commit string, round int) {
	l.t.Helper()
	l.await(commit, record.Succeeded)
	if diff := cmp.Diff([]string{"pending", "running", "success"}, l.posts(commit, "success")); diff != "" {
		l.t.Errorf("posts: %s", diff)
	}
	if entries := l.gitlab.Statuses(commit).Entries; len(entries) != 1 || entries[0].Status != "success" {
		l.t.Errorf("GitLab has %d entries: %+v", len(entries), entries)
	}
	var syncs []record.Sync
	for _, sync := range decode[[]record.Sync](l.t, l.mustRun(exitDone, nil, "history", "-o", "json")) {
		if sync.Commit == commit {
			syncs = append(syncs, sync)
		}
	}
	if len(syncs) != 1 || syncs[0].State != record.Succeeded {
		l.t.Errorf("the history has %+v", syncs)
	} else if whole := l.show(syncs[0].ID); len(whole.Plan) == 0 || string(whole.Plan) == "null" {
		l.t.Error("the history has lost the plan")
	}
	if n := strings.Count(l.logText(), `"msg":"continuing"`); n != round {
		l.t.Errorf("the log tells of %d syncs carried on, want %d", n, round)
	}
	l.mustRun(exitDone, []string{"no difference"}, "diff")
	l.audited(commit)
	if replicas := l.replicas("cron_service"); replicas != 1 {
		l.t.Errorf("cron_service is left at %d", replicas)
	}
	want := []string{l.stack + "_web_auth.0"}
	for version := range round {
		want = append(want, fmt.Sprintf("%s_db_access.%d", l.stack, version+1))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, l.secrets()); diff != "" {
		l.t.Errorf("secrets: %s", diff)
	}
	for _, service := range l.looks(1).Services {
		if service.Running != 1 && service.Name != l.stack+"_migrate" {
			l.t.Errorf("%d tasks of %s run", service.Running, service.Name)
		}
	}
}

// TestKill kills the agent at points of a rollout. The simulation kills it at all of them.
func TestKill(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	files := l.smallRepo()
	maps.Copy(files, l.rolloutFiles(1))
	l.repo.Commit("nothing yet", map[string]string{"README.md": "soon"})
	l.start()
	l.await(l.repo.Head(), record.Failed)
	for i, at := range []crash{
		{name: "in the first rollout", write: 4},
		{
			name: "while a service is updated, GitLab's answer lost", write: 3, lost: true,
			fault: gitlabtest.Fault{Method: "POST", Lost: true, Hang: true},
		},
		{name: "before the cron service is started", write: 6},
		{name: "in verify", stage: "verify"},
	} {
		round := i + 1
		l.step(at.name, func() {
			if round > 1 {
				files = l.rolloutFiles(round)
			}
			commit := l.crashAt(at, func() string { return l.commit(at.name, files) })
			l.start()
			l.carriedOn(commit, round)
		})
	}
}
