package agent

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// surveyEvery is how often an agent that has nothing to do looks at all versions
// of its secrets and configs. It does so after each sync as well.
const surveyEvery = time.Hour

// surveyor looks at the versions of one stack's secrets and configs, and removes old ones.
type surveyor struct {
	board   *board
	sources inventory.Sources
	audit   noter
	metrics *metrics.Metrics
	log     *slog.Logger
	last    time.Time // when all versions were looked at; the loop's own
}

// look gives all versions. It changes nothing.
func (s *surveyor) look(ctx context.Context) (*inventory.Survey, error) {
	survey, err := inventory.Look(ctx, s.sources, time.Now())
	if err == nil && survey.Uncertain == "" {
		survey.Uncertain = s.board.snapshot().uncertain()
	}
	return survey, err
}

// whenDue makes the survey of an idle look.
func (s *surveyor) whenDue(ctx context.Context) {
	if s.board.snapshot().deployed != nil && time.Since(s.last) >= surveyEvery {
		s.now(ctx)
	}
}

// now looks at all versions and removes those that may go. A failure is not a failure of the
// look: it is logged, and the survey is tried again when it is next due.
func (s *surveyor) now(ctx context.Context) {
	if _, err := s.collect(ctx, audit.Agent()); err != nil && ctx.Err() == nil {
		s.log.Warn("cannot list or remove old versions of secrets and configs", "error", err.Error(), "hint", fault.Hint(err))
	}
}

// collect looks at all versions, and removes those that may go unless the state is
// uncertain. Only the loop calls it, after it has looked at the services.
func (s *surveyor) collect(ctx context.Context, actor audit.Actor) (*inventory.Survey, error) {
	s.last = time.Now()
	survey, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	if survey.Uncertain == "" {
		err = survey.Collect(ctx, func(event deploy.Event) error { return s.note(event, actor) })
		for _, version := range survey.Removed {
			s.log.Info("removed an old version", "stack", survey.Stack, "kind", string(version.Kind), "name", version.Name, "created", version.Created)
		}
	}
	s.metrics.Surveyed(survey)
	s.board.update(func(v *view) { v.rotations = survey.Rotations() })
	return survey, err
}

// note records a removal in the audit log before it is made, and its result.
func (s *surveyor) note(event deploy.Event, actor audit.Actor) error {
	entry := audit.Entry{
		Actor: actor, Action: audit.Remove, Kind: audit.Kind(event.Step.Kind), Name: event.Step.Name,
		Outcome: audit.Started, Detail: "an old version that nothing uses",
	}
	switch {
	case event.Err != nil:
		entry.Outcome, entry.Error = audit.Failed, event.Err.Error()
	case event.Done:
		entry.Outcome = audit.Succeeded
	}
	return s.audit.note(entry)
}

// collectFor removes the versions that may go, for a user. It looks at the services first,
// as each look does.
func (s *stack) collectFor(ctx context.Context, actor audit.Actor) (*inventory.Survey, error) {
	if err := s.board.snapshot().lookError; err != nil {
		return nil, fault.WithHint(fmt.Errorf("nothing was removed: the last look failed: %w", err), fault.Hint(err))
	}
	if _, err := s.observe(ctx); err != nil {
		return nil, err
	}
	survey, err := s.survey.collect(ctx, actor)
	if err == nil && survey.Uncertain != "" {
		err = fault.New(fault.Place{}, "see `agent status`", "nothing was removed: %s", survey.Uncertain)
	}
	return survey, err
}

func stepNames(steps []deploy.Step) []string {
	names := make([]string, 0, len(steps))
	for _, step := range steps {
		names = append(names, step.Name)
	}
	return names
}

func listSteps(steps []deploy.Step) string { return strings.Join(stepNames(steps), ", ") }
