package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"coin.internal/coin-agent/agent/reload"
	"coin.internal/coin-agent/internal/sdnotify"
	"coin.internal/coin-agent/policy"
)

// HealthHandler answers /metrics, /healthz and /readyz.
func (a *Agent) HealthHandler() http.Handler {
	mux := a.pulse.Probes(a.ready)
	mux.Handle("GET /metrics", a.parts.Metrics.Handler())
	return mux
}

// ready says which of the remote and the engine did not answer at the last look, or for how
// long there was none.
func (a *Agent) ready() error {
	for _, s := range a.roster.Stacks() {
		v := s.board.Snapshot()
		if v.LookError != nil {
			return v.LookError
		}
		if unknown := s.sight.Unknown(v, time.Now()); unknown != nil && !unknown.Working {
			return fmt.Errorf("the state of the services is unknown since %s: %s", unknown.Since.UTC().Format(time.RFC3339), unknown.Why)
		}
		if v.Desired == nil {
			return errors.New("the remote has not answered yet")
		}
	}
	return nil
}

// Supervise tells systemd when the first look has ended or has begun a rollout, and that the
// loop makes progress, until ctx ends.
func (a *Agent) Supervise(ctx context.Context, by sdnotify.Service) {
	a.pulse.Supervise(ctx, by, a.parts.Log)
}

// Relist has the open merge requests listed, although no branch has moved.
func (a *Agent) Relist() {
	for _, s := range a.roster.Stacks() {
		s.plans.Relist()
	}
}

// ReloadPolicy takes the policy in force that was read again because of SIGHUP, or keeps the
// one before if reading it failed. It gives why the policy was not taken.
func (a *Agent) ReloadPolicy(read *policy.Policy, failed error) error {
	err := reload.Policy(a.parts.Policy, a.parts.notes(""), read, failed)
	if err == nil {
		a.parts.Notices.Forget()
	}
	return err
}

// NoteTokens notes in the audit log which tokens of the API are accepted since SIGHUP, and why
// others are not.
func (a *Agent) NoteTokens(accepted []string, failed error) error {
	return reload.Tokens(a.parts.notes(""), accepted, failed)
}
