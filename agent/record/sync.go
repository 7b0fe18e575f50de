package record

import (
	"encoding/json"
	"maps"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/internal/fault"
)

// Sync is one attempt to bring a stack to a revision.
type Sync struct {
	ID        uint64      `json:"id"`
	Commit    string      `json:"commit"`
	Ref       string      `json:"ref"`
	Author    string      `json:"author,omitempty"`
	Subject   string      `json:"subject,omitempty"`
	Committed time.Time   `json:"committed,omitzero"` // the committer's time: of a merge commit, that of the merge
	Signer    string      `json:"signer,omitempty"`   // who signed the revision, if the policy demands that
	Stack     string      `json:"stack,omitempty"`
	Key       StackKey    `json:"stack_key,omitempty"` // by which requests name the stack of a node with several; the store sets it
	Release   string      `json:"release,omitempty"`   // TAG
	Trigger   Trigger     `json:"trigger"`
	State     State       `json:"state"`
	Actor     audit.Actor `json:"actor,omitzero"`  // who had it done
	Stage     Stage       `json:"stage,omitempty"` // the last stage that was entered
	Started   time.Time   `json:"started"`
	Finished  time.Time   `json:"finished,omitzero"`

	// DirtySince is the ID of the earlier sync whose unverified changes were still
	// deployed when this one began; 0 when a good state was deployed.
	DirtySince uint64 `json:"upon,omitempty"`

	Unchanged bool     `json:"unchanged,omitempty"` // the commit changes no file that this node reads
	Wrote     bool     `json:"touched,omitempty"`   // the engine was written to
	Summary   string   `json:"summary,omitempty"`   // what was done, in one line
	Transient bool     `json:"retry,omitempty"`     // the engine, network or registry made it fail: it is tried again automatically
	Waiting   string   `json:"waiting,omitempty"`   // what a waiting sync waits for
	Retries   int      `json:"retries,omitempty"`   // how many transient failures it had
	Error     string   `json:"error,omitempty"`     // the first fault, and how many more there are
	Hint      string   `json:"hint,omitempty"`
	Faults    []Fault  `json:"faults,omitempty"` // each of them, where there are several
	Warnings  []string `json:"warnings,omitempty"`

	Code fault.Code `json:"code,omitempty"` // the class of the error: `agent explain`

	Plan       json.RawMessage `json:"plan,omitempty"`
	PlanDigest string          `json:"plan_digest,omitempty"`
	// Announced is the digest that the plan has before the merge, where the new versions of
	// secrets with SV_x=auto are not known; "" if it is that of the plan.
	Announced string          `json:"announced,omitempty"`
	Services  json.RawMessage `json:"services,omitempty"` // what verify saw of each service

	Checks       json.RawMessage `json:"checks,omitempty"`        // what config.yml's checks came to; none where they were not asked
	ChecksDigest string          `json:"checks_digest,omitempty"` // of what config.yml says of them

	Takes     *Takeover  `json:"takes,omitempty"` // what its plan would take over, and a user has to adopt
	Gates     []Gate     `json:"gates,omitempty"`
	Rules     string     `json:"rules,omitempty"`     // digest of the node's policy and limits, where those refused the commit
	Loosens   []string   `json:"loosens,omitempty"`   // gates that the commit loosens, in words that follow "this commit"
	Approval  *Approval  `json:"approval,omitempty"`  // of the plan
	Override  *Override  `json:"override,omitempty"`  // of a freeze
	Chosen    *Chosen    `json:"chosen,omitempty"`    // a user asked for the tag
	Migration *Migration `json:"migration,omitempty"` // where the database stood
	Rollback  *Rollback  `json:"rollback,omitempty"`  // the rollback that followed, or that the sync is
	Group     *Group     `json:"group,omitempty"`     // of a blue-green rollout

	// Corrects are the fields that a correction of drift puts back. Leaves are the drifted
	// services, by full name, that it leaves as they are, because they are contested.
	Corrects []Correction `json:"corrects,omitempty"`
	Leaves   []string     `json:"leaves,omitempty"`

	Deployment *Deployment `json:"deployment,omitempty"` // what it brings, recorded with the plan

	// Degraded names the services that became degraded or unhealthy after the rollout, as
	// GitLab and the receivers of notices know it; "" while they are healthy.
	Degraded string `json:"degraded,omitempty"`

	Good bool `json:"good,omitempty"` // a rollback can return to its state; set in a History only

	Vault []VaultRead `json:"vault,omitempty"` // the versions that it read from Vault, by path

	Inputs  map[string]string   `json:"inputs,omitempty"`  // what it read: path to git object
	Seconds map[Stage]float64   `json:"seconds,omitempty"` // duration of each stage
	Entered map[Stage]time.Time `json:"entered,omitempty"` // when each stage began last; apply: first
}

// Fault is one error of a revision, and its remedy.
type Fault struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`

	Code fault.Code `json:"code,omitempty"` // its class, as far as it is known
}

// All lists the errors of a failed sync, with hints that name its stack.
func (s *Sync) All() []Fault {
	if len(s.Faults) > 0 || s.Error == "" {
		return s.Key.Named(s.Faults)
	}
	return s.Key.Named([]Fault{{Error: s.Error, Hint: s.Hint, Code: s.Code}})
}

// FailedAt gives the stage that failed, also while a rollback runs.
func (s *Sync) FailedAt() Stage {
	if s.Rollback != nil && s.Rollback.Stage != "" {
		return s.Rollback.Stage
	}
	return s.Stage
}

// Deployed gives the time of the first write, or, before that, the start of the sync: it
// may have waited for days in between.
func (s *Sync) Deployed() time.Time {
	if at := s.Entered[StageApply]; s.Wrote && !at.IsZero() {
		return at
	}
	return s.Started
}

// Enter notes when a stage begins. An apply that is carried on after a restart keeps its
// first time.
func (s *Sync) Enter(stage Stage, now time.Time) {
	if s.Entered == nil {
		s.Entered = map[Stage]time.Time{}
	}
	if !s.Wrote || stage != StageApply || s.Entered[stage].IsZero() {
		s.Entered[stage] = now.UTC()
	}
}

// Brief gives the sync for a list: without what grows with the number of services.
func (s *Sync) Brief() *Sync {
	brief := *s
	brief.Plan, brief.Services, brief.Inputs, brief.Deployment = nil, nil, nil, nil
	if s.Rollback != nil {
		taken := *s.Rollback
		taken.Plan, taken.ServicesOf = nil, nil
		brief.Rollback = &taken
	}
	return &brief
}

// Copy gives a copy that other goroutines can read while the sync goes on.
func (s *Sync) Copy() *Sync {
	copied := *s
	copied.Seconds, copied.Entered = maps.Clone(s.Seconds), maps.Clone(s.Entered)
	if s.Rollback != nil {
		taken := *s.Rollback
		taken.Seconds = maps.Clone(taken.Seconds)
		copied.Rollback = &taken
	}
	return &copied
}
