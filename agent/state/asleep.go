package state

import (
	"encoding/json"

	"go.etcd.io/bbolt"
)

var asleepKey = []byte("asleep")

// Asleep are the cron services that an application has scaled down and that are
// not back yet.
type Asleep struct {
	Stack    string            `json:"stack"`
	Services map[string]uint64 `json:"services"` // how many replicas each had, by full name
}

// Asleep gives the cron services that still have to be brought back.
func (s *Store) Asleep() (Asleep, error) {
	var asleep Asleep
	err := s.view(metaBucket, func(b *bbolt.Bucket) error {
		if data := b.Get(asleepKey); data != nil {
			return json.Unmarshal(data, &asleep)
		}
		return nil
	})
	return asleep, err
}

// SaveAsleep writes down what has to be brought back, before it is scaled down; with
// no services, that all are back.
func (s *Store) SaveAsleep(asleep Asleep) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		if len(asleep.Services) == 0 {
			return tx.Bucket(metaBucket).Delete(asleepKey)
		}
		return putJSON(tx.Bucket(metaBucket), asleepKey, asleep)
	})
}
