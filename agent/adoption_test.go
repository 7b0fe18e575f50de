package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/compose"
)

// deployed puts a service into the engine as docker stack deploy makes it, and its network.
func (w *world) deployed(stack, service string) {
	w.set(func() {
		labels := map[string]string{compose.LabelStack: stack}
		spec := swarm.ServiceSpec{Annotations: swarm.Annotations{Name: stack + "_" + service, Labels: labels}}
		spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{Image: "app:0"}
		w.live[spec.Name], w.networks[stack+"_default"] = spec, network.CreateOptions{Driver: "overlay", Labels: labels}
	})
}

// services gives the names of the services in the engine, with their images.
func (w *world) services() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, spec := range w.live {
		names = append(names, name+" "+spec.TaskTemplate.ContainerSpec.Image)
	}
	slices.Sort(names)
	return names
}

func (w *world) wantServices(want ...string) {
	w.t.Helper()
	if got := w.services(); !slices.Equal(got, want) {
		w.t.Errorf("the engine has %q, want %q", got, want)
	}
}

// adopt adopts what the waiting sync takes over, as a user does who has seen the plan.
func (w *world) adopt() {
	w.t.Helper()
	plan, err := w.desk.PlanAdoption()
	if err == nil {
		_, err = w.desk.Adopt(person, request.Adopt{Plan: plan.Digest, Reason: "agreed"})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.pass(time.Second)
}

// renamed gives a config.yml with another name of the stack.
func renamed(stack string) string {
	return strings.Replace(baseConfig, "stack: s}", "stack: "+stack+"}", 1)
}

// TestAdoption has a commit take over the stack of another tool: nothing is written until a
// user has seen the plan, also over a restart.
func TestAdoption(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deployed("s", "web")
		w.deployed("s", "db")
		w.start()
		sync := w.said("adoption is required: 3 objects without this agent's label in stack s: service s_db, service s_web, network s_default", "`agent adopt`")
		w.halt()
		w.start()
		w.poll()
		w.said("adoption is required")
		w.wantServices("s_db app:0", "s_web app:0")
		if next := w.desk.Status().Next; !strings.HasPrefix(next, "`agent adopt` shows the plan and asks") {
			t.Errorf("next: %s", next)
		}

		plan, err := w.desk.PlanAdoption()
		if err != nil || plan.Digest != sync.PlanDigest || len(plan.Plan.Steps) != 2 {
			t.Fatalf("%v: %+v", err, plan)
		}
		for _, asked := range []struct{ plan, words string }{
			{"", "does not name a plan"}, {"abc", "does not name a plan"}, {strings.Repeat("0", 64), "the plan is " + record.Short(plan.Digest) + " now"},
		} {
			_, err := w.desk.Adopt(person, request.Adopt{Plan: asked.plan})
			refuses(t, err, asked.words)
		}
		w.adopt()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.wantServices("s_web app:1")
		if text := w.wrote(audit.Adopt); !strings.Contains(text, "ada") || !strings.Contains(text, "service s_db") || !strings.Contains(text, "agreed") {
			t.Errorf("the audit log has %q", text)
		}
		_, err = w.desk.PlanAdoption()
		refuses(t, err, "no rollout waits for adoption")

		w.halt()
		w.start()
		w.release("2") // the network has no label for ever, and is adopted
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.runs("2")
	})
}

// TestConsentIsForWhatWasShown adopts a stack whose rollout waits for something else, too, and
// lets another object come meanwhile.
func TestConsentIsForWhatWasShown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deployed("s", "web")
		w.start()
		w.pause("", "later")
		w.adopt()
		sync := w.wantLast(w.revision.Commit, record.Waiting)
		if strings.Contains(sync.Waiting, "adoption") {
			t.Errorf("it waits for %q", sync.Waiting)
		}
		w.deployed("s", "late")
		if _, err := w.resume(); err != nil {
			t.Fatal(err)
		}
		w.said("service s_late", "adopted something else")
		w.wantServices("s_late app:0", "s_web app:0")
		w.adopt()
		w.wantServices("s_web app:1")
	})
}

// TestAnotherStackNameWaits has a commit name the stack of others in place of the node's own:
// what runs stays, and so does what is known of it.
func TestAnotherStackNameWaits(t *testing.T) {
	for name, there := range map[string]bool{"a stack of others": true, "a stack that is not there": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				first := w.release("1")
				w.start()
				w.wantLast(first, record.Succeeded)
				want := []string{"s_web app:1"}
				if there {
					w.deployed("monitoring", "db")
					want = []string{"monitoring_db app:0", "s_web app:1"}
				}
				w.release("2", configFile, renamed("monitoring"))
				w.poll()
				w.said("adoption is required: config.yml names the stack monitoring, and this node keeps the stack s")
				w.wantServices(want...)
				if status := w.desk.Status(); status.Stack != "s" || len(status.Drift) > 0 || len(status.Services) != 1 {
					t.Errorf("stack %s, drift %v, %d services", status.Stack, status.Drift, len(status.Services))
				}
				w.pause("", "later")
				w.adopt()
				w.release("3", configFile, baseConfig) // reverted before the rollout began
				w.poll()
				if _, err := w.resume(); err != nil {
					t.Fatal(err)
				}
				w.wantServices(append(want[:len(want)-1:len(want)-1], "s_web app:3")...)
				w.wantLast(w.revision.Commit, record.Succeeded)
				if kept, err := w.records.Adoption(); err != nil || kept.Stack != "s" {
					t.Errorf("keeps %+v, %v", kept, err)
				}
			})
		})
	}
}

