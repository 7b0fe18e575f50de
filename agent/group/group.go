// Package group takes the statuses of the other nodes of a blue-green rollout, and gives
// whether all of them have succeeded. It rolls this node back when one has failed, and
// guarantees that a failure is told once.
package group

import (
	"context"
	"log/slog"
	"slices"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/internal/fault"
)

// publisher says that a node of the group has failed.
type publisher interface {
	Group(sync *record.Sync, text, hint string) error
}

// Watch follows the group of a stack's last sync.
type Watch struct {
	Environment string
	Statuses    gates.Statuses // nil: other nodes are not asked for
	Board       *board.Board
	Rollouts    *rollout.Rollouts
	Publish     publisher
	Log         *slog.Logger
}

// Ask asks GitLab for the statuses of the last sync's group. It records when all
// nodes have succeeded, and gives a node that failed since this one began. If GitLab does
// not answer, the next look asks again.
func (w *Watch) Ask(ctx context.Context) (newlyFailed string, err error) {
	last := w.Board.Snapshot().Last
	standings, err := gates.AskStandings(ctx, w.Statuses, w.Environment, last.Commit, last.Group.Nodes)
	if err != nil {
		w.Board.Update(func(v *board.View) { v.Group = "cannot ask GitLab for the other nodes' statuses: " + err.Error() })
		return "", nil
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
	w.Board.Update(func(v *board.View) { v.Group = lacks })
	if lacks != "" {
		if failed != group.Failed { // otherwise it is noted already
			newlyFailed = failed
		}
		return newlyFailed, nil
	}
	group.Complete, group.Failed = true, ""
	return "", w.save(last, &group)
}

// Leave rolls back because a node of the group has failed, or says why it does not.
func (w *Watch) Leave(ctx context.Context, failed string, progress func(string)) rollout.Outcome {
	last := w.Board.Snapshot().Last
	group := *last.Group
	group.Failed = failed
	text, hint := failed+" failed with this commit, which still runs here", "`agent rollback` rolls this node back, too"
	switch {
	case !group.Back:
	case group.Base == 0:
		text += ": no good state is recorded from before it"
	default:
		goal := rollout.Rollback{To: group.Base, Auto: true, Actor: audit.Agent(), Reason: failed + " failed with this commit", Group: &group}
		result := w.Rollouts.Back(ctx, w.Board.Snapshot().Base(), goal, progress)
		if result.Err == nil || result.Sync != nil || ctx.Err() != nil || rollout.Transient(result.Err) {
			return result
		}
		text, hint = text+": "+result.Err.Error(), fault.Hint(result.Err)
	}
	sync := last.Copy()
	sync.Warnings = append(slices.Clone(last.Warnings), text+"; "+hint)
	w.Log.Warn("a node of the group failed", "revision", record.Short(last.Commit), "node", failed, "reason", text)
	err := w.Publish.Group(sync, text, hint)
	if err == nil { // else the next look tells it
		err = w.save(sync, &group)
	}
	return rollout.Outcome{Sync: sync, Err: err}
}

// save records the state of the group of a sync that is over.
func (w *Watch) save(last *record.Sync, group *record.Group) error {
	sync := last.Copy()
	sync.Group = group
	return w.Board.Save(sync)
}
