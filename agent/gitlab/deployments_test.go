package gitlab_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

const environment = "sandbox/node3"

func step(state gitlab.State) gitlab.Deployment {
	return gitlab.Deployment{Environment: environment, Commit: commit, Ref: "master", State: state, URL: "https://node3.example.com"}
}

func (w *world) deploy(steps ...gitlab.Deployment) {
	w.t.Helper()
	for _, one := range steps {
		if err := w.outbox.Deploy(one); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) wantDeployments(want ...string) {
	w.t.Helper()
	var got []string
	for _, one := range w.Deployments(environment) {
		got = append(got, fmt.Sprintf("%.2s %s", one.SHA, one.Status))
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("deployments %v, want %v\n%s", got, want, w.logs)
	}
}

// A rollout and a rollback: five reports and the URL take eight requests at most.
func TestDeployments(t *testing.T) {
	const older = "2222222222222222222222222222222222222222"
	inWorld(t, func(w *world) {
		w.AddCommit(older, "master")
		w.run()
		w.settled(0)
		before := len(w.Requests())
		w.enqueue(rollout()...)
		w.deploy(step(gitlab.Running), step(gitlab.Success))
		w.settled(0)
		if n := len(w.Requests()) - before; n > 8 {
			t.Errorf("%d requests for a sync", n)
		}
		back := step(gitlab.Running)
		back.Commit = older
		w.deploy(step(gitlab.Running), step(gitlab.Failed), back)
		back.State = gitlab.Success
		w.deploy(back, back)
		w.settled(0)
		w.wantDeployments("11 success", "11 failed", "22 success")
		if got := w.Deployments(environment)[0].Environment.URL(); got != "https://node3.example.com" {
			t.Errorf("the environment has the URL %q", got)
		}
		before = len(w.Requests())
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		if n := len(w.Requests()) - before; n != 0 {
			t.Errorf("%d requests while idle", n)
		}
	})
}

// After each transient failure there is one deployment, and the URL.
func TestDeploymentTrouble(t *testing.T) {
	tests := map[string][]gitlabtest.Fault{
		"rate limit":         {{Path: "deployments", Status: 429, RetryAfter: 20 * time.Second}},
		"broken":             {{Path: "deployments", Status: 500, Times: 3}},
		"cut":                {{Path: "deployments", Cut: true, Times: 2}},
		"answer lost":        {{Path: "deployments", Lost: true}},
		"answer never comes": {{Path: "deployments", Lost: true, Hang: true}},
		"each answer lost":   {{Method: http.MethodPost, Path: "deployments", Lost: true, Times: 3}, {Method: http.MethodPut, Path: "deployments", Lost: true, Times: 3}},
		"no reading":         {{Path: "deployments", Lost: true}, {Method: http.MethodGet, Path: "deployments", Status: 502, Times: 3}},
		"URL lost":           {{Path: "environments", Lost: true}},
		"URL broken":         {{Path: "environments", Status: 503, Times: 2}},
		"token refused once": {{Path: "deployments", Status: 401}},
	}
	for title, faults := range tests {
		for position, want := range []string{"running", "success"} {
			t.Run(title+" at "+want, func(t *testing.T) {
				inWorld(t, func(w *world) {
					steps := []gitlab.Deployment{step(gitlab.Running), step(gitlab.Success)}
					w.run()
					w.deploy(steps[:position]...)
					w.settled(0)
					for _, f := range faults {
						w.Inject(f)
					}
					w.deploy(steps[position])
					w.settled(2 * time.Minute)
					w.wantDeployments("11 " + want)
					if got := w.Deployments(environment)[0].Environment.URL(); got != "https://node3.example.com" {
						t.Errorf("the environment has the URL %q", got)
					}
					if health := w.outbox.Health(); health.LastError != "" {
						t.Errorf("health %+v", health)
					}
				})
			})
		}
	}
}

// Killed before or after the answer, the agent makes the deployment once.
func TestDeploymentsOverAKill(t *testing.T) {
	for _, method := range []string{"Save", "Settle"} {
		for _, lost := range []bool{true, false} {
			for position, want := range []string{"running", "failed"} {
				inWorld(t, func(w *world) {
					steps := []gitlab.Deployment{step(gitlab.Running), step(gitlab.Failed)}
					w.run()
					w.deploy(steps[:position]...)
					w.settled(0)
					w.stop()
					w.deploy(steps[position])
					w.store.fail = func(called string) error {
						if called == method {
							return errors.New("killed")
						}
						return nil
					}
					if lost {
						w.Inject(gitlabtest.Fault{Path: "deployments", Lost: true})
					}
					w.run()
					synctest.Wait()
					w.restart()
					w.store.fail = nil
					w.run()
					w.deploy(steps[position])
					w.settled(time.Minute)
					w.wantDeployments("11 " + want)
				})
			}
		}
	}
}

// A token without the right to deploy still delivers statuses.
func TestDeploymentRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		developer := gitlabtest.User{ID: 101, Name: "coin-agent", Access: gitlabtest.Developer}
		w.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: developer, Scopes: []string{"api"}})
		w.ProtectEnvironment(environment)
		w.run()
		w.deploy(step(gitlab.Running))
		w.enqueue(rollout()...)
		w.settled(0)
		w.wantStates("success")
		w.wantDeployments()
		if refused := w.outbox.Health().Refused; refused == nil || !strings.Contains(refused.Reason, "403") {
			t.Errorf("refused %+v", refused)
		}
		w.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}})
		w.deploy(step(gitlab.Success))
		w.settled(0)
		w.wantDeployments("11 success")
	})
}

