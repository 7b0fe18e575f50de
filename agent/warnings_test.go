package agent_test

import (
	"context"
	"slices"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// TestWarningsStandAlone demands that a sync keeps of a warning what it says, where,
// and what to do.
func TestWarningsStandAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		commit := w.commit("1", nodeDir+"project.env", "A=1\n", nodeDir+"docker-compose.yml", "services: {web: {image: \"app:$TAG\", privileged: true}}\n")
		w.start()
		want := []string{nodeDir + "docker-compose.yml:1: service web: privileged has no effect: " +
			"its tasks run without privileges; use cap_add, or run the service outside Swarm"}
		if got := w.wantLast(commit, record.Succeeded).Warnings; !slices.Equal(got, want) {
			t.Errorf("warnings %q, want %q", got, want)
		}
	})
}

// TestWarningsOutliveARestart stops the agent after the write that a warning is about: the new
// agent plans nothing for that service, and the sync still has the warning, once.
func TestWarningsOutliveARestart(t *testing.T) {
	const warning = "image app:2: the registry does not answer; it is deployed without a digest"
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		w.set(func() {
			w.resolve = func(live deploy.LiveServices, want *compose.Stack) (*compose.Stack, []string, error) {
				if live["s_web"].Spec.TaskTemplate.ContainerSpec.Image == "app:2" {
					return want, nil, nil
				}
				return want, []string{warning}, nil
			}
			w.verify = func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}
		})
		second := w.release("2")
		w.poll()
		w.wantLast(second, record.Running)
		w.halt()
		w.set(func() { w.verify = nil })
		w.start()
		w.poll()
		got := w.wantLast(second, record.Succeeded).Warnings
		if others := slices.DeleteFunc(slices.Clone(got), func(text string) bool { return text == warning }); len(got)-len(others) != 1 {
			t.Errorf("warnings %q, want %q once", got, warning)
		}
	})
}
