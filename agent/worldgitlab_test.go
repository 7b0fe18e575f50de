package agent_test

import (
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/gitlab"
)

// states lists what GitLab was told of a commit.
func (w *world) states(commit string) (states []gitlab.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, report := range w.reported {
		if report.Commit == commit {
			states = append(states, report.State)
			w.description = report.Description
		}
	}
	return states
}

// Enqueue takes reports as the outbox does: each news once.
func (w *world) Enqueue(report gitlab.Report) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instantly()
	for _, last := range slices.Backward(w.reported) {
		if last.Commit != report.Commit || last.Name != report.Name {
			continue
		}
		if unfinished := report.State == gitlab.Pending || report.State == gitlab.Running; last.State == report.State && (unfinished || last == report) {
			return nil
		}
		break
	}
	w.reported = append(w.reported, report)
	return nil
}

// Last gives the state of the last report of a name on a commit.
func (w *world) Last(of gitlab.Report) (state gitlab.State, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.reported {
		if one.Commit == of.Commit && one.Name == of.Name {
			state = one.State
		}
	}
	return state, nil
}

// Deploy takes deployments as the outbox does: each news once.
func (w *world) Deploy(step gitlab.Deployment) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instantly()
	text := fmt.Sprintf("%s %s", step.Commit, step.State)
	last := ""
	for _, one := range w.deployments {
		if strings.HasPrefix(one, step.Commit) {
			last = one
		}
	}
	if last != text && (step.State != gitlab.Canceled || strings.HasSuffix(last, " running")) {
		w.deployments = append(w.deployments, text)
	}
	return nil
}

// instantly tells of a moment at which a test may look, or keep what there is.
func (w *world) instantly() {
	if w.moment != nil {
		w.moment()
	}
}

// Health says that all is well.
func (w *world) Health() gitlab.Health { return gitlab.Health{} }
