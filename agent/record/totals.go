package record

import "time"

// Totals count what became of the syncs of a stack, over restarts and beyond the history.
type Totals struct {
	Syncs     map[Result]map[Trigger]uint64 `json:"syncs,omitempty"`
	Rollbacks map[RollbackResult]uint64     `json:"rollbacks,omitempty"`

	Rollout  Histogram `json:"rollout,omitzero"`  // of the rollouts that succeeded and wrote; see Took
	Rollback Histogram `json:"rollback,omitzero"` // of the rollbacks that were done
	Lead     Histogram `json:"lead,omitzero"`     // see LeadTime
}

// Result says in one word what became of a sync.
type Result string

// The results of syncs.
const (
	ResultSucceeded  Result = "succeeded"
	ResultUnchanged  Result = "unchanged" // succeeded, and nothing had to be written
	ResultFailed     Result = "failed"
	ResultRolledBack Result = "rolled_back"
	ResultSuperseded Result = "superseded"
)

// Results lists the results.
func Results() []Result {
	return []Result{ResultSucceeded, ResultUnchanged, ResultFailed, ResultRolledBack, ResultSuperseded}
}

// Triggers lists the triggers.
func Triggers() []Trigger { return []Trigger{OnCommit, OnRequest, OnDrift, OnRollback} }

// ResultOf gives the result of a sync; "" while it is not over, or is tried again.
func ResultOf(s *Sync) Result {
	switch {
	case s.CarriesOn():
		return ""
	case s.State == Succeeded && !s.Wrote:
		return ResultUnchanged
	}
	return Result(s.State)
}

// RollbackResult says in one word what became of a rollback.
type RollbackResult string

// The results of rollbacks.
const (
	RollbackDone    RollbackResult = "done"
	RollbackRefused RollbackResult = "refused" // nothing was written
	RollbackFailed  RollbackResult = "failed"
)

// RollbackResults lists the results of rollbacks.
func RollbackResults() []RollbackResult {
	return []RollbackResult{RollbackDone, RollbackRefused, RollbackFailed}
}

// RollbackResultOf gives the result of the sync's own rollback; "" without one, and while it is
// not over.
func RollbackResultOf(s *Sync) RollbackResult {
	back := s.Rollback
	switch {
	case back == nil || s.Unchanged || !back.Over():
		return ""
	case back.Refused != "":
		return RollbackRefused
	case back.Error != "":
		return RollbackFailed
	}
	return RollbackDone
}

// WorkedFor gives how long a sync that wrote worked: its stages before the first write, without
// the wait for gates, and then the time until its end. It is 0 for one that did not write.
func WorkedFor(s *Sync) time.Duration {
	if !s.Wrote || s.Finished.IsZero() {
		return 0
	}
	var before float64
	for _, stage := range []Stage{StageSigners, StageFetch, StageLoad, StageDecrypt, StageRender, StagePolicy, StagePlan, StageGate} {
		before += s.Seconds[stage]
	}
	return max(s.Finished.Sub(s.Deployed()), 0) + time.Duration(before*float64(time.Second))
}

// LeadTimeOf gives the time from the commit, which of a merge commit is the time of the merge,
// until the last service was healthy. It is 0 for a sync that did not bring a commit.
func LeadTimeOf(s *Sync) time.Duration {
	if ResultOf(s) != ResultSucceeded || s.Trigger != OnCommit || s.Committed.IsZero() {
		return 0
	}
	return max(s.Finished.Sub(s.Committed), 0)
}

// Take counts a sync that is saved, if that ends it or its rollback; before is what was saved
// of it before, nil for nothing.
func (t *Totals) Take(before, after *Sync) {
	if before == nil {
		before = &Sync{State: Pending}
	}
	if result := ResultOf(after); result != "" && ResultOf(before) == "" {
		if t.Syncs == nil {
			t.Syncs = map[Result]map[Trigger]uint64{}
		}
		if t.Syncs[result] == nil {
			t.Syncs[result] = map[Trigger]uint64{}
		}
		t.Syncs[result][after.Trigger]++
		if took := WorkedFor(after); result == ResultSucceeded && took > 0 {
			t.Rollout.observe(took, RolloutBounds())
		}
		if lead := LeadTimeOf(after); lead > 0 {
			t.Lead.observe(lead, LeadBounds())
		}
	}
	if result := RollbackResultOf(after); result != "" && RollbackResultOf(before) == "" {
		if t.Rollbacks == nil {
			t.Rollbacks = map[RollbackResult]uint64{}
		}
		t.Rollbacks[result]++
		if result == RollbackDone {
			t.Rollback.observe(after.Rollback.Finished.Sub(after.Rollback.Started), RolloutBounds())
		}
	}
}

// Histogram counts durations by bounds.
type Histogram struct {
	Count   uint64   `json:"count"`
	Sum     float64  `json:"sum"`     // in seconds
	Buckets []uint64 `json:"buckets"` // up to each bound, cumulative
}

// RolloutBounds are the bounds for rollouts and rollbacks, in seconds.
func RolloutBounds() []float64 {
	return []float64{10, 30, 60, 120, 300, 600, 900, 1800, 3600}
}

// LeadBounds are the bounds for lead times, in seconds.
func LeadBounds() []float64 {
	const hour = 3600
	return []float64{300, 900, 1800, hour, 2 * hour, 4 * hour, 8 * hour, 24 * hour, 72 * hour, 168 * hour}
}

// observe counts a duration. Other bounds than those of before begin anew.
func (h *Histogram) observe(took time.Duration, bounds []float64) {
	buckets := make([]uint64, len(bounds))
	if len(h.Buckets) != len(bounds) {
		h.Count, h.Sum = 0, 0
	} else {
		copy(buckets, h.Buckets)
	}
	for i, bound := range bounds {
		if took.Seconds() <= bound {
			buckets[i]++
		}
	}
	h.Count, h.Sum, h.Buckets = h.Count+1, h.Sum+took.Seconds(), buckets
}
