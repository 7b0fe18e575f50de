package report

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/internal/plural"
)

// ServiceLine is a live service as lists show it.
type ServiceLine struct {
	Name     string // without the stack's name
	Tasks    string // "" of a service that is not live
	Word     string // its state
	Tone     HeadlineState
	Since    time.Time // when it stopped being healthy, or was changed last
	Restarts int       // within the last minutes
	Node     string    // of its last ended task; "" for none
	Image    string    // without its registry
	Error    string    // the engine's words about its last ended task
}

// ServiceLines gives the services of a status, and what else has drifted: first what is not
// healthy, then what needs attention, then by name.
func ServiceLines(s *Status) []ServiceLine {
	troubled, restored := map[string]health.Service{}, map[string]health.Service{}
	if s.Health != nil {
		for _, one := range s.Health.Services {
			troubled[one.Name] = one
		}
		for _, one := range s.Health.Restored {
			restored[one.Name] = one
		}
	}
	lines := make([]ServiceLine, 0, len(s.Services))
	for _, live := range s.Services {
		line := ServiceLine{
			Name: shortName(s, live.Name), Tasks: fmt.Sprintf("%d/%d", live.Running, live.Wanted()), Since: live.Changed, Image: path.Base(live.Image),
		}
		line.Word, line.Tone = ServiceState(live, DriftOf(s, live.Name))
		if bad, found := troubled[live.Name]; found {
			line.Since, line.Restarts, line.Node, line.Error = bad.Since, bad.Restarts, bad.Node, bad.Error
			if line.Tone == AllWell {
				line.Word = string(bad.State)
			}
			line.Tone = Alarm
		}
		if back, found := restored[live.Name]; found {
			line.Restarts = back.Restarts
			if back.Since.After(line.Since) {
				line.Since = back.Since
			}
		}
		lines = append(lines, line)
	}
	for _, step := range Unlisted(s) {
		lines = append(lines, ServiceLine{Name: shortName(s, step.Name), Word: "drifted: " + DriftOf(s, step.Name), Tone: Attention})
	}
	slices.SortStableFunc(lines, func(a, b ServiceLine) int { return int(b.Tone) - int(a.Tone) })
	return lines
}

func shortName(s *Status, name string) string { return strings.TrimPrefix(name, s.Stack+"_") }

// Counts says how many services of a rollout are ready.
func (r *Rollout) Counts() string {
	return fmt.Sprintf("%d of %s ready", len(r.Services)-len(r.Waiting()), plural.Count(len(r.Services), "service"))
}

// Ready counts the services and the tasks of a rollout that are as they are declared, and all.
func (r *Rollout) Ready() (services, tasks, allTasks uint64) {
	services = uint64(len(r.Services) - len(r.Waiting()))
	for _, one := range r.Services {
		tasks += min(one.Ready, one.Want)
		allTasks += one.Want
	}
	return services, tasks, allTasks
}
