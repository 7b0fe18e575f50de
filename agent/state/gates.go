package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/audit"
)

// Override is a person's word that a freeze does not hold for a sync.
type Override struct {
	Actor  audit.Actor `json:"actor"`
	Reason string      `json:"reason"`
	At     time.Time   `json:"at"`
}

// Asked is what is remembered of a commit that needs approval.
type Asked struct {
	// PlanDigest is that of the first plan that was made for it: what an approval in
	// GitLab, which knows of no plan, is taken to be for.
	PlanDigest string    `json:"plan_digest"`
	Unresolved bool      `json:"unresolved,omitempty"` // an image's digest was not known then
	At         time.Time `json:"at"`
	Given      *Approval `json:"given,omitempty"` // on the node, the last one
}

var (
	approvalsBucket = []byte("approvals")
	pauseKey        = []byte("pause")
)

// askedLife is how long it is remembered that a commit needed approval.
const askedLife = 90 * 24 * time.Hour

// Pause gives the pause that was asked for last, whether it is over or not; nil
// where somebody has ended it.
func (s *Store) Pause() (*Pause, error) {
	var pause *Pause
	err := s.view(metaBucket, func(b *bbolt.Bucket) error {
		data := b.Get(pauseKey)
		if data == nil {
			return nil
		}
		if err := json.Unmarshal(data, &pause); err != nil {
			return fmt.Errorf("read pause: %w", err)
		}
		return nil
	})
	return pause, err
}

// SavePause begins a pause, or ends it with nil.
func (s *Store) SavePause(pause *Pause) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		if pause == nil {
			return tx.Bucket(metaBucket).Delete(pauseKey)
		}
		return putJSON(tx.Bucket(metaBucket), pauseKey, pause)
	})
}

// Over says whether a pause has ended by itself.
func (p *Pause) Over(now time.Time) bool { return !p.Until.IsZero() && !now.Before(p.Until) }

// Asked gives what is remembered of a commit that needs approval, after it has noted
// that plan as its first where there was none before, or none with all digests.
func (s *Store) Asked(commit, plan string, unresolved bool) (Asked, error) {
	asked, known, err := s.asked(commit)
	if err != nil || known && (!asked.Unresolved || unresolved) {
		return asked, err
	}
	asked = Asked{PlanDigest: plan, Unresolved: unresolved, At: time.Now().UTC(), Given: asked.Given}
	return asked, s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(approvalsBucket)
		return errors.Join(forgetAsked(b, asked.At.Add(-askedLife)), putJSON(b, []byte(commit), asked))
	})
}

// Approve records a person's approval, on this node, of a plan for a commit.
func (s *Store) Approve(commit string, approval *Approval) error {
	asked, known, err := s.asked(commit)
	if err != nil {
		return err
	}
	if !known {
		asked = Asked{PlanDigest: approval.PlanDigest, At: approval.At}
	}
	asked.Given = approval
	return s.db.Update(func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(approvalsBucket), []byte(commit), asked) })
}

func (s *Store) asked(commit string) (asked Asked, known bool, err error) {
	err = s.view(approvalsBucket, func(b *bbolt.Bucket) error {
		data := b.Get([]byte(commit))
		if data == nil {
			return nil
		}
		known = true
		if err := json.Unmarshal(data, &asked); err != nil {
			return fmt.Errorf("read approval of %s: %w", commit, err)
		}
		return nil
	})
	return asked, known, err
}

// forgetAsked drops what was asked before a time.
func forgetAsked(b *bbolt.Bucket, before time.Time) error {
	var old [][]byte
	err := b.ForEach(func(commit, data []byte) error {
		var asked Asked
		if json.Unmarshal(data, &asked) == nil && asked.At.Before(before) {
			old = append(old, append([]byte(nil), commit...))
		}
		return nil
	})
	for _, commit := range old {
		err = errors.Join(err, b.Delete(commit))
	}
	return err
}
