package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/decision"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/agent/soak"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// look observes, decides and acts, until nothing is left to do before the next look.
func (s *stack) look(ctx context.Context, why rollout.Cause, progress func(string)) rollout.Outcome {
	if why.Trigger == record.OnRequest {
		s.readings.Forgive()
	}
	seen := &sighting{observed: decision.Observed{Trigger: why.Trigger}, to: why.To}
	release := func() {}
	defer func() { release() }()
	for {
		known, err := s.known()
		if err != nil {
			return rollout.Outcome{Err: err}
		}
		action := decision.Next(known, seen.observed, decision.Policy{AllowRewrite: s.parts.Settings.AllowRewrite, Group: s.parts.Statuses != nil})
		if works(action) { // a rollout comes before the plans of merge requests
			release()
			release = s.plans.Hold()
			s.live.End()
		}
		if ask := s.observation(action); ask != nil {
			if err := ask(ctx, seen); err != nil {
				if rollout.Unreadable(err) {
					refused := rollout.Commit{Checkout: &gitsync.Checkout{Revision: seen.revision}, Cause: seen.cause(why), Progress: progress}
					return s.after(ctx, s.rollouts.Refuse(ctx, s.board.Snapshot().Base(), refused, record.StageFetch, err), seen)
				}
				return rollout.Outcome{Sync: seen.sync, Err: err}
			}
			continue
		}
		return s.after(ctx, s.act(ctx, action, seen, why, progress), seen)
	}
}

// sighting is what a look has observed, for the decision and for the action after it.
type sighting struct {
	observed decision.Observed
	revision gitsync.Revision
	checkout *gitsync.Checkout
	fetching time.Duration // of the checkout
	signer   string        // of the revision
	refused  error         // why the revision is not read; nil if it may be
	sync     *record.Sync  // the last one, once the services were read
	to       string        // the tag that a user asked for; "" for the one that is followed
	over     string        // the tag that is followed in place of it
}

// known gives what is recorded of the stack.
func (s *stack) known() (decision.Record, error) {
	v := s.board.Snapshot()
	frozen, err := frozen(v.Deployed, s.node.Node)
	if floor := s.parts.Policy.Policy().Gates(); floor != nil && !frozen {
		_, frozen = floor.Frozen(s.node.Node, time.Now())
	}
	return decision.Record{
		Last: v.Last, Deployed: v.Deployed, Observes: s.parts.Settings.Observes(), Paused: v.Paused() != nil || s.parts.Settings.Observes(), Frozen: frozen,
		Degraded: soak.Leaves(v), Corrects: corrects(v.Deployed), Rules: rollout.RulesOf(s.parts.Policy.Policy(), s.parts.Settings.Limits),
	}, err
}

// frozen reports whether a freeze of the deployed config.yml applies now. A drift is not
// corrected during a freeze, nor during one of the node's floor.
func frozen(deployed *record.GoodState, node string) (bool, error) {
	if deployed == nil || len(deployed.Freezes) == 0 {
		return false, nil
	}
	var freezes []manifests.Freeze
	if err := json.Unmarshal(deployed.Freezes, &freezes); err != nil {
		return false, fmt.Errorf("recall the freezes: %w", err)
	}
	_, frozen := manifests.FrozenBy(freezes, node, time.Now())
	return frozen, nil
}

// observation gives the function that makes an observation; nil if the action is not an
// observation.
func (s *stack) observation(action decision.Action) func(context.Context, *sighting) error {
	switch action {
	case decision.AskRemote:
		return s.askRemote
	case decision.AskGroup:
		return s.askGroup
	case decision.AskLineage:
		return s.askLineage
	case decision.AskFiles:
		return s.askFiles
	case decision.AskDrift:
		return s.askDrift
	case decision.Wait, decision.Unreachable, decision.CarryBack, decision.LeaveGroup, decision.LeaveRelease, decision.RefusePinned,
		decision.RefuseRewrite, decision.RefuseSigner, decision.Share, decision.Sync, decision.CorrectSync, decision.CorrectBack:
	}
	return nil
}

