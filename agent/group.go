package agent

import (
	"context"
	"errors"
	"slices"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/internal/fault"
)

// askGroup asks GitLab for the statuses of the last sync's group. It records when all
// nodes have succeeded, and notes a node that failed since this one began. If GitLab does
// not answer, the next look asks again.
func (s *stack) askGroup(ctx context.Context, seen *sighting) error {
	last := s.board.Snapshot().Last
	seen.observed.Group = &decision.Group{}
	standings, err := gates.AskStandings(ctx, s.parts.Statuses, s.node.Environment, last.Commit, last.Group.Nodes)
	if err != nil {
		s.board.Update(func(v *board.View) { v.Group = "cannot ask GitLab for the other nodes' statuses: " + err.Error() })
		return nil
	}
	group, lacks, failed := *last.Group, "", ""
	for _, one := range standings {
		past, known := group.Past[one.Node]
		if one.State == gitlab.Failed && failed == "" && (!known || !past.Equal(one.Finished)) {
			failed = one.Node
		}
		if one.State != gitlab.Success && lacks == "" {
			lacks = "not complete: " + one.Node + " says " + one.Says()
		}
	}
	s.board.Update(func(v *board.View) { v.Group = lacks })
	if lacks != "" {
		if failed != group.Failed { // otherwise it is noted already
			seen.observed.Group.Failed = failed
		}
		return nil
	}
	group.Complete, group.Failed = true, ""
	return s.saveGroup(last, &group)
}

// leaveGroup rolls back because a node of the group has failed, or says why it does not.
func (s *stack) leaveGroup(ctx context.Context, failed string, progress func(string)) rollout.Outcome {
	last := s.board.Snapshot().Last
	group := *last.Group
	group.Failed = failed
	text, hint := failed+" failed with this commit, which still runs here", "`agent rollback` rolls this node back, too"
	switch {
	case !group.Back:
	case group.Base == 0:
		text += ": no good state is recorded from before it"
	default:
		goal := rollout.Rollback{To: group.Base, Auto: true, Actor: audit.Agent(), Reason: failed + " failed with this commit", Group: &group}
		result := s.rollouts.Back(ctx, s.base(), goal, progress)
		if result.Err == nil || result.Sync != nil || ctx.Err() != nil || rollout.Transient(result.Err) {
			return result
		}
		text, hint = text+": "+result.Err.Error(), fault.Hint(result.Err)
	}
	sync := last.Copy()
	sync.Warnings = append(slices.Clone(last.Warnings), text+"; "+hint)
	s.log.Warn("a node of the group failed", "revision", record.Short(last.Commit), "node", failed, "reason", text)
	return rollout.Outcome{Sync: sync, Err: errors.Join(s.saveGroup(sync, &group), s.publish.Group(sync, text, hint))}
}

// saveGroup records the state of the group of a sync that is over.
func (s *stack) saveGroup(last *record.Sync, group *record.Group) error {
	sync := last.Copy()
	sync.Group = group
	return s.board.Save(sync)
}
