package state

import (
	"encoding/json"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/audit"
)

// Gate is what one gate said of a plan, last time it was asked.
type Gate struct {
	Name    string    `json:"name"`              // pause, freeze, auto_deploy, approval, order, release
	Waiting string    `json:"waiting,omitempty"` // what it waits for; "" when it let the plan pass
	Passed  string    `json:"passed,omitempty"`  // why it did, where that is worth knowing
	Since   time.Time `json:"since,omitzero"`    // of the waiting
	Until   time.Time `json:"until,omitzero"`    // when it opens by itself, where that is known
	About   string    `json:"about,omitempty"`   // what it waits for, in a word; Since is of that

	Unattended bool `json:"unattended,omitempty"` // nobody has to do anything for it to open
}

// Unattended says that a sync waits for what comes without anybody's doing, such as
// the node before it.
func (s *Sync) Unattended() bool {
	unattended := func(g Gate) bool { return g.Unattended }
	needed := func(g Gate) bool { return g.Waiting != "" && !g.Unattended }
	return s.State == Waiting && slices.ContainsFunc(s.Gates, unattended) && !slices.ContainsFunc(s.Gates, needed)
}

// Rollback is the way back to a good state that a sync has taken or takes. A sync
// with one that is not over is carried on with it, never with its revision.
type Rollback struct {
	To       uint64   `json:"to"`     // the good state's SyncID
	Commit   string   `json:"commit"` // of that state
	Release  string   `json:"release,omitempty"`
	Services []string `json:"services,omitempty"` // by full name; none for the whole stack
	Auto     bool     `json:"auto,omitempty"`     // by itself, after a failure
	Reason   string   `json:"reason,omitempty"`   // the person's
	After    *Broken  `json:"after,omitempty"`    // what had failed before a person asked; nil where nothing had
	Force    bool     `json:"force,omitempty"`    // across migrations: --force-migrations

	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	Touched  bool      `json:"touched,omitempty"` // the engine was written to

	// By and Since say who had the node stay there, and since when; what puts it back
	// after a drift takes them over. Resumed is when somebody ended that.
	By      audit.Actor `json:"by,omitzero"`
	Since   time.Time   `json:"since,omitzero"`
	Resumed time.Time   `json:"resumed,omitzero"`

	Stage    string   `json:"stage,omitempty"` // in which that failed which it follows; none by hand
	Left     []string `json:"left,omitempty"`  // jobs that are not run again, by full name
	Warnings []string `json:"warnings,omitempty"`

	// Refused says why it was not done, such as migrations that lie between. Nothing
	// was touched then, and what has failed goes on to run.
	Refused string `json:"refused,omitempty"`
	Error   string `json:"error,omitempty"` // why it was not proven
	Hint    string `json:"hint,omitempty"`

	Summary    string             `json:"summary,omitempty"`
	Plan       json.RawMessage    `json:"plan,omitempty"`
	PlanDigest string             `json:"plan_digest,omitempty"`
	ServicesOf json.RawMessage    `json:"service_results,omitempty"` // what verify saw of each service
	Checks     json.RawMessage    `json:"checks,omitempty"`
	Seconds    map[string]float64 `json:"seconds,omitempty"`
}

// Over tells whether nothing is left to do of it; one that is not over is carried
// on before anything else.
func (b *Rollback) Over() bool { return b == nil || !b.Finished.IsZero() }

// Broken is a sync that had failed.
type Broken struct {
	Sync  uint64 `json:"sync"`
	Stage string `json:"stage"`
	Error string `json:"error"`
}

// Migration is where the database's migrations stood around a rollout. A number
// that is nil was not read; 0 is a table without a migration.
type Migration struct {
	Table    string `json:"table"`
	Column   string `json:"column"`
	Before   *int64 `json:"before,omitempty"`   // the highest id before anything was written
	After    *int64 `json:"after,omitempty"`    // and when the services were well, or the rollout had failed
	Expected *int64 `json:"expected,omitempty"` // what the release names in EXPECTED_MIGRATION_ID
	Forced   bool   `json:"forced,omitempty"`   // a person had it go back across migrations
}

// Approval is somebody's word for a plan.
type Approval struct {
	PlanDigest   string       `json:"plan_digest"`
	Source       string       `json:"source"` // gitlab or node
	By           []string     `json:"by"`
	MergeRequest int64        `json:"merge_request,omitempty"`
	Reason       string       `json:"reason,omitempty"`
	Actor        *audit.Actor `json:"actor,omitempty"` // of a word given on the node
	At           time.Time    `json:"at"`
}

// Pause keeps an agent from beginning rollouts.
type Pause struct {
	Actor  audit.Actor `json:"actor"`
	Reason string      `json:"reason"`
	Since  time.Time   `json:"since"`
	Until  time.Time   `json:"until,omitzero"` // zero until somebody resumes
}

// Group is the nodes of a blue-green rollout, which stand and fall together.
type Group struct {
	Nodes    []string             `json:"nodes"`              // besides this one
	Back     bool                 `json:"back,omitempty"`     // this node goes back by itself when another one fails
	Base     uint64               `json:"base,omitempty"`     // the good state to go back to, by its SyncID; 0 for none
	Past     map[string]time.Time `json:"past,omitempty"`     // nodes that had failed before this one began, and when
	Complete bool                 `json:"complete,omitempty"` // all have succeeded
	Failed   string               `json:"failed,omitempty"`   // the node that failed
}
