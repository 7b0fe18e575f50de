package agent_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// TestApprovalCountsGrants has a commit that mounts the engine's socket wait for approval: the
// wait, the notice and the manifest name it. The wait of the next commit names nothing new.
func TestApprovalCountsGrants(t *testing.T) {
	toApprove(t, "approval: {required: true, approvers: [ada, bob]}\n", func(w *world) {
		w.commit("2", nodeDir+"docker-compose.yml", "services:\n  web:\n    image: app:$TAG\n    volumes: [\"/var/run/docker.sock:/s\"]\n")
		w.start()
		sync := w.said("approval is required (the plan has 1 new grant: s_web: mount /var/run/docker.sock at /s): !12 has 0 of 1 approvals")
		const grant = "s_web: mount /var/run/docker.sock at /s: controls the engine"
		notice, has := report.Notice(reported, "", sync)
		if !has || len(notice.Details) != 2 || !strings.HasPrefix(notice.Details[1].Text, "new grant: "+grant) {
			w.t.Errorf("the notice has %+v", notice.Details)
		}
		manifest, err := report.NewManifest(reported, sync)
		if err != nil || len(manifest.Plan.Grants) != 1 || !strings.HasPrefix(report.GrantText(manifest.Plan.Grants[0]), grant) {
			w.t.Errorf("the manifest has %+v, %v", manifest.Plan, err)
		}
		w.merges.set(func() { w.merges.users = []string{"bob"} })
		w.poll()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.merges.set(func() { w.merges.users = nil })
		w.release("3") // keeps the grant
		w.poll()
		w.said("approval is required: !12 has 0 of 1 approvals")
	})
}
