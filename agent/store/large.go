package store

import (
	"bytes"
	"errors"

	"go.etcd.io/bbolt"
)

// shared is how many bytes a record may have that is in the bucket of its kind. A larger one is alone
// in a bucket of its own below that, with its key: bbolt writes all records of a page anew when one
// of them changes, and the specs of 200 services are 400 kB.
const shared = 4 << 10

// contentKey holds a record in a bucket of its own.
var contentKey = []byte("content")

// putRecord writes a record.
func putRecord(b *bbolt.Bucket, key, data []byte) error {
	alone := b.Bucket(key)
	if len(data) <= shared {
		if alone != nil {
			if err := b.DeleteBucket(key); err != nil {
				return err
			}
		}
		return b.Put(key, data)
	}
	if alone == nil {
		err := b.Delete(key)
		if err == nil {
			alone, err = b.CreateBucket(key)
		}
		if err != nil {
			return err
		}
	}
	return alone.Put(contentKey, data)
}

// recordAt gives the record of a key; nil if there is none. It is valid until the transaction ends.
func recordAt(b *bbolt.Bucket, key []byte) []byte { return contentOf(b, key, b.Get(key)) }

// contentOf gives the record of a key, at which a cursor found this value.
func contentOf(b *bbolt.Bucket, key, value []byte) []byte {
	if value != nil {
		return value
	}
	if alone := b.Bucket(key); alone != nil {
		return alone.Get(contentKey)
	}
	return nil
}

// deleteRecord deletes the record of a key, if there is one.
func deleteRecord(b *bbolt.Bucket, key []byte) error {
	if b.Bucket(key) != nil {
		return b.DeleteBucket(key)
	}
	return b.Delete(key)
}

// separate moves the large records of a bucket to buckets of their own, as schema 3 has them.
func separate(b *bbolt.Bucket) error {
	var large [][]byte
	err := b.ForEach(func(key, value []byte) error {
		if len(value) > shared {
			large = append(large, bytes.Clone(key))
		}
		return nil
	})
	for _, key := range large {
		err = errors.Join(err, putRecord(b, key, bytes.Clone(b.Get(key))))
	}
	return err
}
