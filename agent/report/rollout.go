package report

import (
	"encoding/json"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// Rollout is the state of the services that a sync waits for, or that a failed sync
// waited for.
type Rollout struct {
	Started  time.Time              `json:"started"` // when the wait began
	Services []deploy.ServiceResult `json:"services"`
}

// Waiting lists the services that are not what they declare, the failed ones first.
func (r *Rollout) Waiting() []deploy.ServiceResult {
	if r == nil {
		return nil
	}
	return deploy.Result{Services: r.Services}.Waiting()
}

// FailedRollout gives the state of the services that made a sync fail; nil for any
// other sync. The effect of a rollback is not in it.
func FailedRollout(sync *record.Sync) *Rollout {
	if sync == nil || sync.State != record.Failed && sync.State != record.RolledBack || len(sync.Services) == 0 {
		return nil
	}
	rollout := &Rollout{Started: sync.Finished.Add(-time.Duration(sync.Seconds[sync.Stage] * float64(time.Second)))}
	if err := json.Unmarshal(sync.Services, &rollout.Services); err != nil || len(rollout.Waiting()) == 0 {
		return nil
	}
	return rollout
}
