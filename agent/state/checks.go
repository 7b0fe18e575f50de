package state

import (
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"
)

const (
	// compared is how many good releases a check's time is compared with.
	compared = 10
	// searched bounds the syncs that are looked at for them.
	searched = 200
)

// CheckTimes gives how many seconds each check took, by its name, in the last ten
// good revisions other than commit, the newest first.
func (s *Store) CheckTimes(commit string) (map[string][]float64, error) {
	times, seen := map[string][]float64{}, map[string]bool{commit: true}
	err := s.view(syncsBucket, func(b *bbolt.Bucket) error {
		cursor, looked := b.Cursor(), 0
		for key, data := cursor.Last(); key != nil && looked < searched && len(seen) <= compared; key, data = cursor.Prev() {
			looked++
			var sync struct {
				Commit string  `json:"commit"`
				State  Outcome `json:"state"`
				Checks []struct {
					Name    string  `json:"name"`
					Seconds float64 `json:"seconds"`
				} `json:"checks"`
			}
			if err := json.Unmarshal(data, &sync); err != nil {
				return fmt.Errorf("read sync: %w", err)
			}
			if sync.State != Succeeded || len(sync.Checks) == 0 || seen[sync.Commit] {
				continue
			}
			seen[sync.Commit] = true
			for _, check := range sync.Checks {
				times[check.Name] = append(times[check.Name], check.Seconds)
			}
		}
		return nil
	})
	return times, err
}
