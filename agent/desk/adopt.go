package desk

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// Adopted gives what is on record of the stack that the node keeps.
func (d *Desk) Adopted() (consent.Record, error) {
	kept, err := d.parts.Records.Adoption()
	if err != nil {
		return consent.Record{}, fmt.Errorf("recall the adopted stack: %w", err)
	}
	return consent.NewRecord(d.parts.Daemon.Owner, kept, d.parts.Board.Snapshot().Deployed)
}

// PlanAdoption says what the sync that waits for adoption would take over. It changes
// nothing.
func (d *Desk) PlanAdoption() (*request.AdoptionPlan, error) {
	sync, err := d.adoptable()
	if err != nil {
		return nil, err
	}
	planned := &request.AdoptionPlan{Commit: sync.Commit, Release: sync.Release, Takes: sync.Takes, Digest: sync.PlanDigest}
	if err := json.Unmarshal(sync.Plan, &planned.Plan); err != nil {
		return nil, fmt.Errorf("read the plan of sync #%d: %w", sync.ID, err)
	}
	return planned, nil
}

// Adopt records a user's consent to what the waiting sync would take over, and has its gates
// asked again. The request must name the plan: only what the user has seen is adopted.
func (d *Desk) Adopt(actor audit.Actor, asked request.Adopt) (*record.Consent, error) {
	why, err := request.Reason(asked.Reason, false)
	if err != nil {
		return nil, err
	}
	d.users.Lock()
	defer d.users.Unlock()
	sync, err := d.adoptable()
	if err != nil {
		return nil, err
	}
	plan := strings.ToLower(asked.Plan)
	switch {
	case len(plan) < shortest:
		return nil, request.Refuse(request.Invalid, "write at least 7 digits, as `agent adopt` shows them", "%q does not name a plan", asked.Plan)
	case !strings.HasPrefix(sync.PlanDigest, plan):
		return nil, request.Refuse(request.Conflict, "look at it first: `agent adopt`", "the plan is %s now, not %s", record.Short(sync.PlanDigest), record.Short(asked.Plan))
	}
	given := &record.Consent{To: *sync.Takes, Plan: sync.PlanDigest, Actor: actor, Reason: why, At: time.Now().UTC()}
	entry := journal.SyncEntry(sync)
	entry.Actor, entry.Action, entry.Detail = actor, audit.Adopt, consent.Text(sync.Takes)
	if why != "" {
		entry.Detail += ": " + why
	}
	if err := d.parts.Note(entry); err != nil {
		return nil, err
	}
	if err := d.parts.Records.SaveConsent(given); err != nil {
		return nil, fmt.Errorf("save the consent to adopt: %w", err)
	}
	d.parts.Log.Info("consent to adopt", "actor", actor.String(), "revision", record.Short(sync.Commit), "stack", given.To.Stack, "plan", given.Plan, "reason", why)
	d.parts.Loop.Nudge()
	return given, nil
}

// adoptable gives the sync that waits for adoption.
func (d *Desk) adoptable() (*record.Sync, error) {
	sync := d.parts.Board.Snapshot().Last
	waits := func(gate record.Gate) bool { return gate.Waiting != "" && gate.Name == record.GateAdoption }
	if sync == nil || sync.State != record.Waiting || sync.Takes == nil || !slices.ContainsFunc(sync.Gates, waits) {
		return nil, request.Refuse(request.Conflict, "`agent status` shows what is being done", "no rollout waits for adoption")
	}
	return sync, nil
}