// TestAnotherStackNameIsAdopted goes on under the new name, and leaves the old stack as it is.
func TestAnotherStackNameIsAdopted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		w.release("2", configFile, renamed("t"))
		w.poll()
		w.adopt()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.wantServices("s_web app:1", "t_web app:2")
		w.release("3", configFile, renamed("t"))
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.wantServices("s_web app:1", "t_web app:3")
		w.release("4", configFile, baseConfig)
		w.poll()
		w.said("config.yml names the stack s, and this node keeps the stack t")
	})
}

// TestRollbackFromAnotherStackName rolls back while a commit with another name waits.
func TestRollbackFromAnotherStackName(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		w.release("2")
		w.poll()
		w.release("3", configFile, renamed("monitoring"))
		w.poll()
		w.wentBack(request.Rollback{})
		w.runs("1")
	})
}

// TestEarlierVersionIsNotAsked starts an agent on the records of a version that did not note
// the stack's name, and one whose state file was lost.
func TestEarlierVersionIsNotAsked(t *testing.T) {
	for name, lose := range map[string]func(w *world){
		"without the name": func(w *world) {
			w.t.Helper()
			db, err := bbolt.Open(filepath.Join(w.dir, "state.db"), 0o600, &bbolt.Options{Timeout: time.Second})
			if err == nil {
				err = db.Update(func(tx *bbolt.Tx) error {
					return tx.Bucket([]byte("stacks")).Bucket([]byte(record.OnlyStack)).Delete([]byte("adoption"))
				})
			}
			if err == nil {
				err = db.Close()
			}
			if err != nil {
				w.t.Fatal(err)
			}
		},
		"without the state file": func(w *world) {
			w.t.Helper()
			for _, file := range []string{"state.db", audit.FileName} {
				if err := os.Remove(filepath.Join(w.dir, file)); err != nil {
					w.t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.release("1")
				w.start()
				w.halt()
				w.networks["s_default"] = network.CreateOptions{Driver: "overlay", Labels: map[string]string{compose.LabelStack: "s"}}
				lose(w)
				w.release("2")
				w.start()
				w.wantLast(w.revision.Commit, record.Succeeded)
				w.runs("2")
				if kept, err := w.records.Adoption(); err != nil || kept == nil || kept.Stack != "s" || kept.Consent != nil || len(kept.Objects) != 1 {
					t.Errorf("keeps %+v, %v", kept, err)
				}
				w.release("3", configFile, renamed("monitoring"))
				w.poll()
				w.said("config.yml names the stack monitoring")
			})
		})
	}
}

// TestServicesOfOthersInTheStack puts a service of another tool into the node's own stack: no
// correction of drift and no rollback removes it, and a rollout waits for a user.
func TestServicesOfOthersInTheStack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", configFile, baseConfig+"drift: correct\n")
		w.start()
		w.release("2")
		w.poll()
		w.deployed("s", "debug")
		w.poll()
		w.poll()
		before := w.plans()
		w.set(func() {
			spec := w.live["s_web"]
			spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{Image: "app:9"}
			w.live["s_web"] = spec
		})
		w.poll()
		w.wantServices("s_debug app:0", "s_web app:2")
		w.poll()
		if got := w.plans(); got != before+1 {
			t.Errorf("%d plans were applied, want one", got-before)
		}
		if status := w.desk.Status(); len(status.Drift) != 1 || status.Drift[0].Name != "s_debug" {
			t.Errorf("drift %+v", status.Drift)
		}
		w.wentBack(request.Rollback{})
		w.wantServices("s_debug app:0", "s_web app:1")
		w.poll()
		w.poll()
		w.wantServices("s_debug app:0", "s_web app:1")
		w.release("3")
		w.poll()
		w.said("1 object without this agent's label in stack s: service s_debug")
		w.wantServices("s_debug app:0", "s_web app:1")
		w.adopt()
		w.wantServices("s_web app:3")
	})
}

// TestServiceOfOthersDuringARollout stops the agent while it applies a plan, and puts a service
// of another tool into the stack meanwhile: the rollout that is carried on removes what a user
// adopted, and leaves what came later.
func TestServiceOfOthersDuringARollout(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.deployed("s", "debug")
		w.set(func() { w.onApply = func(ctx context.Context) { <-ctx.Done() } })
		second := w.release("2")
		w.poll()
		w.said("1 object without this agent's label in stack s: service s_debug")
		w.adopt()
		w.wantLast(second, record.Running)
		w.halt()
		w.onApply = nil
		w.deployed("s", "late")
		w.start()
		w.wantLast(second, record.Succeeded)
		w.wantServices("s_late app:0", "s_web app:2")
		w.release("3")
		w.poll()
		w.said("1 object without this agent's label in stack s: service s_late")
		w.wantServices("s_late app:0", "s_web app:2")
	})
}

// TestRollbackSparesServicesOfOthers has another tool make a service under a name that an
// older good state has.
func TestRollbackSparesServicesOfOthers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1", nodeDir+"docker-compose.yml", "services: {web: {image: \"app:$TAG\"}, old: {image: \"app:$TAG\"}}\n")
		w.start()
		w.release("2", nodeDir+"docker-compose.yml", "services: {web: {image: \"app:$TAG\"}}\n")
		w.poll()
		w.wantServices("s_web app:2")
		w.deployed("s", "old")
		_, err := w.goBack(request.Rollback{})
		refuses(t, err, "would overwrite services that this agent did not make: s_old")
		w.wantServices("s_old app:0", "s_web app:2")
	})
}
