package agent_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

// deployedTo compares the deployments that GitLab was told of since the last call: each a
// commit and a state.
func (w *world) deployedTo(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.deployments); diff != "" {
		w.t.Errorf("deployments (-want +got):\n%s", diff)
	}
	w.deployments = nil
}

// Rollouts and rollbacks are deployments. What writes nothing is none.
func TestDeployments(t *testing.T) {
	inWorld(t, func(w *world) {
		good := w.release("1", configFile, automatic)
		w.start()
		w.wantLast(good, record.Succeeded)
		w.deployedTo(good+" running", good+" success")

		w.breaks("2")
		bad := w.release("2")
		w.poll()
		w.wantLast(bad, record.RolledBack)
		w.deployedTo(bad+" running", bad+" failed", good+" running", good+" success")

		next := w.release("3")
		w.poll()
		w.wantLast(next, record.Succeeded)
		w.deployedTo(next+" running", next+" success")
		w.wentBack(request.Rollback{Reason: "it is slow"})
		w.deployedTo(good+" running", good+" success")

		left := w.commit("unrelated") // it leaves the good state that the node was pinned at
		w.poll()
		w.deployedTo(left+" running", left+" success")
		w.commit("other")
		for range 5 {
			w.poll()
		}
		w.deployedTo()
	})
}

// A rollback of some services brings no commit to the environment.
func TestPartialRollbackIsNoDeployment(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		w.release("2")
		w.poll()
		w.set(func() { w.deployments = nil })
		w.wentBack(request.Rollback{Services: []string{"web"}})
		w.runs("1")
		w.deployedTo()
	})
}

// A rollback that finds nothing to write ends the deployment of the rollout that it replaces.
func TestRollbackWithoutWritesEndsTheDeployment(t *testing.T) {
	inWorld(t, func(w *world) {
		w.release("1")
		w.start()
		w.set(func() {
			w.deployments, w.onApply = nil, func(ctx context.Context) { <-ctx.Done() }
		})
		bad := w.release("2")
		w.poll()
		w.wantLast(bad, record.Running)
		w.halt()
		w.onApply, w.engineErr = nil, deploy.ErrUnavailable
		w.start()
		w.set(func() { w.engineErr = nil })
		w.wentBack(request.Rollback{Reason: "it hangs"})
		w.deployedTo(bad+" running", bad+" canceled")
	})
}