// act carries out an action.
func (s *stack) act(ctx context.Context, action decision.Action, seen *sighting, why rollout.Cause, progress func(string)) rollout.Outcome {
	base := s.board.Snapshot().Base()
	switch action {
	case decision.Unreachable:
		return rollout.Outcome{Err: fmt.Errorf("look at the remote: %w", seen.observed.Remote.Err)}
	case decision.CarryBack:
		return s.rollouts.CarryOnBack(ctx, base, progress)
	case decision.LeaveGroup:
		return s.group.Leave(ctx, seen.observed.Group.Failed, progress)
	case decision.LeaveRelease:
		return s.soak.Leave(ctx, progress)
	case decision.RefusePinned:
		return rollout.Outcome{Err: errPinned(base.Last)}
	case decision.RefuseRewrite:
		return rollout.Outcome{Err: s.refuseRewritten(seen.revision)}
	case decision.RefuseSigner:
		to := rollout.Commit{Checkout: &gitsync.Checkout{Revision: seen.revision}, Cause: seen.cause(why), Progress: progress}
		return s.rollouts.Refuse(ctx, base, to, record.StageSigners, seen.refused)
	case decision.Share:
		return s.share(base.Last, seen.checkout, seen.signer)
	case decision.Sync:
		return s.forward(ctx, seen, why, progress)
	case decision.CorrectSync:
		err := s.askFiles(ctx, seen)
		switch {
		case errors.Is(err, gitsync.ErrNotFound): // the tag was removed
		case err != nil:
			return rollout.Outcome{Sync: base.Last, Err: err}
		case seen.refused == nil:
			return s.forward(ctx, seen, rollout.Cause{Trigger: record.OnDrift, Correction: s.correction()}, progress)
		}
		fallthrough // the deployed state was recorded, and needs neither the tag nor a signature
	case decision.CorrectBack:
		return s.rollouts.Back(ctx, base, rollout.Rollback{State: base.Deployed, Actor: audit.Agent(), Auto: true, Drift: true, Correction: s.correction()}, progress)
	case decision.Wait, decision.AskRemote, decision.AskGroup, decision.AskLineage, decision.AskFiles, decision.AskDrift:
	}
	return rollout.Outcome{Sync: base.Last}
}

// forward rolls out the fetched commit.
func (s *stack) forward(ctx context.Context, seen *sighting, why rollout.Cause, progress func(string)) rollout.Outcome {
	to := rollout.Commit{Checkout: seen.checkout, Fetching: seen.fetching, Signer: seen.signer, Cause: seen.cause(why), Progress: progress}
	return s.rollouts.Forward(ctx, s.board.Snapshot().Base(), to)
}

// cause adds the tag that a user asked for. It is on record also if the tag is refused, so that
// the node does not follow the tag that the user left.
func (seen *sighting) cause(why rollout.Cause) rollout.Cause {
	if seen.to != "" && why.Trigger == record.OnRequest {
		why.Chosen = &record.Chosen{Actor: why.Actor, At: time.Now().UTC(), Over: seen.over}
	}
	return why
}

// after looks at the services, unless the look has read them and changed nothing since: their
// state is known after each look, also while a sync waits or the remote is away. After a sync
// that is verified it looks at the versions of secrets and configs, too. seen is nil if a user
// asked for the action.
func (s *stack) after(ctx context.Context, done rollout.Outcome, seen *sighting) rollout.Outcome {
	verified := done.Over && done.Sync.Verified() && !done.Sync.Unchanged
	switch {
	case verified:
		s.watch.Deployed(s.board.Snapshot().Deployed.At)
		s.health.Deployed(s.board.Snapshot().Deployed.At)
	case done.Over:
	case seen == nil, seen.observed.Drift != nil, ctx.Err() != nil,
		errors.Is(done.Err, rollout.ErrSuperseded), errors.Is(done.Err, deploy.ErrUnavailable):
		return done
	}
	_, err := s.observe(ctx)
	if done.Err == nil {
		done.Err = err
	}
	if err == nil && verified {
		s.keeper.Now(ctx)
	}
	return done
}

