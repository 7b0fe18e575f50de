package agent_test

import (
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
)

// loops has the service crash three times, and passes then gives it the time to be healthy again.
func (c *crashing) loops() {
	for range 3 {
		c.crash()
		c.w.pass(3 * time.Second)
	}
	c.w.pass(2 * interval)
}

// A later commit that has written nothing hides no change of health: of the release that runs it
// is told, whatever the other one waits for or failed with.
func TestDegradedBeforeALaterCommit(t *testing.T) {
	for name, test := range map[string]struct {
		file, content string
		state         record.State
		notice        string
	}{
		"it waits for a user":   {configFile, "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n" + toOps + "approval: {required: true}\n", record.Waiting, "rollout waits: approval is required: no GitLab is configured that could be asked; on the node: `agent approve 0000000000`, release 2"},
		"it cannot be rendered": {nodeDir + "docker-compose.yml", badCompose, record.Failed, "rollout failed at render"},
	} {
		t.Run(name, func(t *testing.T) {
			inCrashingWorld(t, func(w *world, c *crashing, box *mailbox, commit string) {
				later := w.release("2", test.file, test.content)
				w.poll()
				w.wantLast(later, test.state)
				box.wants(t, test.notice)
				c.loops()
				box.wants(t, "services are degraded after the rollout, release 1")
				w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed)
				w.halt()
				w.start() // an agent that starts again knows what was published
				w.pass(15 * time.Minute)
				box.wants(t, "recovered: all services are healthy again, release 1")
				w.told(commit, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed, gitlab.Success)
				w.wantLast(later, test.state)
			})
		})
	}
}

// What a rollback returned to is told, too, with the release that runs.
func TestDegradedAfterARollback(t *testing.T) {
	inSoakingWorld(t, backAutomatically, func(s *soaks) {
		s.loops()
		s.wantLast(s.released, record.RolledBack)
		s.box.wants(t, "services are degraded after the rollout, release 2", "rolled back automatically, release 2")
		s.pass(11 * time.Minute)
		s.c.loops()
		s.box.wants(t, "services are degraded after the rollback to 1 (sync #2), release 1")
		s.pass(15 * time.Minute)
		s.box.wants(t, "recovered: all services are healthy again, release 1")
		s.told(s.released, gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Failed, gitlab.Failed)
	})
}

// The correction of a drift tells GitLab nothing of the commit, and neither does the health after it.
func TestDegradedAfterACorrection(t *testing.T) {
	inCrashingWorldWith(t, "drift: correct\n", func(w *world, c *crashing, box *mailbox, _ string) {
		bad := w.commit("2", nodeDir+"docker-compose.yml", badCompose)
		w.poll()
		w.wantLast(bad, record.Failed)
		(&soaks{world: w}).byHand("BY=hand")
		w.poll()
		if last := w.wantLast(bad, record.RolledBack); !last.Quiet() {
			t.Errorf("%+v", last)
		}
		told := w.states(bad)
		box.wants(t, "rollout failed at render", "the live services differ from what was applied, release 1", "recovered: the good state is restored")
		c.loops()
		box.wants(t, "services are degraded after the rollback to 1 (sync #1), release 1")
		w.told(bad, told...)
	})
}
