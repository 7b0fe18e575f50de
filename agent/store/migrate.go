package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
)

// migrate brings a file of an older schema to the current one. The records themselves stay as they
// are.
func migrate(tx *bbolt.Tx, owner string) error {
	found := tx.Bucket(metaBucket).Get(versionKey)
	if found == nil {
		return nil
	}
	var err error
	switch numberOf(found) {
	case 1:
		err = errors.Join(perStack(tx, owner), separateStacks(tx))
	case 2:
		err = separateStacks(tx)
	}
	return err
}

// separateStacks brings a file to schema 3: the large records that each stack has once get buckets of
// their own. The other large ones stay where they are until they are written again or dropped: they
// may be hundreds of megabytes.
func separateStacks(tx *bbolt.Tx) error {
	stacks := tx.Bucket(stacksBucket)
	return stacks.ForEachBucket(func(name []byte) error { return separate(stacks.Bucket(name)) })
}

// perStack brings a file of schema 1, which knew one stack, to schema 2, which has a bucket for each.
func perStack(tx *bbolt.Tx, owner string) error {
	meta := tx.Bucket(metaBucket)
	stack, err := tx.Bucket(stacksBucket).CreateBucketIfNotExists([]byte(record.OnlyStack))
	if err != nil {
		return err
	}
	for from, to := range map[string][]byte{"applied": goodKey, "asleep": scaledDownKey, "pause": pauseKey} {
		data := bytes.Clone(meta.Get([]byte(from)))
		if data == nil {
			continue
		}
		if err := errors.Join(stack.Put(to, data), meta.Delete([]byte(from))); err != nil {
			return err
		}
	}
	for _, name := range [][]byte{syncsBucket, goodBucket, approvalsBucket} {
		if err := moveBucket(tx, name, stack); err != nil {
			return fmt.Errorf("move %s: %w", name, err)
		}
	}
	if _, err := makeStack(tx, record.OnlyStack); err != nil {
		return err
	}
	return nameTrails(tx.Bucket(trailsBucket), owner)
}

// moveBucket moves an old top-level bucket. The numbers of syncs go on after the last one,
// and the count of the stack's syncs begins.
func moveBucket(tx *bbolt.Tx, name []byte, to *bbolt.Bucket) error {
	from, stacks := tx.Bucket(name), tx.Bucket(stacksBucket)
	if from == nil {
		return nil
	}
	last := max(from.Sequence(), stacks.Sequence())
	if err := tx.MoveBucket(name, nil, to); err != nil {
		return err
	}
	return errors.Join(stacks.SetSequence(last), to.Bucket(name).SetSequence(0))
}

// nameTrails keys the trails by the status name as well: several stacks report on one
// commit.
func nameTrails(trails *bbolt.Bucket, owner string) error {
	renamed := map[string][]byte{}
	err := trails.ForEach(func(key, data []byte) error {
		var trail gitlab.Trail
		name := "coin-agent/" + owner
		if json.Unmarshal(data, &trail) == nil && trail.Last.Name != "" {
			name = trail.Last.Name
		}
		renamed[string(key)+" "+name] = bytes.Clone(data)
		return nil
	})
	for key, data := range renamed {
		err = errors.Join(err, trails.Put([]byte(key), data))
	}
	old := func(key, _ []byte) bool { return renamed[string(key)] == nil }
	return errors.Join(err, drop(trails, old))
}
