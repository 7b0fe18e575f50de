package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/internal/fault"
)

// judgeSoak marks the deployed good state if services that its rollout changed did not stay
// healthy in its soak time, and takes the mark back once they have been healthy for as long.
// Services that the rollout did not change do not count, nor do those that another process
// changed since, even if it undid that: they say nothing about the release.
func (s *stack) judgeSoak(now health.Verdict, seen drift.Seen) error {
	good, err := s.excuse(seen)
	if err != nil {
		return err
	}
	v, at := s.board.Snapshot(), time.Now()
	if good == nil || good.Soak == nil || v.Last.Dirty() != 0 {
		return nil
	}
	if good.Soak.Failed != "" {
		if now.State != health.Healthy || !now.Certain || at.Sub(now.Since) < good.Soak.For {
			return nil
		}
		unmark := func(one *record.GoodState) bool {
			marked := one.Unfit == good.Soak.Failed
			if marked {
				one.Unfit = ""
			}
			return marked
		}
		return s.remark(good.Recover(), audit.Succeeded, "healthy for "+good.Soak.For.String()+" again", unmark)
	}
	failed := slices.DeleteFunc(slices.Clone(now.Services), func(one health.Service) bool {
		return !good.Watches(one.Name, at) || !one.Crashes && at.Sub(one.Since) < good.Soak.Patience
	})
	if len(failed) == 0 {
		return nil
	}
	why, own := "it did not stay healthy: "+health.Verdict{Services: failed}.List(), servicesOf(good)
	mark := func(one *record.GoodState) bool {
		theirs := servicesOf(one)
		has := one.Unfit == "" && slices.ContainsFunc(failed, func(f health.Service) bool { return bytes.Equal(own[f.Name], theirs[f.Name]) })
		if has {
			one.Unfit = why
		}
		return has
	}
	if err := s.remark(good.Fail(why), audit.Failed, why, mark); err != nil {
		return err
	}
	if good.Soak.Automatic {
		s.nudge()
	}
	return nil
}

// excuse takes the services that another process has changed out of the soak time of the
// deployed good state, and gives that state.
func (s *stack) excuse(seen drift.Seen) (*record.GoodState, error) {
	good, at := s.board.Snapshot().Deployed, time.Now()
	changed := slices.DeleteFunc(seen.Changed(), func(name string) bool { return !good.Watches(name, at) })
	if !good.Soaks(at) || len(changed) == 0 {
		return good, nil
	}
	good = good.Excuse(changed)
	if err := s.records.SaveFitness(nil, good, func(*record.GoodState) bool { return false }); err != nil {
		return nil, fmt.Errorf("save good state: %w", err)
	}
	s.board.Update(func(v *board.View) { v.Deployed = good })
	s.log.Warn("another process changed services in their soak time, which no longer counts for them", "revision", record.Short(good.Commit), "services", changed)
	return good, nil
}

// servicesOf gives the service specs of a good state as they are recorded.
func servicesOf(good *record.GoodState) (specs map[string]json.RawMessage) {
	_ = json.Unmarshal(good.Services, &specs) // none match then
	return specs
}

// remark records whether the deployed state stayed healthy, in the audit log first. change
// says it of the recorded good states.
func (s *stack) remark(good *record.GoodState, outcome audit.Outcome, why string, change func(*record.GoodState) bool) error {
	entry := journal.SyncEntry(s.board.Snapshot().Last)
	entry.Actor, entry.Action, entry.Plan = audit.Agent(), audit.Soak, ""
	entry.Sync, entry.Revision, entry.Outcome, entry.Detail = good.SyncID, good.Commit, outcome, why
	if err := s.note(entry); err != nil {
		return err
	}
	if err := s.records.SaveFitness(nil, good, change); err != nil {
		return fmt.Errorf("save good state: %w", err)
	}
	s.board.Update(func(v *board.View) { v.Deployed = good })
	s.log.Warn("the good state was judged by its soak time", "revision", record.Short(good.Commit), "sync", good.SyncID, "outcome", string(outcome), "reason", why)
	return nil
}

// leaves reports whether the deployed release is to be rolled back: it did not stay healthy
// for its soak time and still is not, config.yml wants that, and no other commit began. After
// a refusal a user decides.
func leaves(v board.View) bool {
	if v.Deployed == nil || v.Deployed.Soak == nil || v.Last == nil || v.Last.State != record.Succeeded {
		return false
	}
	soak := v.Deployed.Soak
	still := func(one health.Service) bool { return slices.Contains(soak.Services, one.Name) }
	return soak.Failed != "" && soak.Automatic && !soak.Refused && slices.ContainsFunc(v.Health.Services, still)
}

// leaveRelease rolls the deployed release back, or records why that is refused.
func (s *stack) leaveRelease(ctx context.Context, progress func(string)) rollout.Outcome {
	base := s.base()
	good := *base.Deployed
	goal := rollout.Rollback{Auto: true, Actor: audit.Agent(), Reason: strings.Replace(good.Soak.Failed, "it did", record.Short(good.Commit)+" did", 1), Group: base.Last.Group}
	if group := goal.Group; group != nil && !group.Complete {
		goal.To = group.Base
	}
	result := s.rollouts.Back(ctx, base, goal, progress)
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
	err := errors.Join(s.note(entry), s.publish.Refused(sync))
	if err == nil {
		err = s.records.SaveFitness(sync, &good, func(*record.GoodState) bool { return false })
	}
	if err != nil {
		return rollout.Outcome{Err: err}
	}
	s.board.Update(func(v *board.View) { v.Last, v.Deployed = sync, &good })
	s.metrics.RolledBack(sync)
	s.log.Error("cannot roll back", "revision", record.Short(sync.Commit), "error", sync.Rollback.Refused, "hint", sync.Rollback.Hint)
	return rollout.Outcome{Sync: sync}
}
