package soak

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/explain"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/internal/fault"
)

// Leaves reports whether the deployed release is to be rolled back: it did not stay healthy
// for its soak time and still is not, config.yml wants that, and no other commit began. After
// a refusal a user decides.
func Leaves(v board.View) bool {
	if v.Deployed == nil || v.Deployed.Soak == nil || v.Last == nil || v.Last.State != record.Succeeded {
		return false
	}
	soak := v.Deployed.Soak
	still := func(one health.Service) bool { return slices.Contains(soak.Services, one.Name) }
	return soak.Failed != "" && soak.Automatic && !soak.Refused && slices.ContainsFunc(v.Health.OfRelease().Services, still)
}

// Leave rolls the deployed release back, or records why that is refused.
func (j *Judge) Leave(ctx context.Context, progress func(string)) rollout.Outcome {
	base := j.Board.Snapshot().Base()
	good := *base.Deployed
	goal := rollout.Rollback{Auto: true, Actor: audit.Agent(), Reason: strings.Replace(good.Soak.Failed, "it did", record.Short(good.Commit)+" did", 1), Group: base.Last.Group}
	if group := goal.Group; group != nil && !group.Complete {
		goal.To = group.Base
	}
	result := j.Rollouts.Back(ctx, base, goal, progress)
	if result.Err == nil || result.Sync != nil || ctx.Err() != nil || rollout.Transient(result.Err) {
		return result
	}
	now := time.Now()
	sync, soak := base.Last.Copy(), *good.Soak
	sync.Rollback = &record.Rollback{Auto: true, By: goal.Actor, Reason: goal.Reason, Started: now, Finished: now}
	if to := result.To; to != nil {
		sync.Rollback.To, sync.Rollback.Commit, sync.Rollback.Release = to.SyncID, to.Commit, to.Release
	}
	sync.Rollback.Refused, sync.Rollback.Hint = result.Err.Error(), fault.Hint(result.Err)
	soak.Refused, good.Soak = true, &soak
	entry := journal.SyncEntry(sync)
	entry.Actor, entry.Action, entry.Outcome, entry.Detail, entry.Error = goal.Actor, audit.Rollback, audit.Failed, "refused: "+goal.Reason, result.Err.Error()
	err := errors.Join(j.Note(entry), j.Publish.Refused(sync))
	if err == nil {
		err = j.Records.SaveFitness(sync, &good, nil)
	}
	if err != nil {
		return rollout.Outcome{Err: err}
	}
	j.Board.Update(func(v *board.View) { v.Last, v.Deployed = sync, &good })
	j.Log.Error("cannot roll back", "revision", record.Short(sync.Commit), "error", result.Err, "hint", sync.Rollback.Hint,
		"code", explain.Code(result.Err, record.StageRollback))
	return rollout.Outcome{Sync: sync}
}
