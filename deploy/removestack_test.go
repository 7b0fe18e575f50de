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
		system, business := smallStack("system"), newStack("business")
		add(business, "web", func(s *swarm.ServiceSpec) {
			s.TaskTemplate.Networks = append(s.TaskTemplate.Networks, swarm.NetworkAttachmentConfig{Target: "system_default"})
		})
		rollout(t, engine, system)
		rollout(t, engine, business)
		foreign := ownLabels("system")
		foreign[compose.LabelOwner] = "sandbox/node4"
		if _, err := sim.Client(enginetest.Hooks{}).NetworkCreate(t.Context(), "system_other", network.CreateOptions{Driver: "overlay", Labels: foreign}); err != nil {
			t.Fatal(err)
		}
		var noted []string
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
		if _, _, err := engine.RemoveStack(t.Context(), "system", owner, note(1)); !errors.Is(err, cut) {
			t.Fatalf("a note that fails gives %v", err)
		}
		var kept, busy []string
		for range 10 {
			var err error
			if kept, busy, err = engine.RemoveStack(t.Context(), "system", owner, note(-1)); err != nil {
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
