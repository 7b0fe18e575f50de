package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/audit"
)

// keepSyncs is how many syncs the history holds; the oldest go first.
const keepSyncs = 1000

// Outcome is the state of a revision on a node (design, "One reconcile").
type Outcome string

// The outcomes of a sync. Pending, Waiting and Running are not final.
const (
	Pending    Outcome = "pending"
	Waiting    Outcome = "waiting"
	Running    Outcome = "running"
	Succeeded  Outcome = "succeeded"
	Failed     Outcome = "failed"
	RolledBack Outcome = "rolled_back"
	Superseded Outcome = "superseded"
)

// Final says whether a sync of this outcome is over.
func (o Outcome) Final() bool {
	switch o {
	case Succeeded, Failed, RolledBack, Superseded:
		return true
	case Pending, Waiting, Running:
	}
	return false
}

// Sync is one attempt to bring the node to a revision.
type Sync struct {
	ID       uint64      `json:"id"`
	Commit   string      `json:"commit"`
	Ref      string      `json:"ref"`
	Author   string      `json:"author,omitempty"`
	Subject  string      `json:"subject,omitempty"`
	Stack    string      `json:"stack,omitempty"`
	Release  string      `json:"release,omitempty"` // TAG
	Trigger  string      `json:"trigger"`           // commit, manual, drift, rollback
	State    Outcome     `json:"state"`
	Actor    audit.Actor `json:"actor,omitzero"`  // who had it done
	Stage    string      `json:"stage,omitempty"` // the last stage that was entered
	Started  time.Time   `json:"started"`
	Finished time.Time   `json:"finished,omitzero"`

	// Upon is the sync whose writes, which nobody has proven, were there when this one
	// began; 0 where what ran was good.
	Upon uint64 `json:"upon,omitempty"`

	Unchanged bool     `json:"unchanged,omitempty"` // the commit concerns nothing that this node reads
	Touched   bool     `json:"touched,omitempty"`   // the engine was written to
	Summary   string   `json:"summary,omitempty"`   // what was done, for people
	Retry     bool     `json:"retry,omitempty"`     // failed for a reason outside the revision: tried again by itself
	Waiting   string   `json:"waiting,omitempty"`   // what a waiting sync waits for
	Retries   int      `json:"retries,omitempty"`   // how often it failed so
	Error     string   `json:"error,omitempty"`     // the first fault, and how many more there are
	Hint      string   `json:"hint,omitempty"`
	Faults    []Fault  `json:"faults,omitempty"` // each of them, where there are several
	Warnings  []string `json:"warnings,omitempty"`

	Plan       json.RawMessage `json:"plan,omitempty"`
	PlanDigest string          `json:"plan_digest,omitempty"`
	Services   json.RawMessage `json:"services,omitempty"` // what verify saw of each service

	Checks       json.RawMessage `json:"checks,omitempty"`        // what config.yml's checks came to; none where they were not asked
	ChecksDigest string          `json:"checks_digest,omitempty"` // of what config.yml says of them

	Gates     []Gate     `json:"gates,omitempty"`
	Approval  *Approval  `json:"approval,omitempty"`  // of the plan
	Override  *Override  `json:"override,omitempty"`  // of a freeze
	Migration *Migration `json:"migration,omitempty"` // where the database stood
	Rollback  *Rollback  `json:"rollback,omitempty"`  // what followed, or what this sync is
	Group     *Group     `json:"group,omitempty"`     // of a blue-green rollout

	Deployment *Deployment `json:"deployment,omitempty"` // what it brings, recorded with the plan

	Good bool `json:"good,omitempty"` // its state is one to go back to; only in a History

	Inputs  map[string]string    `json:"inputs,omitempty"`  // what it read: path to git object
	Seconds map[string]float64   `json:"seconds,omitempty"` // duration of each stage
	Entered map[string]time.Time `json:"entered,omitempty"` // when each stage began last; apply: first
}

// Fault is one thing that is wrong with a revision, and its remedy.
type Fault struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

// All lists what is wrong with a sync that failed.
func (s *Sync) All() []Fault {
	if len(s.Faults) > 0 || s.Error == "" {
		return s.Faults
	}
	return []Fault{{Error: s.Error, Hint: s.Hint}}
}

// IsRollback says that going back to a good state is all that the sync does: no rollout
// failed in it.
func (s *Sync) IsRollback() bool { return s.Trigger == "rollback" }

// FailedAt is the stage that failed, also while a rollback is on its way.
func (s *Sync) FailedAt() string {
	if s.Rollback != nil && s.Rollback.Stage != "" {
		return s.Rollback.Stage
	}
	return s.Stage
}

