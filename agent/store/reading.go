package store

import (
	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// readingKey holds the revision that is read.
var readingKey = []byte("reading")

// Reading gives the revision that was read last; the zero Reading before the first one.
func (s *Store) Reading() (record.Reading, error) {
	return get[record.Reading](s, metaBucket, "revision that is read", readingKey)
}

// SaveReading records it.
func (s *Store) SaveReading(reading record.Reading) error {
	return inTransaction(s, func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(metaBucket), readingKey, reading) })
}
