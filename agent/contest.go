package agent

import (
	"fmt"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
)

// contests gives the contests of the drifted fields, and whether any contest goes on. It reads
// the syncs once after each of them.
func (s *stack) contests(v board.View, drifted []deploy.Step) (contests []drift.Contest, goesOn bool, err error) {
	if !corrects(v.Deployed) {
		return nil, false, nil
	}
	if s.corrected.last != v.Last {
		syncs, err := s.records.SyncsUntil(drift.Enough(time.Now()))
		if err != nil {
			return nil, false, fmt.Errorf("recall corrections: %w", err)
		}
		s.corrected.last, s.corrected.syncs = v.Last, syncs
	}
	all := drift.Contests(s.corrected.syncs, time.Now())
	contests = drift.Of(all, drifted)
	for _, contest := range drift.Held(contests, time.Now()) {
		before := func(c drift.Contest) bool { return c.Service == contest.Service && c.Field == contest.Field }
		if !slices.ContainsFunc(v.Contests, before) {
			s.log.Warn("another process changes back what the agent corrects", "service", contest.Service,
				"reason", report.ContestText(v.Stack(), contest), "again", contest.Again.UTC().Format(time.RFC3339))
		}
	}
	return contests, len(all) > 0, nil
}

// correction gives what the correction of the present drift puts back, and which services it
// leaves as they are.
func (s *stack) correction() rollout.Correction {
	v := s.board.Snapshot()
	correction := rollout.Correction{Leaves: drift.Contested(v.Contests)}
	for _, step := range v.Drift {
		if !slices.Contains(correction.Leaves, step.Name) {
			correction.Fields = append(correction.Fields, drift.Fields(step)...)
		}
	}
	return correction
}

// corrects reports whether the deployed config.yml wants drift to be corrected.
func corrects(deployed *record.GoodState) bool {
	return deployed != nil && deployed.Drift == string(manifests.DriftCorrect)
}
