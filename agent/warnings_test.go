package agent_test

import (
	"slices"
	"testing"

	"coin.internal/coin-agent/agent/record"
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
