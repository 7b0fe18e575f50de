package state

import (
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Deployment is what a sync is about to bring to the node, beside its plan: what
// its manifest tells. It is recorded with the plan.
type Deployment struct {
	Agent      string    `json:"agent,omitempty"` // the version that made the plan
	TaskID     string    `json:"task_id,omitempty"`
	PipelineID string    `json:"pipeline_id,omitempty"`
	Nodes      []string  `json:"nodes,omitempty"`    // of the environment, in the order of config.yml
	Services   []Image   `json:"services,omitempty"` // sorted by service
	Secrets    []Version `json:"secrets,omitempty"`  // sorted by name
	Configs    []Version `json:"configs,omitempty"`
}

// Image is what a service runs, with its digest where that is known.
type Image struct {
	Service string `json:"service"` // full name
	Image   string `json:"image"`
	Before  string `json:"before,omitempty"` // what ran before, where that is another
	New     bool   `json:"new,omitempty"`    // the service was not there
}

// Version is a secret or config that services use, by its name in Swarm.
type Version struct {
	Name string   `json:"name"`
	Key  string   `json:"key,omitempty"` // in the compose file; none for an external one
	By   []string `json:"by,omitempty"`  // services, sorted
}

// Sync gives a sync by its ID, nil where there is none, and the oldest and the
// newest ID that there are.
func (s *Store) Sync(id uint64) (found *Sync, oldest, newest uint64, err error) {
	err = s.view(syncsBucket, func(b *bbolt.Bucket) error {
		first, _ := b.Cursor().First()
		last, _ := b.Cursor().Last()
		if first == nil {
			return nil
		}
		oldest, newest = numberOf(first), numberOf(last)
		data := b.Get(number(id))
		if data == nil {
			return nil
		}
		found = &Sync{}
		if err := json.Unmarshal(data, found); err != nil {
			return fmt.Errorf("read sync %d: %w", id, err)
		}
		return nil
	})
	return found, oldest, newest, err
}

// Enter notes when a stage begins. An apply that is carried on after a restart
// began when it first did.
func (s *Sync) Enter(stage string, now time.Time) {
	if s.Entered == nil {
		s.Entered = map[string]time.Time{}
	}
	if !s.Touched || stage != "apply" || s.Entered[stage].IsZero() {
		s.Entered[stage] = now.UTC()
	}
}
