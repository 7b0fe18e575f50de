package record

import "encoding/json"

// Attempt is what one pass through the stages leaves on record: a rollout in the sync
// itself, a rollback in the sync's Rollback.
type Attempt struct {
	Wrote      bool // the engine was written to
	Plan       json.RawMessage
	PlanDigest string
	Announced  string          // see Sync.Announced
	Services   json.RawMessage // what verify saw of each service
	Checks     json.RawMessage
	Seconds    map[Stage]float64
	Warnings   []string
}

// Attempt gives what the rollout of a sync has left on record.
func (s *Sync) Attempt() *Attempt {
	return &Attempt{
		Wrote: s.Wrote, Plan: s.Plan, PlanDigest: s.PlanDigest, Announced: s.Announced, Services: s.Services,
		Checks: s.Checks, Seconds: s.Seconds, Warnings: s.Warnings,
	}
}

// Note records what the rollout of a sync has done so far.
func (s *Sync) Note(a *Attempt) {
	s.Wrote, s.Plan, s.PlanDigest, s.Services = s.Wrote || a.Wrote, a.Plan, a.PlanDigest, a.Services
	s.Checks, s.Seconds, s.Warnings, s.Announced = a.Checks, a.Seconds, a.Warnings, a.Announced
}

// Attempt gives what a rollback has left on record that it is carried on with.
func (b *Rollback) Attempt() *Attempt {
	return &Attempt{Wrote: b.Wrote, Plan: b.Plan, PlanDigest: b.PlanDigest, Seconds: map[Stage]float64{}}
}

// Note records what a rollback has done so far.
func (b *Rollback) Note(a *Attempt) {
	b.Wrote, b.Plan, b.PlanDigest, b.ServicesOf = a.Wrote, a.Plan, a.PlanDigest, a.Services
	b.Checks, b.Seconds, b.Warnings = a.Checks, a.Seconds, a.Warnings
}
