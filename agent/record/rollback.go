package record

import (
	"encoding/json"
	"time"

	"coin.internal/coin-agent/agent/audit"
)

// Rollback is the return to a good state that a sync has made or is making. A sync whose
// rollback is not over is carried on with the rollback, never with its revision.
type Rollback struct {
	To       uint64   `json:"to"`     // the SyncID of the good state
	Commit   string   `json:"commit"` // of that state
	Release  string   `json:"release,omitempty"`
	Services []string `json:"services,omitempty"` // by full name; none for the whole stack
	Auto     bool     `json:"auto,omitempty"`     // no user asked for it
	Reason   string   `json:"reason,omitempty"`   // given by the user
	After    *Broken  `json:"after,omitempty"`    // the failed sync before a rollback by a user; nil for none
	Force    bool     `json:"force,omitempty"`    // across migrations: --force-migrations

	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	Wrote    bool      `json:"touched,omitempty"` // the engine was written to

	// By and Since say who pinned the stack there, and when; the correction of a drift
	// takes them over. Resumed is when a user ended that.
	By      audit.Actor `json:"by,omitzero"`
	Since   time.Time   `json:"since,omitzero"`
	Resumed time.Time   `json:"resumed,omitzero"`

	Stage    Stage    `json:"stage,omitempty"` // the stage of the failure that it follows; none for a rollback by a user
	Left     []string `json:"left,omitempty"`  // jobs that are not run again, by full name
	Warnings []string `json:"warnings,omitempty"`

	// Refused says why it was not done, such as migrations in between. The failed revision
	// stays deployed then, except for a job that Warnings says was scaled to 0.
	Refused string `json:"refused,omitempty"`
	Error   string `json:"error,omitempty"` // why it was not verified
	Hint    string `json:"hint,omitempty"`

	Summary    string            `json:"summary,omitempty"`
	Plan       json.RawMessage   `json:"plan,omitempty"`
	PlanDigest string            `json:"plan_digest,omitempty"`
	ServicesOf json.RawMessage   `json:"service_results,omitempty"` // what verify saw of each service
	Checks     json.RawMessage   `json:"checks,omitempty"`
	Seconds    map[Stage]float64 `json:"seconds,omitempty"`
}

// Over reports whether nothing of the rollback is left to do.
func (b *Rollback) Over() bool { return b == nil || !b.Finished.IsZero() }

// FollowsFailure reports whether a rollout failed in the same sync: its commit was reported
// as running before.
func (b *Rollback) FollowsFailure() bool { return b.Stage != "" }

// Broken is the failed sync that a user rolled back from.
type Broken struct {
	Sync  uint64 `json:"sync"`
	Stage Stage  `json:"stage"`
	Error string `json:"error"`
}

// Migration is the highest migration of the database around a rollout. A number that is
// nil was not read; 0 is a table without a migration.
type Migration struct {
	Table    string `json:"table"`
	Column   string `json:"column"`
	Before   *int64 `json:"before,omitempty"`   // the highest ID before the first write
	After    *int64 `json:"after,omitempty"`    // the highest ID when the services had converged, or the rollout had failed
	Expected *int64 `json:"expected,omitempty"` // the release's EXPECTED_MIGRATION_ID
	Forced   bool   `json:"forced,omitempty"`   // a user forced a rollback across migrations
}
