package agent_test

import (
	"fmt"
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
	if n := len(w.reported); n == 0 || w.reported[n-1] != report {
		w.reported = append(w.reported, report)
	}
	return nil
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
