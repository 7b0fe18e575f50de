package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// regroup makes an inherited group follow the config.yml of this commit. A node that is
// no longer in a group does not roll back with others.
func (r *reconcile) regroup() {
	others := r.node.Config.Others(r.Settings.Node)
	if r.sync.Group == nil || len(others) == 0 {
		r.sync.Group = nil
		return
	}
	group := *r.sync.Group
	group.Nodes = others
	r.sync.Group = &group
}

// rollbackBase gives the good state that a failed node rolls back to: the newest one, or,
// as on the other nodes, the one from before a group that never became complete.
func (r *reconcile) rollbackBase(newest *record.GoodState) (*record.GoodState, error) {
	if r.sync.Group == nil || r.sync.Group.Complete {
		return newest, nil
	}
	base, err := r.stateOf(r.sync.Group.Base)
	if base == nil {
		base = newest
	}
	return base, err
}

// askGroup asks GitLab for the statuses of the last sync's group. It records when all
// nodes have succeeded, and notes a node that failed since this one began. If GitLab does
// not answer, the next look asks again.
func (a *Agent) askGroup(ctx context.Context, seen *sighting) error {
	last := a.snapshot().sync
	seen.observed.Group = &decision.Group{}
	stand, err := gates.AskStandings(ctx, a.Statuses, a.Settings.Environment, last.Commit, last.Group.Nodes)
	if err != nil {
		a.update(func(v *view) { v.group = "cannot ask GitLab for the other nodes' statuses: " + err.Error() })
		return nil
	}
	group, lacks, failed := *last.Group, "", ""
	for _, one := range stand {
		past, known := group.Past[one.Node]
		if one.State == gitlab.Failed && failed == "" && (!known || !past.Equal(one.Finished)) {
			failed = one.Node
		}
		if one.State != gitlab.Success && lacks == "" {
			lacks = "not complete: " + one.Node + " says " + one.Says()
		}
	}
	a.update(func(v *view) { v.group = lacks })
	if lacks != "" {
		if failed != group.Failed { // otherwise it is noted already
			seen.observed.Group.Failed = failed
		}
		return nil
	}
	group.Complete, group.Failed = true, ""
	return a.saveGroup(last, &group)
}

// leaveGroup rolls back because a node of the group has failed, or says why it does not.
func (a *Agent) leaveGroup(ctx context.Context, failed string, progress func(string)) outcome {
	last := a.snapshot().sync
	group := *last.Group
	group.Failed = failed
	text, hint := failed+" failed with this commit, which still runs here", "`agent rollback` rolls this node back, too"
	switch {
	case !group.Back:
	case group.Base == 0:
		text += ": no good state is recorded from before it"
	default:
		result := a.rollBack(ctx, rollbackGoal{to: group.Base, auto: true, actor: audit.Agent(), reason: failed + " failed with this commit", group: &group}, progress)
		if result.err == nil || result.sync != nil || ctx.Err() != nil || transient(result.err) {
			return result
		}
		text, hint = text+": "+result.err.Error(), fault.Hint(result.err)
	}
	sync := last.Copy()
	sync.Warnings = append(slices.Clone(last.Warnings), text+"; "+hint)
	a.Log.Warn("a node of the group failed", "revision", short(last.Commit), "node", failed, "reason", text)
	return outcome{sync: sync, err: errors.Join(a.saveGroup(sync, &group), a.announceGroup(sync, text, hint))}
}

// saveGroup records the state of the group of a sync that is over.
func (a *Agent) saveGroup(last *record.Sync, group *record.Group) error {
	sync := last.Copy()
	sync.Group = group
	if err := a.records.SaveSync(sync); err != nil {
		return fmt.Errorf("save sync: %w", err)
	}
	a.update(func(v *view) { v.sync = sync })
	return nil
}