// Deployed is when the engine was first written to, or, as long as it was not, when the
// sync began: it may have waited for days in between.
func (s *Sync) Deployed() time.Time {
	if at := s.Entered["apply"]; s.Touched && !at.IsZero() {
		return at
	}
	return s.Started
}

// SaveSync writes a sync; one without an ID gets the next.
func (s *Store) SaveSync(sync *Sync) error { return s.SaveOutcome(sync, nil) }

func putSync(b *bbolt.Bucket, sync *Sync) error {
	if sync.ID == 0 {
		id, err := b.NextSequence()
		if err != nil {
			return fmt.Errorf("number sync: %w", err)
		}
		sync.ID = id
		if id > keepSyncs {
			if err := b.Delete(number(id - keepSyncs)); err != nil {
				return fmt.Errorf("drop old sync: %w", err)
			}
		}
	}
	return putJSON(b, number(sync.ID), sync)
}

// Syncs lists up to limit syncs, the newest first.
func (s *Store) Syncs(limit int) ([]Sync, error) {
	syncs := []Sync{}
	err := s.view(syncsBucket, func(b *bbolt.Bucket) error {
		cursor := b.Cursor()
		for key, data := cursor.Last(); key != nil && len(syncs) < limit; key, data = cursor.Prev() {
			var sync Sync
			if err := json.Unmarshal(data, &sync); err != nil {
				return fmt.Errorf("read sync: %w", err)
			}
			syncs = append(syncs, sync)
		}
		return nil
	})
	return syncs, err
}

// History lists up to limit syncs, the newest first, and which of them are good
// states to go back to.
func (s *Store) History(limit int) ([]Sync, error) {
	syncs, err := s.Syncs(limit)
	if err != nil {
		return nil, err
	}
	good, err := s.AllGood(time.Now())
	for i := range syncs {
		syncs[i].Good = slices.ContainsFunc(good, func(one Applied) bool { return one.SyncID == syncs[i].ID })
	}
	return syncs, err
}

// LastSync gives the newest sync, or nil when there was none.
func (s *Store) LastSync() (*Sync, error) {
	syncs, err := s.Syncs(1)
	if err != nil || len(syncs) == 0 {
		return nil, err
	}
	return &syncs[0], nil
}

// Applied is the last revision that was applied and proven.
type Applied struct {
	SyncID    uint64          `json:"sync_id"`
	Commit    string          `json:"commit"`
	Release   string          `json:"release,omitempty"`
	At        time.Time       `json:"at"`
	StackName string          `json:"stack"`
	Owner     string          `json:"owner"`
	Services  json.RawMessage `json:"services"` // the service specs by name
	Drift     string          `json:"drift"`    // config.yml's drift: report or correct
	Resolve   string          `json:"resolve"`  // config.yml's images.resolve

	Networks  json.RawMessage `json:"networks,omitempty"` // their create options by name
	Secrets   []Object        `json:"secrets,omitempty"`  // sorted by name
	Configs   []Object        `json:"configs,omitempty"`
	Retention Retention       `json:"retention,omitzero"`
	Freezes   json.RawMessage `json:"freezes,omitempty"` // config.yml's freeze

	// Migration is the highest id of the database's migrations when this was proven
	// last; nil where config.yml has no migration_check.
	Migration *int64 `json:"migration,omitempty"`
	// Files are those that it was made of, as git has them, by path, without secrets
	// that stand in the clear: going back needs no git. Store.Files reads them.
	Files map[string]File `json:"files,omitempty"`
	// Contents are those of Files, by their sum, where they are still to be saved.
	Contents map[string][]byte `json:"-"`

	// Of is the first state that had these services, where this one went back to
	// it; 0 for one that did not.
	Of uint64 `json:"of,omitempty"`
}

// SaveOutcome writes a sync, and what it applied unless that is nil, at once.
// What was applied is then a good state as well.
func (s *Store) SaveOutcome(sync *Sync, applied *Applied) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		if err := errors.Join(putSync(tx.Bucket(syncsBucket), sync), s.putAuditHead(tx)); err != nil || applied == nil {
			return err
		}
		applied.SyncID = sync.ID
		good := tx.Bucket(goodBucket)
		return errors.Join(putJSON(tx.Bucket(metaBucket), appliedKey, applied), saveGood(good, applied), pruneGood(good, applied.At),
			saveFiles(tx, applied.Contents), dropFiles(tx))
	})
}

// Applied gives what was last applied, or nil.
func (s *Store) Applied() (*Applied, error) {
	var applied *Applied
	err := s.view(metaBucket, func(b *bbolt.Bucket) error {
		data := b.Get(appliedKey)
		if data == nil {
			return nil
		}
		applied = &Applied{}
		return json.Unmarshal(data, applied)
	})
	return applied, err
}
