package agent

import (
	"encoding/json"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// Rollout is how the services fare that a sync waits for, or that a failed one
// waited for.
type Rollout struct {
	Started  time.Time              `json:"started"` // of the waiting
	Services []deploy.ServiceResult `json:"services"`
}

// Waiting lists the services that are not what they declare, the failed ones first.
func (r *Rollout) Waiting() []deploy.ServiceResult {
	if r == nil {
		return nil
	}
	return deploy.Result{Services: r.Services}.Waiting()
}

// Rollout tells how the services fare that the agent waits for now, nil when it
// waits for none.
func (a *Agent) Rollout() *Rollout { return a.snapshot().rollout }

// FailedRollout tells how the services of a sync fared that failed over them, nil
// for any other; what a rollback made of them is not in it.
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
