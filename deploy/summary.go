package deploy

import (
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// ServiceStatus is the state of one live service.
type ServiceStatus struct {
	ID          string `json:"-"`
	Name        string `json:"name"`
	Image       string `json:"image"` // without its digest
	Mode        string `json:"mode"`
	Running     uint64 `json:"running"`
	Desired     uint64 `json:"desired"`
	Completed   uint64 `json:"completed,omitempty"` // of jobs
	OneShot     bool   `json:"one_shot,omitempty"`  // its tasks end by themselves
	UpdateState string `json:"update_state,omitempty"`
	Message     string `json:"message,omitempty"` // the engine's message about a paused or rolled back update

	Changed time.Time `json:"changed,omitzero"` // when the engine began or ended the last update, or made the service
}

// MissesTasks tells whether fewer tasks run than desired. Tasks that end by themselves
// do not count.
func (s ServiceStatus) MissesTasks() bool {
	ended := s.Running == 0 && s.Completed > 0
	return s.Running < s.Desired && !s.OneShot && !ended
}

// Summarise gives the state of the live services of a stack, sorted by name, without a call
// to the engine.
func Summarise(stack string, live LiveServices) []ServiceStatus {
	statuses := make([]ServiceStatus, 0, len(live))
	for _, name := range keys(live) {
		service := live[name]
		status := ServiceStatus{ID: service.ID, Name: name, Mode: modeName(service.Spec.Mode), OneShot: endsByItself(stack, service.Spec)}
		status.Image, _, _ = strings.Cut(containerOf(service.Spec).Image, "@")
		if counts := service.ServiceStatus; counts != nil {
			status.Running, status.Desired, status.Completed = counts.RunningTasks, counts.DesiredTasks, counts.CompletedTasks
		}
		status.Changed = changedAt(service)
		if update := service.UpdateStatus; update != nil {
			status.UpdateState = string(update.State)
			if update.State != swarm.UpdateStateCompleted {
				status.Message = update.Message
			}
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// changedAt gives when the engine began or ended the last update of a service, or made it.
func changedAt(service swarm.Service) time.Time {
	if update := service.UpdateStatus; update != nil {
		for _, at := range []*time.Time{update.CompletedAt, update.StartedAt} {
			if at != nil && !at.IsZero() {
				return at.UTC()
			}
		}
	}
	return service.CreatedAt.UTC()
}
