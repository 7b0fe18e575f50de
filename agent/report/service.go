package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// DriftOf gives the drift of a service of a status; "" for none.
func DriftOf(s *Status, service string) string {
	for _, step := range s.Drift {
		if step.Name != service {
			continue
		}
		text, taken := "to "+string(step.Action), takenOf(s, service)
		switch {
		case step.Action == deploy.Update && taken != "":
			text = strings.Replace(ChangeLabels(step), "replicas", taken, 1)
		case step.Action == deploy.Update:
			text = ChangeLabels(step)
		case taken != "":
			text = taken
		}
		if slices.Contains(drift.Contested(s.Contests), service) {
			text += ", contested"
		}
		return text
	}
	return ""
}

// takenOf says what another process did to a service that has fewer tasks than declared.
func takenOf(s *Status, service string) string {
	for _, one := range s.Services {
		if one.Name == service {
			return one.Taken()
		}
	}
	return ""
}

// Unlisted lists what has drifted and is not a live service of the status.
func Unlisted(s *Status) []deploy.Step {
	return slices.DeleteFunc(slices.Clone(s.Drift), func(step deploy.Step) bool {
		return slices.ContainsFunc(s.Services, func(service deploy.ServiceStatus) bool { return service.Name == step.Name })
	})
}

// ServiceState gives the state of a live service in words, and what it stands for. drifted
// is what DriftOf gives.
func ServiceState(service deploy.ServiceStatus, drifted string) (text string, state HeadlineState) {
	switch {
	case drifted != "":
		return "drifted: " + drifted, Attention
	case service.OneShot && service.Running == 0:
		return "done", AllWell
	case service.Message != "":
		return updateText(service), Alarm
	case service.UpdateState == "updating":
		return "updating", Attention
	case service.Running == 0 && (service.OneShot || service.Completed > 0):
		return "ended", AllWell
	case service.Desired == 0:
		return "stopped", AllWell
	case service.MissesTasks():
		return "not running", Alarm
	}
	return "running", AllWell
}

// updateText says what became of an update that did not complete. The engine's own message adds
// the ID of a task, and no reason.
func updateText(service deploy.ServiceStatus) string {
	switch service.UpdateState {
	case "paused":
		return "update paused"
	case "rollback_started":
		return "the engine rolls back"
	case "rollback_paused":
		return "rollback paused"
	case "rollback_completed":
		return "the engine rolled back"
	}
	return service.UpdateState + ": " + service.Message
}

// What gives the result of a sync in one text.
func What(sync *record.Sync) string {
	switch {
	case sync.Error == "" && sync.State == record.Waiting:
		return "waiting: " + sync.Waiting
	case sync.Error == "":
		return sync.Summary
	case sync.State == record.RolledBack:
		return sync.Summary + ", after " + string(sync.Stage) + ": " + sync.Error
	}
	text := string(sync.Stage) + ": " + sync.Error
	if sync.Rollback != nil && sync.Rollback.Refused != "" {
		text += "; not rolled back: " + sync.Rollback.Refused
	}
	return text
}

// StateWord gives the state of a sync for people.
func StateWord(state record.State) string { return strings.ReplaceAll(string(state), "_", " ") }

// Roughly gives a length of time in one unit.
func Roughly(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
