package swarmtest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
)

// TestRestart restarts an engine: its networks and secrets still exist, and its services run
// in new tasks.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := swarmtest.Own(t)
	s.Image(t, "restart:1")
	stack := s.Stack(t)
	s.Docker(t, "first", "secret", "create", "--label", "com.docker.stack.namespace="+stack, stack+"_kept", "-")
	s.Docker(t, fmt.Sprintf(`version: "3.8"
services: {app: {image: "restart:1", networks: [inner], secrets: [kept]}}
networks: {inner: {driver: overlay}}
secrets: {kept: {external: true, name: %s_kept}}
`, stack), "stack", "deploy", "--resolve-image=never", "-c", "-", stack)
	running := func() (id string) {
		waitfor.NoError(t, 5*time.Minute, func() error {
			for _, task := range s.Tasks(t, stack+"_app") {
				if id = task.ID; task.Status.State == swarm.TaskStateRunning && task.DesiredState == swarm.TaskStateRunning {
					return nil
				}
			}
			return fmt.Errorf("no task of %s runs", stack)
		})
		return id
	}
	before := running()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitfor.NoError(t, 5*time.Minute, func() error {
		if after := running(); after == before {
			return fmt.Errorf("task %s is still said to run", before)
		}
		return nil
	})
}
