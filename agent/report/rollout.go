package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// Rollout is the state of the services that a sync waits for, or that a failed sync
// waited for.
type Rollout struct {
	Started  time.Time              `json:"started"`        // when the wait began
	Until    time.Time              `json:"until,omitzero"` // when it ends at the latest; zero if that is not known
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

// EventText gives a step for the progress of a command and for the log.
func EventText(event deploy.Event) string {
	text := fmt.Sprintf("%s %s %s", event.Step.Action, event.Step.Kind, event.Step.Name)
	switch {
	case event.Err != nil:
		return text + ": " + event.Err.Error()
	case event.Done:
		return text + ": done"
	case event.Waits != "":
		return text + ": waits for " + event.Waits
	}
	return text
}

// WaitingText names the services that are still waited for.
func WaitingText(result deploy.Result) string {
	ready := 0
	var waiting []string
	for _, service := range result.Services {
		if service.State == deploy.Converged {
			ready++
			continue
		}
		text := fmt.Sprintf("%s %d/%d", service.Name, service.Ready, service.Want)
		if service.Error != "" {
			text += " (" + service.Error + ")"
		}
		waiting = append(waiting, text)
	}
	text := fmt.Sprintf("%d of %d services ready", ready, len(result.Services))
	if len(waiting) > 3 {
		waiting = append(waiting[:3], fmt.Sprintf("and %d more", len(waiting)-3))
	}
	if len(waiting) > 0 {
		text += "; waiting for " + strings.Join(waiting, ", ")
	}
	return text
}
