package deploy_test

import (
	"errors"
	"strings"
	"testing"

	"coin.internal/coin-agent/deploy"
)

// TestProgressStopsApply: an error of Progress stops an Apply. No further step begins,
// cron services scale up again, and Apply returns the error.
func TestProgressStopsApply(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := hostStack(on.Stack(t))
	add(stack, "cron_service", nil)
	rollout(t, engine, stack)
	addSecret(stack, "db_access", "1", "canary-content")
	for name, when := range map[string]func(deploy.Event) bool{
		"at a begin":   func(e deploy.Event) bool { return !e.Done && e.Step.Kind == deploy.Secret },
		"after a step": func(e deploy.Event) bool { return e.Done && e.Step.Action == deploy.ScaleDown },
	} {
		recorder.Reset()
		err := engine.Apply(t.Context(), planFor(t, engine, stack), stack, deploy.ApplyOptions{Progress: func(event deploy.Event) error {
			if when(event) {
				return errors.New("the follower is lost")
			}
			return nil
		}})
		if err == nil || !strings.Contains(err.Error(), "the follower is lost") {
			t.Errorf("%s: %v", name, err)
		}
		for _, write := range recorder.Writes() {
			if strings.Contains(write.Path, "/secrets/") {
				t.Errorf("%s: went on with %v", name, write)
			}
		}
		live, err := engine.ObserveServices(t.Context(), stack.Name)
		if err != nil {
			t.Fatal(err)
		}
		if cron := live[stack.Name+"_cron_service"]; *cron.Spec.Mode.Replicated.Replicas != 1 {
			t.Errorf("%s: cron_service is left with %d replicas", name, *cron.Spec.Mode.Replicated.Replicas)
		}
	}
}
