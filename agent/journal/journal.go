package journal

import (
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// log is the audit log.
type log interface {
	Append(entries ...audit.Entry) error
	Read(each func(audit.Entry)) error
}

// Journal writes the entries of one attempt.
type Journal struct {
	log     log
	about   func() audit.Entry // begins an entry about the whole of the attempt
	started bool
}

// New makes the journal of an attempt. about begins an entry about the whole of it.
func New(log log, about func() audit.Entry) *Journal { return &Journal{log: log, about: about} }

// SyncEntry begins an entry about the whole of a sync.
func SyncEntry(sync *record.Sync) audit.Entry {
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

// Superseded gives the entry about a sync that had begun to write and that another sync
// replaces.
func Superseded(sync *record.Sync) audit.Entry {
	entry := SyncEntry(sync)
	entry.Actor, entry.Outcome, entry.Detail = audit.Agent(), audit.Superseded, sync.Summary
	return entry
}

// Started reports whether the log has the start of this attempt's apply.
func (j *Journal) Started() bool { return j.started }

// Start notes what is about to be applied, before the first write.
func (j *Journal) Start(detail string) error {
	if err := j.Note(audit.Started, detail, ""); err != nil {
		return err
	}
	j.started = true
	return nil
}

// Note writes an entry about the whole of the attempt. failure is the error that it ended
// with; "" for none.
func (j *Journal) Note(outcome audit.Outcome, detail, failure string) error {
	entry := j.about()
	entry.Outcome, entry.Detail, entry.Error = outcome, detail, failure
	return j.write(entry)
}

// write appends entries. If that fails, nothing may be applied, and the sync is tried
// again automatically.
func (j *Journal) write(entries ...audit.Entry) error {
	return fault.Transient(j.log.Append(entries...))
}

// entry begins an entry about an object.
func (j *Journal) entry(action audit.Action, kind audit.Kind, name string) audit.Entry {
	entry := j.about()
	entry.Action, entry.Kind, entry.Name = action, kind, name
	return entry
}

// stepKey identifies a step in the log.
type stepKey struct {
	action audit.Action
	kind   audit.Kind
	name   string
}

func keyOf(step deploy.Step) stepKey {
	return stepKey{audit.Action(step.Action), audit.Kind(step.Kind), step.Name}
}

// Found records the steps that an interrupted attempt took without an entry: it had
// planned them, the log does not have them, and the plan of what is left does not need
// them. uses lists the new secrets of each service.
func (j *Journal) Found(begun, left []deploy.Step, uses SecretNames) error {
	settled := map[stepKey]bool{}
	for _, step := range left {
		settled[keyOf(step)] = true
	}
	about := j.about()
	err := j.log.Read(func(entry audit.Entry) {
		if entry.Sync == about.Sync && entry.Revision == about.Revision && entry.Outcome == audit.Succeeded {
			settled[stepKey{entry.Action, entry.Kind, entry.Name}] = true
		}
	})
	if err != nil {
		return fault.Transient(err)
	}
	var entries []audit.Entry
	for _, step := range begun {
		if !settled[keyOf(step)] {
			for _, entry := range j.stepEntries(step, uses[step.Name]) {
				entry.Detail = "found done after an interruption"
				entries = append(entries, entry)
			}
		}
	}
	return j.write(entries...)
}

// stepEntries gives the entries of a step that was taken, with the secrets that a service
// got by it.
func (j *Journal) stepEntries(step deploy.Step, secrets []string) []audit.Entry {
	taken := keyOf(step)
	entries := []audit.Entry{j.entry(taken.action, taken.kind, taken.name)}
	if step.Kind != deploy.Service || step.Action == deploy.Remove || step.Action == deploy.ScaleDown || step.Action == deploy.ScaleUp {
		return entries
	}
	for _, secret := range secrets {
		entry := j.entry(audit.Use, audit.Secret, secret)
		entry.Service = step.Name
		entries = append(entries, entry)
	}
	return entries
}
