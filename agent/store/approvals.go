package store

import (
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// Asked gives what is remembered of a commit that needs approval. It records plan as the
// commit's first plan where there is none yet, or none with all digests.
func (s *Stack) Asked(commit, plan string, unresolved bool) (record.Asked, error) {
	asked, known, err := askedOf(s, commit)
	if err != nil || known && (!asked.Unresolved || unresolved) {
		return asked, err
	}
	asked = record.Asked{PlanDigest: plan, Unresolved: unresolved, At: time.Now().UTC(), Given: asked.Given}
	return asked, s.update(func(_ *bbolt.Tx, stack *bbolt.Bucket) error {
		b := stack.Bucket(approvalsBucket)
		return errors.Join(dropOld(s.store, b, nameOf(s, "approvals"), func(one record.Asked) time.Time { return one.At }), putJSON(b, []byte(commit), asked))
	})
}

// Approve records an approval, on this node, of a plan for a commit.
func (s *Stack) Approve(commit string, approval *record.Approval) error {
	asked, known, err := askedOf(s, commit)
	if err != nil {
		return err
	}
	if !known {
		asked = record.Asked{PlanDigest: approval.PlanDigest, At: approval.At}
	}
	asked.Given = approval
	return s.update(func(_ *bbolt.Tx, stack *bbolt.Bucket) error {
		return putJSON(stack.Bucket(approvalsBucket), []byte(commit), asked)
	})
}

func askedOf(s *Stack, commit string) (asked record.Asked, known bool, err error) {
	err = viewStack(s, func(b *bbolt.Bucket) error {
		asked, known = find[record.Asked](s.store, b.Bucket(approvalsBucket), nameOf(s, "approval of "+commit), []byte(commit))
		return nil
	})
	return asked, known, err
}
