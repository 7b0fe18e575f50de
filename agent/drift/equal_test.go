package drift_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// one gives the same service to each read.
type one struct{ service swarm.Service }

func (o *one) ObserveChanged(context.Context, string, deploy.Answer) (deploy.LiveServices, deploy.Answer, error) {
	service := o.service
	service.Spec.Labels = map[string]string{compose.LabelStack: "s"}
	return deploy.LiveServices{service.Spec.Name: service}, deploy.Answer{}, nil
}

// TestEqualIsComparedOnce says after which changes a service that was equal is compared again.
// Its spec differs each time, so a comparison finds a drift.
func TestEqualIsComparedOnce(t *testing.T) {
	for name, test := range map[string]struct {
		change   func(s *swarm.Service, good *record.GoodState) *record.GoodState
		compared bool
	}{
		"the same version": {func(_ *swarm.Service, good *record.GoodState) *record.GoodState { return good }, false},
		"another version": {func(s *swarm.Service, good *record.GoodState) *record.GoodState {
			s.Version.Index++
			return good
		}, true},
		"another service under the name": {func(s *swarm.Service, good *record.GoodState) *record.GoodState {
			s.ID = "other"
			return good
		}, true},
		"written at another time": {func(s *swarm.Service, good *record.GoodState) *record.GoodState {
			s.UpdatedAt = time.Unix(2, 0)
			return good
		}, true},
		"another good state": {func(_ *swarm.Service, good *record.GoodState) *record.GoodState {
			other := *good
			return &other
		}, true},
		"another name": {func(s *swarm.Service, good *record.GoodState) *record.GoodState {
			s.Spec.Name = "s_other"
			return good
		}, true},
		"no good state in between": {func(*swarm.Service, *record.GoodState) *record.GoodState { return nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			live := &one{service: swarm.Service{ID: "web", Meta: swarm.Meta{Version: swarm.Version{Index: 7}, UpdatedAt: time.Unix(1, 0)}}}
			live.service.Spec.Name = "s_web"
			spec := live.service.Spec
			spec.Labels = map[string]string{compose.LabelStack: "s"}
			services, err := json.Marshal(map[string]swarm.ServiceSpec{"s_web": spec})
			if err != nil {
				t.Fatal(err)
			}
			good := &record.GoodState{StackName: "s", Services: services}
			watch := drift.New(live, nil, slog.New(slog.DiscardHandler))
			look := func(good *record.GoodState) int {
				t.Helper()
				seen, err := watch.Look(t.Context(), "s", good)
				if err != nil {
					t.Fatal(err)
				}
				return len(seen.Drift)
			}
			if drifted := look(good); drifted != 0 {
				t.Fatalf("%d services drifted", drifted)
			}
			live.service.Spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{Image: "other"}
			if drifted := look(test.change(&live.service, good)); (drifted > 0) != test.compared {
				t.Errorf("%d services drifted", drifted)
			}
			if drifted := look(good); (drifted > 0) != test.compared {
				t.Errorf("at the next look %d services drifted", drifted)
			}
		})
	}
}