// askRemote asks which revision is selected.
func (s *stack) askRemote(ctx context.Context, seen *sighting) error {
	revision, err := s.chosen(ctx, seen)
	if err == nil {
		s.board.Update(func(v *board.View) { v.Desired = selected(v.Desired, v.Last, revision) })
	}
	seen.revision = revision
	seen.observed.Remote = &decision.Remote{Err: err, Commit: revision.Commit, Ref: revision.Ref, Tag: revision.Tag}
	return nil
}

// selected gives the selected revision, with its author and subject if it was fetched
// before: only a fetch reads those.
func selected(desired *gitsync.Revision, last *record.Sync, revision gitsync.Revision) *gitsync.Revision {
	if desired != nil && desired.Commit == revision.Commit && desired.Ref == revision.Ref {
		return desired
	}
	if last != nil && last.Commit == revision.Commit {
		revision.Author, revision.Subject = last.Author, last.Subject
	}
	return &revision
}

// askGroup asks for the statuses of the other nodes of the last sync's group.
func (s *stack) askGroup(ctx context.Context, seen *sighting) error {
	failed, err := s.group.Ask(ctx)
	seen.observed.Group = &decision.Group{Failed: failed}
	return err
}

// askLineage asks how the selected commit relates to the last one.
func (s *stack) askLineage(ctx context.Context, seen *sighting) error {
	last, lineage := s.board.Snapshot().Last, decision.Follows
	descends, err := s.parts.Source.Descends(ctx, last.Commit, seen.revision.Commit)
	if err == nil && !descends {
		lineage = decision.Diverged
		if descends, err = s.parts.Source.Descends(ctx, seen.revision.Commit, last.Commit); descends {
			lineage = decision.Behind
		}
	}
	if err != nil {
		return fmt.Errorf("look at the history of %s: %w", seen.revision.Ref, err)
	}
	if lineage == decision.Behind {
		s.log.Info("the remote selects an older commit than the last one", "revision", record.Short(seen.revision.Commit), "last", record.Short(last.Commit))
	}
	seen.observed.Lineage = &lineage
	return nil
}

// askFiles fetches the selected commit.
func (s *stack) askFiles(ctx context.Context, seen *sighting) error {
	started, last := time.Now(), s.board.Snapshot().Last
	checkout, signer, err := s.remote.Fetch(ctx, seen.revision, last != nil && last.State == record.Waiting)
	if last.CarriesOn() && last.Commit == seen.revision.Commit && errors.Is(err, gitsync.ErrMoved) {
		err = signing.RefuseUnproven(seen.revision)
	}
	if errors.As(err, new(*signing.Refused)) {
		seen.refused, seen.observed.Files = err, &decision.Files{Refused: true}
		return nil
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", record.Short(seen.revision.Commit), err)
	}
	seen.checkout, seen.fetching, seen.signer = checkout.Anew(), time.Since(started), signer
	if !s.wanders(seen) {
		if err := s.fetched(ctx, checkout); err != nil {
			return err
		}
	}
	seen.observed.Files = &decision.Files{Same: last != nil && len(last.Inputs) > 0 && checkout.Same(last.Inputs)}
	s.board.Update(func(v *board.View) { v.Desired = &checkout.Revision })
	return nil
}

// askDrift reads the live services. It costs one read of the engine, and once an hour
// those of a survey.
func (s *stack) askDrift(ctx context.Context, seen *sighting) error {
	seen.sync = s.board.Snapshot().Last
	s.recallWebhook(ctx, seen.revision)
	drifted, err := s.observe(ctx)
	if err != nil {
		return err
	}
	if s.board.Snapshot().Deployed != nil {
		s.keeper.WhenDue(ctx)
	}
	seen.observed.Drift = &drifted
	return nil
}

