package agent

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	gitsync "coin.internal/coin-agent/sync"
)

// cause is why the agent looks, and who asked for it.
type cause struct {
	trigger record.Trigger
	actor   audit.Actor // of a manual one

	override *record.Override // of a freeze
}

// who has the sync of a revision done.
func (c cause) who(revision gitsync.Revision) audit.Actor {
	switch c.trigger {
	case record.OnRequest:
		return c.actor
	case record.OnCommit:
		return audit.Author(revision.Author)
	case record.OnDrift, record.OnRollback:
	}
	return audit.Agent()
}

// entry begins an entry of this sync.
func (r *reconcile) entry(action audit.Action, kind audit.Kind, name string) audit.Entry {
	entry := r.syncEntry()
	entry.Action, entry.Kind, entry.Name = action, kind, name
	return entry
}

// syncEntry is an entry about the whole of a sync.
func syncEntry(sync *record.Sync) audit.Entry {
	actor := sync.Actor
	if actor.By == "" {
		actor = audit.Agent()
	}
	entry := audit.Entry{
		Actor: actor, Action: audit.Sync, Kind: audit.Stack, Name: sync.Stack,
		Sync: sync.ID, Revision: sync.Commit, Plan: sync.PlanDigest, Outcome: audit.Succeeded,
	}
	if sync.Trigger == record.OnRollback {
		entry.Action = audit.Rollback
	}
	return entry
}

// syncEntry is an entry about the whole of the attempt.
func (r *reconcile) syncEntry() audit.Entry {
	entry := syncEntry(r.sync)
	entry.Plan, entry.Revision = r.attempt.PlanDigest, r.goalCommit()
	if r.back != nil {
		entry.Actor, entry.Action, entry.Name = r.back.actor, audit.Rollback, r.back.to.StackName
	}
	return entry
}

// write appends entries. Where that is not possible nothing may be done: it is
// tried again by itself.
func (r *reconcile) write(entries ...audit.Entry) error {
	if err := r.Audit.Append(entries...); err != nil {
		return environmentError{err}
	}
	return nil
}

// noteStart says what is about to be applied, before anything is.
func (r *reconcile) noteStart() error {
	entry := r.syncEntry()
	entry.Outcome, entry.Detail = audit.Started, string(r.sync.Trigger)+": "+report.PlanIntent(r.plan.RecordedPlan)
	if r.back != nil {
		entry.Detail = "to " + report.Target(r.sync.Rollback) + ": " + report.PlanIntent(r.plan.RecordedPlan) + report.Because(r.sync.Rollback)
	}
	if r.sync.Approval != nil {
		entry.Detail += "; " + gates.ApprovalText(r.sync.Approval)
	}
	if r.attempt.Wrote {
		entry.Detail = "carried on: " + report.PlanIntent(r.plan.RecordedPlan)
	}
	if err := r.write(entry); err != nil {
		return err
	}
	r.noted = true
	return nil
}

// noteEnd says how an apply came out, with what verify has seen, once; err is the
// outcome, and what it gives back has the log's own trouble in it.
func (r *reconcile) noteEnd(err error) error {
	if !r.noted && (!r.attempt.Wrote || passing(err)) {
		return err
	}
	entry := r.syncEntry()
	if err != nil {
		entry.Outcome, entry.Detail = audit.Failed, "in "+string(r.stage)
		entry.Error, _, _ = faults(err)
	}
	if writeErr := r.write(entry); writeErr != nil {
		at := stageError{stage: r.stage}
		_ = errors.As(err, &at)
		return stageError{stage: at.stage, err: errors.Join(at.err, writeErr)}
	}
	head := r.Audit.Head()
	r.Log.Info("audit log", "entries", head.Seq, "head", head.Hash, "revision", short(r.goalCommit()))
	return err
}

// noteOvertaken ends a sync that had begun to write and that a newer revision
// overtook.
func (a *Agent) noteOvertaken(sync *record.Sync) error {
	if !sync.Wrote {
		return nil
	}
	entry := syncEntry(sync)
	entry.Actor, entry.Outcome, entry.Detail = audit.Agent(), audit.Superseded, sync.Summary
	return a.Audit.Append(entry)
}

// deed is one step as the log tells it.
type deed struct {
	action audit.Action
	kind   audit.Kind
	name   string
}

func deedOf(step deploy.Step) deed {
	return deed{audit.Action(step.Action), audit.Kind(step.Kind), step.Name}
}

