package rollout

import (
	"context"
	"maps"

	"coin.internal/coin-agent/agent/gates"
	gitsync "coin.internal/coin-agent/sync"
)

// traced is what came after an approved commit that is deployed, up to another one, for what the node reads of
// that one. It never changes.
type traced struct {
	commit string
	inputs gitsync.Inputs
	since  gates.Since
}

// trace finds the commits that came after the deployed and approved one, if the gates ask GitLab about
// them. The remote is asked once while the sync waits.
func (d *admission) trace(ctx context.Context) {
	a, deployed := d.a, d.a.base.Deployed
	if a.use.Gates.Approvals == nil || deployed == nil || a.note.Wrote || len(a.config().Approvals()) == 0 {
		return
	}
	if last := *d.traced; last != nil && last.commit == a.commit && last.since.Deployed == deployed.ApprovedCommit() && maps.Equal(last.inputs, a.sync.Inputs) {
		d.since = last.since
		return
	}
	d.since = gates.Since{Deployed: deployed.ApprovedCommit()}
	d.since.Commits, d.since.Err = a.use.Remote.Between(ctx, d.since.Deployed, a.commit, a.sync.Inputs)
	if d.since.Err == nil {
		*d.traced = &traced{commit: a.commit, inputs: a.sync.Inputs, since: d.since}
	}
}