// observe reads the live services, and gives how many differ from the deployed good state.
// While unverified changes are deployed, no drift is noted: the failed sync reports them.
func (s *stack) observe(ctx context.Context) (drifted decision.Drift, err error) {
	v := s.board.Snapshot()
	name := v.Stack()
	if name == "" {
		return drifted, nil
	}
	good := v.Deployed
	if v.Last.Dirty() != 0 {
		good = nil
	}
	s.board.Update(func(v *board.View) { v.Reading = true })
	seen, err := s.watch.Look(ctx, name, good)
	s.board.Update(func(v *board.View) { v.Reading, v.Unread = false, err })
	if err != nil {
		return drifted, err
	}
	steps := seen.Drift
	if len(steps) > 0 && len(v.Drift) == 0 {
		s.log.Warn("live services drifted", "stack", name, "services", board.StepNames(steps))
	}
	contests, contest, err := s.contested(v, steps)
	if err != nil {
		return drifted, err
	}
	forbidden := s.forbidden(ctx, v, steps)
	s.board.Update(func(v *board.View) {
		v.Services, v.Drift, v.Ignored, v.Observed = seen.Services, steps, seen.Ignored, time.Now()
		v.Contests, v.Forbidden = drift.Held(contests, v.Observed), forbidden
	})
	s.metrics.Drift(len(steps))
	if err := s.soak.Look(ctx, name, seen); err != nil {
		return drifted, err
	}
	if good != nil && (len(steps) > 0 || !contest) { // a contest is one drift, however often it is corrected
		err = s.publish.Drift(v.Last, good, steps, contests)
	}
	return decision.Drift{Services: len(steps), Contested: len(drift.Contested(s.board.Snapshot().Contests)), Unowned: seen.Unowned, Refused: forbidden != nil}, err
}

// forbidden says why a drift that is to be corrected is not: the node's policy refuses the
// deployed good state. It is told once.
func (s *stack) forbidden(ctx context.Context, v board.View, drifted []deploy.Step) error {
	if len(drifted) == 0 || !corrects(v.Deployed) {
		return nil
	}
	err := s.rollouts.Forbidden(ctx, v.Base())
	if err != nil && (v.Forbidden == nil || v.Forbidden.Error() != err.Error()) {
		s.log.Warn("drift is not corrected: the node's policy refuses the deployed good state", "error", err.Error(), "hint", fault.Hint(err))
	}
	return err
}

// shared is the event by which a commit that changes nothing shares the outcome of the
// one before it.
var shared = map[record.State]record.Event{
	record.Succeeded: record.ShareSuccess, record.Failed: record.ShareFailure, record.RolledBack: record.ShareRollback,
}

// share records a commit that changes nothing here: it shares the outcome of the
// revision before it.
func (s *stack) share(last *record.Sync, checkout *gitsync.Checkout, signer string) rollout.Outcome {
	sync, err := rollout.NewSync(checkout.Revision, record.OnCommit, shared[last.State], time.Now())
	if err != nil {
		return rollout.Outcome{Err: err}
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
	if err := errors.Join(s.publish.Sync(sync), s.board.End(sync, nil)); err != nil {
		return rollout.Outcome{Err: err}
	}
	s.log.Info("commit does not concern this node", "revision", record.Short(sync.Commit))
	return rollout.Outcome{Sync: sync, Over: true}
}

// errRewritten refuses a branch whose history was rewritten.
var errRewritten = fault.WithCode(errors.New("the branch's history was rewritten: the new commit does not descend from the one that was synced last"), fault.CodeBranch)

// refuseRewritten reports a branch whose history was rewritten, and does not follow it.
func (s *stack) refuseRewritten(revision gitsync.Revision) error {
	now := time.Now()
	refused, err := rollout.NewSync(revision, record.OnCommit, record.Begin, now)
	if err == nil {
		err = refused.Apply(record.Fail, now)
	}
	if err != nil {
		return err
	}
	refused.Stage, refused.Error, refused.Code = record.StageSelect, errRewritten.Error(), fault.CodeBranch
	refused.Hint = "restore the branch, or set allow_rewrite and restart the agent"
	return errors.Join(fault.WithHint(errRewritten, refused.Hint), s.publish.Sync(refused))
}

// pinnedError refuses to roll out a commit that a user rolled back from.
type pinnedError struct{ error }

func (e pinnedError) Unwrap() error { return e.error }

func errPinned(last *record.Sync) error {
	at := report.PinnedAt(last)
	return pinnedError{fault.New(fault.Place{}, "`agent resume` follows "+last.Ref+" again", "%s is not rolled out: pinned at %s since %s by %s",
		record.Short(last.Commit), report.Target(last.Rollback), at.Since.Local().Format(time.DateTime), at.By)}
}
