package rollout

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// shared is the event by which a commit that changes nothing shares the outcome of the
// one before it.
var shared = map[record.State]record.Event{
	record.Succeeded: record.ShareSuccess, record.Failed: record.ShareFailure, record.RolledBack: record.ShareRollback,
}

// Share records a commit that changes nothing here: it shares the outcome of the last sync.
func (r *Rollouts) Share(last *record.Sync, revision gitsync.Revision, signer string) Outcome {
	sync, err := NewSync(revision, record.OnCommit, shared[last.State], time.Now())
	if err != nil {
		return Outcome{Err: err}
	}
	sync.Signer, sync.Stack, sync.Release, sync.Inputs = signer, last.Stack, last.Release, maps.Clone(last.Inputs)
	sync.Summary = "unchanged: the commit changes nothing that this node reads"
	if last.State != record.Succeeded {
		sync.Stage, sync.Hint, sync.Error, sync.Code = last.Stage, last.Hint, last.Error, last.Code
		if !last.Unchanged && last.Error != "" {
			sync.Error = fmt.Sprintf("unchanged since %s, which failed here: %s", record.Short(last.Commit), last.Error)
		}
	}
	sync.Degraded, sync.Vault = last.Degraded, last.Vault
	sync.Rollback, sync.Group, sync.DirtySince = last.Rollback.Shared(last.State), last.NextGroup(sync.Commit), last.Dirty()
	if err := r.use.end(sync); err != nil {
		return Outcome{Err: err}
	}
	r.use.Log.Info("commit does not concern this node", "revision", record.Short(sync.Commit))
	return Outcome{Sync: sync, Over: true}
}

// end publishes a sync that is over, and records it then: what is recorded is not published again.
func (p *Parts) end(sync *record.Sync) error {
	if err := p.Publish.Sync(sync); err != nil {
		return err
	}
	return p.Ledger.End(sync, nil)
}

// errRewritten refuses a branch whose history was rewritten.
var errRewritten = fault.WithCode(errors.New("the branch's history was rewritten: the new commit does not descend from the one that was synced last"), fault.CodeBranch)

// RefuseRewritten reports a branch whose history was rewritten, and does not follow it.
func (r *Rollouts) RefuseRewritten(revision gitsync.Revision) error {
	now := time.Now()
	refused, err := NewSync(revision, record.OnCommit, record.Begin, now)
	if err == nil {
		err = refused.Apply(record.Fail, now)
	}
	if err != nil {
		return err
	}
	refused.Stage, refused.Error, refused.Code = record.StageSelect, errRewritten.Error(), fault.CodeBranch
	refused.Hint = "restore the branch, or set allow_rewrite and restart the agent"
	return errors.Join(fault.WithHint(errRewritten, refused.Hint), r.use.Publish.Sync(refused))
}

// RefusePinned refuses to roll out a commit that a user rolled back from.
func RefusePinned(last *record.Sync) error {
	at := report.PinnedAt(last)
	return fault.New(fault.Place{}, "`agent resume` follows "+last.Ref+" again", "%s is not rolled out: pinned at %s since %s by %s",
		record.Short(last.Commit), report.Target(last.Rollback), at.Since.Local().Format(time.DateTime), at.By)
}
