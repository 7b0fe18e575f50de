package agent

import (
	"time"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
)

// contested gives the contests of the drifted fields, and whether any contest goes on. It
// logs those that begin.
func (s *stack) contested(v board.View, drifted []deploy.Step) (contests []drift.Contest, goesOn bool, err error) {
	if !corrects(v.Deployed) {
		return nil, false, nil
	}
	contests, goesOn, err = s.contests.Contests(v.Last, drifted)
	for _, contest := range drift.Begun(drift.Held(contests, time.Now()), v.Contests) {
		s.log.Warn("another process changes back what the agent corrects", "service", contest.Service,
			"reason", report.ContestText(v.Stack(), contest), "again", contest.Again.UTC().Format(time.RFC3339))
	}
	return contests, goesOn, err
}

// correction gives what the correction of the present drift puts back, and which services it
// leaves as they are.
func (s *stack) correction() (made rollout.Correction) {
	v := s.board.Snapshot()
	made.Fields, made.Leaves = drift.PutBack(v.Drift, v.Contests)
	return made
}

// corrects reports whether the deployed config.yml wants drift to be corrected.
func corrects(deployed *record.GoodState) bool {
	return deployed != nil && deployed.Drift == string(manifests.DriftCorrect)
}