// noteFound says what a sync that was interrupted had done without an entry: the
// steps that it had begun with, are not in the log and need not be taken any more.
func (r *reconcile) noteFound() error {
	if !r.attempt.Wrote {
		return nil
	}
	begun, err := r.begun()
	if err != nil {
		return err
	}
	settled := map[deed]bool{}
	for _, step := range r.plan.Steps {
		settled[deedOf(step)] = true
	}
	err = r.Audit.Read(func(entry audit.Entry) {
		if entry.Sync == r.sync.ID && entry.Revision == r.goalCommit() && entry.Outcome == audit.Succeeded {
			settled[deed{entry.Action, entry.Kind, entry.Name}] = true
		}
	})
	if err != nil {
		return environmentError{err}
	}
	uses := newUses(r.appliedSecrets(), r.stack)
	var entries []audit.Entry
	for _, step := range begun.Steps {
		if !settled[deedOf(step)] {
			for _, entry := range r.stepEntries(step, uses[step.Name]) {
				entry.Detail = "found done after an interruption"
				entries = append(entries, entry)
			}
		}
	}
	return r.write(entries...)
}

// stepEntries tell of a step that was taken, and which secrets a service got by it.
func (r *reconcile) stepEntries(step deploy.Step, secrets []string) []audit.Entry {
	taken := deedOf(step)
	entries := []audit.Entry{r.entry(taken.action, taken.kind, taken.name)}
	if step.Kind != deploy.Service || step.Action == deploy.Remove || step.Action == deploy.ScaleDown || step.Action == deploy.ScaleUp {
		return entries
	}
	for _, secret := range secrets {
		entry := r.entry(audit.Use, audit.Secret, secret)
		entry.Service = step.Name
		entries = append(entries, entry)
	}
	return entries
}

// secretNames are the names of secrets that services refer to.
type secretNames map[string]map[string]bool

func (n secretNames) add(service, secret string) {
	if n[service] == nil {
		n[service] = map[string]bool{}
	}
	n[service][secret] = true
}

// wantedSecrets are what a stack's services refer to.
func wantedSecrets(stack *compose.Stack) secretNames {
	names := secretNames{}
	for name, spec := range stack.Services {
		if spec.TaskTemplate.ContainerSpec != nil {
			for _, reference := range spec.TaskTemplate.ContainerSpec.Secrets {
				names.add(name, reference.SecretName)
			}
		}
	}
	return names
}

// liveSecrets are what the live services refer to.
func liveSecrets(live *deploy.Live) secretNames {
	names := secretNames{}
	for name, service := range live.Services {
		if service.Spec.TaskTemplate.ContainerSpec != nil {
			for _, reference := range service.Spec.TaskTemplate.ContainerSpec.Secrets {
				names.add(name, reference.SecretName)
			}
		}
	}
	return names
}

// appliedSecrets are what the services of the last good state refer to.
func (a *Agent) appliedSecrets() secretNames {
	applied := a.snapshot().applied
	if applied == nil {
		return nil
	}
	stack, err := appliedStack(applied)
	if err != nil {
		return nil // all are new then
	}
	return wantedSecrets(stack)
}

// newUses lists by service, sorted, the secrets that it is to refer to and did not
// before.
func newUses(before secretNames, want *compose.Stack) map[string][]string {
	uses := map[string][]string{}
	for service, secrets := range wantedSecrets(want) {
		for _, secret := range slices.Sorted(maps.Keys(secrets)) {
			if !before[service][secret] {
				uses[service] = append(uses[service], secret)
			}
		}
	}
	return uses
}

// book writes what an apply does while it does it. What comes at once is saved at
// once, so that steps do not wait for the disk one by one.
type book struct {
	r       *reconcile
	entries chan audit.Entry
	ended   chan struct{}

	mu  sync.Mutex
	err error
}

// openBook has room for all entries of the plan: noting never waits.
func (r *reconcile) openBook() *book {
	room := 2 * len(r.plan.Steps) // after a failure cron services come back
	if asleep, err := r.records.ScaledDown(); err == nil {
		room += len(asleep.Services)
	}
	for _, secrets := range r.uses {
		room += len(secrets)
	}
	b := &book{r: r, entries: make(chan audit.Entry, room), ended: make(chan struct{})}
	go b.run()
	return b
}

func (b *book) run() {
	defer close(b.ended)
	for entry := range b.entries {
		together := []audit.Entry{entry}
		for more := len(b.entries); more > 0; more-- {
			together = append(together, <-b.entries)
		}
		if err := b.r.write(together...); err != nil {
			b.mu.Lock()
			b.err = err
			b.mu.Unlock()
			return
		}
	}
}

// note takes a step that has ended, and stops the apply when one before could not
// be written.
func (b *book) note(event deploy.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || !event.Done {
		return b.err
	}
	entries := b.r.stepEntries(event.Step, b.r.uses[event.Step.Name])
	if event.Err != nil {
		entries = entries[:1]
		entries[0].Outcome, entries[0].Error = audit.Failed, event.Err.Error()
	}
	for _, entry := range entries {
		b.entries <- entry
	}
	return nil
}

// close waits until all is written. The apply's outcome is err.
func (b *book) close(err error) error {
	close(b.entries)
	<-b.ended
	if b.err != nil {
		return b.err
	}
	return err
}
