// Package soak takes what the looks see of a stack's services after their rollout, and gives
// whether the release that is deployed stays healthy. What it finds is in the audit log and
// the state file before users see it.
package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
)

// publisher says how a release is after its rollout.
type publisher interface {
	Health(sync *record.Sync, now health.Verdict) error
	Contradicts(sync *record.Sync) (bool, error)
	Refused(sync *record.Sync) error
}

// records keep which good states stayed healthy.
type records interface {
	SaveFitness(sync *record.Sync, deployed *record.GoodState, change func(*record.GoodState) bool) error
	LatestSync(is func(*record.Sync) bool) (*record.Sync, error)
}

// Judge judges the deployed release of one stack. Only the loop uses it.
type Judge struct {
	Services *health.Watch
	Board    *board.Board
	Records  records
	Rollouts *rollout.Rollouts
	Publish  publisher
	Note     func(...audit.Entry) error // writes to the audit log
	Nudge    func()                     // has the loop look at once
	Log      *slog.Logger

	before  *record.Sync // the newest one that left a good state, where a later one has written nothing
	later   uint64       // the ID of that one
	unsaved bool         // what was published last may not be what that sync says
	checked bool         // whether the process before left it so
}

// Look judges the services that a look saw, and publishes changes of their health after a
// good rollout or a rollback. The sync that left them remembers what is published.
func (j *Judge) Look(ctx context.Context, name string, seen drift.Seen) error {
	now, err := j.Services.Look(ctx, name, seen.Services)
	if err != nil {
		return err
	}
	j.Board.Update(func(v *board.View) { v.Health = now })
	if err := j.judge(now, seen); err != nil {
		return err
	}
	last, err := j.verified()
	if last == nil || err != nil {
		return err
	}
	if err := j.recall(last); err != nil {
		return err
	}
	ofRelease := now.OfRelease() // what another process took is told as drift
	well := ofRelease.State == health.Healthy
	if well == (last.Degraded == "") && !j.unsaved || well && (!now.Certain || now.State != health.Healthy) {
		return nil
	}
	now = ofRelease
	sync := last.Copy()
	sync.Degraded = now.Names()
	j.Log.Warn("the health of the services changed", "stack", name, "revision", record.Short(sync.Commit), "state", string(now.State), "services", now.Text())
	j.unsaved = true
	if err := j.Publish.Health(sync, now); err != nil {
		return err // the next look tells it
	}
	if err := j.save(sync); err != nil {
		return err
	}
	j.unsaved = false
	return nil
}

// recall notes at the first look after a start that the process before told another outcome of the
// sync than it has recorded. A later sync of the same commit told its own.
func (j *Judge) recall(last *record.Sync) error {
	if j.checked {
		return nil
	}
	newest, err := j.Records.LatestSync(func(one *record.Sync) bool { return one.Commit == last.Commit })
	if err != nil {
		return fmt.Errorf("recall the last sync of a commit: %w", err)
	}
	if newest == nil || newest.ID == last.ID {
		if j.unsaved, err = j.Publish.Contradicts(last); err != nil {
			return err
		}
	}
	j.checked = true
	return nil
}

// verified gives the sync that left the services that run: the last one, or, while that has written
// nothing, the one before it that was verified. It is nil if unverified changes are deployed.
func (j *Judge) verified() (*record.Sync, error) {
	v := j.Board.Snapshot()
	switch {
	case v.Last.Verified():
		return v.Last, nil
	case v.Last == nil || v.Deployed == nil || v.Last.Dirty() != 0:
		return nil, nil //nolint:nilnil // there is none
	case v.Last.ID == j.later:
		return j.before, nil
	}
	found, err := j.Records.LatestSync((*record.Sync).Verified)
	if err != nil {
		return nil, fmt.Errorf("recall the sync whose services run: %w", err)
	}
	j.before, j.later = found, v.Last.ID
	return found, nil
}

// save records what was published of a sync.
func (j *Judge) save(sync *record.Sync) error {
	v := j.Board.Snapshot()
	if v.Last.ID == sync.ID {
		return j.Board.Save(sync)
	}
	if err := j.Records.SaveFitness(sync, v.Deployed, nil); err != nil {
		return fmt.Errorf("save sync: %w", err)
	}
	j.before = sync
	return nil
}

// judge marks the deployed good state if services that its rollout changed did not stay
// healthy in its soak time, and takes the mark back once they have been healthy for as long.
// Services that the rollout did not change do not count, nor do those that another process
// changed since, even if it undid that: they say nothing about the release.
func (j *Judge) judge(now health.Verdict, seen drift.Seen) error {
	good, err := j.excuse(seen)
	if err != nil {
		return err
	}
	v, at := j.Board.Snapshot(), time.Now()
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
		return j.remark(good.Recover(), audit.Succeeded, "healthy for "+good.Soak.For.String()+" again", unmark)
	}
	failed := slices.DeleteFunc(slices.Clone(now.Services), func(one health.Service) bool {
		return one.Taken != "" || !good.Watches(one.Name, at) || !one.Crashes && at.Sub(one.Since) < good.Soak.Patience
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
	if err := j.remark(good.Fail(why), audit.Failed, why, mark); err != nil {
		return err
	}
	if good.Soak.Automatic {
		j.Nudge()
	}
	return nil
}

// excuse takes the services that another process has changed out of the soak time of the
// deployed good state, and gives that state.
func (j *Judge) excuse(seen drift.Seen) (*record.GoodState, error) {
	good, at := j.Board.Snapshot().Deployed, time.Now()
	changed := slices.DeleteFunc(seen.Changed(), func(name string) bool { return !good.Watches(name, at) })
	if !good.Soaks(at) || len(changed) == 0 {
		return good, nil
	}
	good = good.Excuse(changed)
	if err := j.Records.SaveFitness(nil, good, nil); err != nil {
		return nil, fmt.Errorf("save good state: %w", err)
	}
	j.Board.Update(func(v *board.View) { v.Deployed = good })
	j.Log.Warn("another process changed services in their soak time, which no longer counts for them", "revision", record.Short(good.Commit), "services", changed)
	return good, nil
}

// servicesOf gives the service specs of a good state as they are recorded.
func servicesOf(good *record.GoodState) (specs map[string]json.RawMessage) {
	_ = json.Unmarshal(good.Services, &specs) // none match then
	return specs
}

// remark records whether the deployed state stayed healthy, in the audit log first. change
// says it of the recorded good states.
func (j *Judge) remark(good *record.GoodState, outcome audit.Outcome, why string, change func(*record.GoodState) bool) error {
	entry := journal.SyncEntry(j.Board.Snapshot().Last)
	entry.Actor, entry.Action, entry.Plan = audit.Agent(), audit.Soak, ""
	entry.Sync, entry.Revision, entry.Outcome, entry.Detail = good.SyncID, good.Commit, outcome, why
	if err := j.Note(entry); err != nil {
		return err
	}
	if err := j.Records.SaveFitness(nil, good, change); err != nil {
		return fmt.Errorf("save good state: %w", err)
	}
	j.Board.Update(func(v *board.View) { v.Deployed = good })
	j.Log.Warn("the good state was judged by its soak time", "revision", record.Short(good.Commit), "sync", good.SyncID, "outcome", string(outcome), "reason", why)
	return nil
}
