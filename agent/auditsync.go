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

// who gives the actor of a revision's sync.
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
	if r.rollback != nil {
		entry.Actor, entry.Action, entry.Name = r.rollback.actor, audit.Rollback, r.rollback.to.StackName
	}
	return entry
}

// write appends entries. If that fails, nothing may be applied, and the sync is tried
// again automatically.
func (r *reconcile) write(entries ...audit.Entry) error {
	if err := r.Audit.Append(entries...); err != nil {
		return environmentError{err}
	}
	return nil
}

// noteStart records what is about to be applied, before the first write.
func (r *reconcile) noteStart() error {
	entry := r.syncEntry()
	entry.Outcome, entry.Detail = audit.Started, string(r.sync.Trigger)+": "+report.PlanIntent(r.plan.Recorded())
	if r.rollback != nil {
		entry.Detail = "to " + report.Target(r.sync.Rollback) + ": " + report.PlanIntent(r.plan.Recorded()) + report.Because(r.sync.Rollback)
	}
	if r.sync.Approval != nil {
		entry.Detail += "; " + gates.ApprovalText(r.sync.Approval)
	}
	if r.attempt.Wrote {
		entry.Detail = "continued: " + report.PlanIntent(r.plan.Recorded())
	}
	if err := r.write(entry); err != nil {
		return err
	}
	r.noted = true
	return nil
}

// noteEnd records once how an apply ended, with what verify has seen. err is the outcome.
// The result also contains the errors of the log itself.
func (r *reconcile) noteEnd(err error) error {
	if !r.noted && (!r.attempt.Wrote || transient(err)) {
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

// noteSuperseded records the end of a sync that had begun to write and that a newer
// revision superseded.
func (a *Agent) noteSuperseded(sync *record.Sync) error {
	if !sync.Wrote {
		return nil
	}
	entry := syncEntry(sync)
	entry.Actor, entry.Outcome, entry.Detail = audit.Agent(), audit.Superseded, sync.Summary
	return a.Audit.Append(entry)
}

// stepKey identifies a step in the log.
type stepKey struct {
	action audit.Action
	kind   audit.Kind
	name   string
}

func stepKeyOf(step deploy.Step) stepKey {
	return stepKey{audit.Action(step.Action), audit.Kind(step.Kind), step.Name}
}

// noteFound records the steps that an interrupted sync took without an entry: it had
// planned them, the log does not have them, and the new plan does not need them.
func (r *reconcile) noteFound() error {
	if !r.attempt.Wrote {
		return nil
	}
	begun, err := r.begun()
	if err != nil {
		return err
	}
	settled := map[stepKey]bool{}
	for _, step := range r.plan.Steps {
		settled[stepKeyOf(step)] = true
	}
	err = r.Audit.Read(func(entry audit.Entry) {
		if entry.Sync == r.sync.ID && entry.Revision == r.goalCommit() && entry.Outcome == audit.Succeeded {
			settled[stepKey{entry.Action, entry.Kind, entry.Name}] = true
		}
	})
	if err != nil {
		return environmentError{err}
	}
	uses := newUses(r.appliedSecrets(), r.stack)
	var entries []audit.Entry
	for _, step := range begun.Steps {
		if !settled[stepKeyOf(step)] {
			for _, entry := range r.stepEntries(step, uses[step.Name]) {
				entry.Detail = "found done after an interruption"
				entries = append(entries, entry)
			}
		}
	}
	return r.write(entries...)
}

// stepEntries gives the entries of a step that was taken, with the secrets that a service
// got by it.
func (r *reconcile) stepEntries(step deploy.Step, secrets []string) []audit.Entry {
	taken := stepKeyOf(step)
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
	applied := a.snapshot().deployed
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

// book writes the steps of an apply to the log while the apply runs. Steps that end at
// the same time are saved together, so that they do not wait for the disk one by one.
type book struct {
	r       *reconcile
	entries chan audit.Entry
	ended   chan struct{}

	mu  sync.Mutex
	err error
}

// openBook makes a book with room for all entries of the plan, so that note never waits.
func (r *reconcile) openBook() *book {
	room := 2 * len(r.plan.Steps) // after a failure cron services are restored
	if scaledDown, err := r.records.ScaledDown(); err == nil {
		room += len(scaledDown.Services)
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

// note records a step that has ended. It stops the apply if an earlier entry could not be
// written.
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
