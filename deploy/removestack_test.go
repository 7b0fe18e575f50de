package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
)

// A removed stack leaves what another owner or stack made, and the network that another stack's
// service uses. A removal that a note cuts off goes on when it is called again.
func TestRemoveStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulated()
		engine := deploy.New(sim.Client(enginetest.Hooks{}))
		business := newStack("business")
		add(business, "web", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.Networks = append(s.TaskTemplate.Networks, swarm.NetworkAttachmentConfig{Target: "system_default"})
		})
		rollout(t, engine, smallStack("system"))
		rollout(t, engine, business)
		foreign := ownLabels("system")
		foreign[compose.LabelOwner] = "sandbox/node4"
		if _, err := sim.Client(enginetest.Hooks{}).NetworkCreate(t.Context(), "system_other", network.CreateOptions{Driver: "overlay", Labels: foreign}); err != nil {
			t.Fatal(err)
		}
		var noted []string
		system := deploy.Departure{Stack: "system", Owner: owner}
		cut := errors.New("the audit log is full")
		note := func(most int) func(deploy.Event) error {
			return func(event deploy.Event) error {
				if len(noted) == most {
					return cut
				}
				if !event.Done {
					noted = append(noted, string(event.Step.Kind)+" "+event.Step.Name)
				}
				return event.Err
			}
		}
		if _, _, err := engine.RemoveStack(t.Context(), system, note(1)); !errors.Is(err, cut) {
			t.Fatalf("a note that fails gives %v", err)
		}
		var kept, busy []string
		for range 10 {
			var err error
			if kept, busy, err = engine.RemoveStack(t.Context(), system, note(-1)); err != nil {
				t.Fatal(err)
			}
			if len(busy) == 0 {
				break
			}
			time.Sleep(time.Minute)
		}
		if len(busy) > 0 || strings.Join(kept, ", ") != "network system_default, which business_web uses" {
			t.Errorf("kept %q, busy %q", kept, busy)
		}
		left := noted[0]
		if !slices.IsSortedFunc(noted, func(a, b string) int { return strings.Count(b, "service ") - strings.Count(a, "service ") }) || !strings.HasPrefix(left, "service ") {
			t.Errorf("removed in the order %v", noted)
		}
		wantLeft(t, sim, "business_web", "system_default", "system_other")
	})
}

// A job of an adopted stack has no owner, because a label would run it. It stays with what it uses,
// and is named, until it is removed by hand.
func TestRemoveAdoptedStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulated()
		client := sim.Client(enginetest.Hooks{})
		engine := deploy.New(client)
		stack := newStack("system")
		reference := addSecret(stack, "db_access", "1", "canary-content")
		add(stack, "web", nil)
		add(stack, "job", func(s *swarm.ServiceSpec) {
			s.Mode, s.UpdateConfig = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}, nil
			s.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", "migrate"}
			s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{reference}
			s.TaskTemplate.RestartPolicy = soon("none")
		})
		rollout(t, engine, stack)
		job, _, err := client.ServiceInspectWithRaw(t.Context(), "system_job", swarm.ServiceInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		delete(job.Spec.Labels, compose.LabelOwner) // as `docker stack deploy` made it
		if _, err := client.ServiceUpdate(t.Context(), job.ID, job.Version, job.Spec, swarm.ServiceUpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		system := deploy.Departure{Stack: "system", Owner: owner}
		remove := func() (kept []string) {
			t.Helper()
			for range 3 { // the engine frees the networks of removed services later
				if kept, _, err = engine.RemoveStack(t.Context(), system, func(e deploy.Event) error { return e.Err }); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
			}
			return kept
		}
		want := []string{
			"service system_job, which has no label of this agent: `docker service rm system_job` removes it",
			"secret system_db_access.1, which system_job uses", "network system_default, which system_job uses",
		}
		if kept := remove(); !slices.Equal(kept, want) {
			t.Errorf("kept %q", kept)
		}
		wantLeft(t, sim, "system_db_access.1", "system_default", "system_job")
		if err := client.ServiceRemove(t.Context(), job.ID); err != nil {
			t.Fatal(err)
		}
		if kept := remove(); len(kept) > 0 {
			t.Errorf("kept %q", kept)
		}
		wantLeft(t, sim)
	})
}

// The secret that only a rollback of another stack needs stays as long as the good state does.
func TestRemoveStackNeededByRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulated()
		engine := deploy.New(sim.Client(enginetest.Hooks{}))
		stack := newStack("system")
		needed, other := addSecret(stack, "needed", "1", "canary-content"), addSecret(stack, "other", "1", "canary-content")
		add(stack, "web", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{needed, other}
		})
		rollout(t, engine, stack)
		good := deploy.GoodState{
			Stack: "business", Commit: "0123456789abcdef", At: time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC),
			Secrets: []string{"system_needed.1"}, Configs: []string{"system_other.1"},
		}
		remove := func(others ...deploy.GoodState) (kept []string) {
			t.Helper()
			var err error
			for range 3 { // the engine frees the networks of removed services later
				what := deploy.Departure{Stack: "system", Owner: owner, Others: others}
				if kept, _, err = engine.RemoveStack(t.Context(), what, func(e deploy.Event) error { return e.Err }); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
			}
			return kept
		}
		want := []string{"secret system_needed.1, for a rollback to the good state of the stack business of 2026-11-30 20:00 0123456789"}
		if kept := remove(good); !slices.Equal(kept, want) {
			t.Errorf("kept %q", kept)
		}
		wantLeft(t, sim, "system_needed.1")
		if kept := remove(); len(kept) > 0 {
			t.Errorf("kept %q", kept)
		}
		wantLeft(t, sim)
	})
}

// wantLeft checks what the engine has, by name.
func wantLeft(t *testing.T, sim *enginetest.Engine, want ...string) {
	t.Helper()
	client, ctx := sim.Client(enginetest.Hooks{}), context.WithoutCancel(t.Context())
	services, err := client.ServiceList(ctx, swarm.ServiceListOptions{})
	networks, netErr := client.NetworkList(ctx, network.ListOptions{})
	secrets, secretErr := client.SecretList(ctx, swarm.SecretListOptions{})
	if err = errors.Join(err, netErr, secretErr); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range services {
		names = append(names, one.Spec.Name)
	}
	for _, one := range networks {
		if strings.HasPrefix(one.Name, "system_") {
			names = append(names, one.Name)
		}
	}
	for _, one := range secrets {
		names = append(names, one.Spec.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Errorf("left %v, want %v", names, want)
	}
}