// Broken deployments delay no status, and deployments of other commits wait for them.
func TestDeploymentLanes(t *testing.T) {
	const newer = "2222222222222222222222222222222222222222"
	inWorld(t, func(w *world) {
		w.AddCommit(newer, "master")
		w.Inject(gitlabtest.Fault{Path: "deployments", Status: 500, Times: 3})
		next := step(gitlab.Running)
		next.Commit = newer
		w.deploy(step(gitlab.Running), step(gitlab.Canceled), next)
		w.enqueue(rollout()...)
		w.run()
		synctest.Wait()
		w.wantStates("success")
		w.wantDeployments()
		w.settled(time.Minute)
		w.wantDeployments("11 canceled", "22 running")
	})
}

func TestDeploymentOfNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		w.deploy(step(gitlab.Canceled), step(gitlab.Running), step(gitlab.Success), step(gitlab.Canceled))
		w.settled(0)
		w.wantDeployments("11 success")
		if err := w.outbox.Deploy(step(gitlab.Pending)); err == nil {
			t.Error("a pending deployment was accepted")
		}
	})
}

// A deployment that a user has deleted, or that has its end already.
func TestDeploymentChangedByHand(t *testing.T) {
	for _, delete := range []bool{true, false} {
		inWorld(t, func(w *world) {
			w.run()
			w.deploy(step(gitlab.Running))
			w.settled(0)
			if delete {
				w.DeleteDeployment(w.Deployments(environment)[0].ID)
			} else {
				w.Inject(gitlabtest.Fault{Method: http.MethodPut, Lost: true})
			}
			w.deploy(step(gitlab.Success))
			w.settled(10 * time.Second)
			w.wantDeployments("11 success")
		})
	}
}

// An agent that was killed while GitLab still made the deployment finds it, and makes no second
// one.
func TestDeploymentArrivesAfterAKill(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		w.Inject(gitlabtest.Fault{Method: http.MethodPost, Path: "deployments", Late: 8 * time.Second})
		w.deploy(step(gitlab.Running))
		synctest.Wait()
		w.store.fail = func(string) error { return errors.New("killed") }
		w.restart()
		w.store.fail = nil
		w.run()
		time.Sleep(20 * time.Second)
		w.deploy(step(gitlab.Success))
		w.settled(time.Minute)
		w.wantDeployments("11 success")
	})
}

// The search for a lost deployment does not read the history of the environment.
func TestLostDeploymentOfALongHistory(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		for i := range 350 {
			older := step(gitlab.Success)
			older.Commit = fmt.Sprintf("%040x", i+1)
			w.AddCommit(older.Commit, "master")
			w.deploy(older)
			if i%50 == 0 {
				w.settled(time.Minute)
			}
		}
		w.settled(2 * time.Hour)
		before := len(w.Requests())
		w.Inject(gitlabtest.Fault{Method: http.MethodPost, Path: "deployments", Cut: true})
		w.deploy(step(gitlab.Success))
		w.settled(time.Minute)
		if asked := w.Requests()[before:]; len(asked) != 4 { // the post, who the user is, one page, and the post
			t.Errorf("%d requests: %+v", len(asked), asked)
		}
	})
}
