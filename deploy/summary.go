package deploy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/texts"
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

	// Declared is how many tasks the applied stack declares, of a service that another process
	// has scaled to fewer, or has removed; else 0.
	Declared uint64 `json:"declared,omitempty"`
	Removed  bool   `json:"removed,omitempty"` // another process has removed it
}

// Wanted gives how many tasks are to run: also if the engine was told fewer.
func (s ServiceStatus) Wanted() uint64 { return max(s.Desired, s.Declared) }

// MissesTasks tells whether fewer tasks run than are to run. Tasks that end by themselves
// do not count.
func (s ServiceStatus) MissesTasks() bool {
	ended := s.Running == 0 && s.Completed > 0
	return s.Running < s.Wanted() && !s.OneShot && !ended
}

// Taken says what another process did to a service that has fewer tasks than the applied stack
// declares; "" for none.
func (s ServiceStatus) Taken() string {
	switch {
	case s.Removed:
		return "removed"
	case s.Declared > 0:
		return fmt.Sprintf("scaled to %d", s.Desired)
	}
	return ""
}

// Declare notes in the state of live services what another process took from them: drifted are
// the steps that would make the services equal to the applied stack again. Services that are
// gone are added.
func Declare(stack string, statuses []ServiceStatus, drifted []Step, applied *compose.Stack) []ServiceStatus {
	scaled, _ := ignorableOf("replicas")
	for _, step := range drifted {
		spec, declared := applied.Services[step.Name]
		switch i := slices.IndexFunc(statuses, func(s ServiceStatus) bool { return s.Name == step.Name }); {
		case !declared:
		case i < 0:
			gone := ServiceStatus{Name: step.Name, Mode: modeName(spec.Mode), OneShot: endsByItself(stack, spec), Removed: true, Declared: desired(spec, nil)}
			if spec.Mode.Global != nil {
				gone.Declared = 1 // at least
			}
			gone.Image, _, _ = strings.Cut(containerOf(spec).Image, "@")
			statuses = append(statuses, gone)
		case statuses[i].OneShot || statuses[i].Mode != modeName(spec.Mode) || !slices.ContainsFunc(step.Changes, scaled.has):
		case spec.Mode.Replicated != nil && statuses[i].Desired < replicas(spec):
			statuses[i].Declared = replicas(spec)
		}
	}
	slices.SortFunc(statuses, func(a, b ServiceStatus) int { return strings.Compare(a.Name, b.Name) })
	return statuses
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
			if update.State != swarm.UpdateStateCompleted && update.State != swarm.UpdateStateUpdating {
				status.Message = update.Message
			}
		}
		statuses = append(statuses, status)
	}
	return settled(statuses)
}

// settled puts the texts of statuses side by side: they stay until the next answer of the engine.
func settled(statuses []ServiceStatus) []ServiceStatus {
	all := make([]*string, 0, 5*len(statuses))
	for i := range statuses {
		one := &statuses[i]
		all = append(all, &one.ID, &one.Name, &one.Image, &one.UpdateState, &one.Message)
	}
	texts.Together(all)
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
