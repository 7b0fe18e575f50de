// Package dora takes the syncs of nodes, and gives how the team delivers: DORA's four keys
// and the times that the migration's goals name. It reads nothing itself, and the same syncs
// give the same report.
package dora

import (
	"cmp"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/record"
)

// Node is the history of one node, in any order.
type Node struct {
	Name  string
	Syncs []record.Sync
}

// Report is what a period came to.
type Report struct {
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	Nodes   []string  `json:"nodes"`
	Oldest  time.Time `json:"history_begins,omitzero"` // of the shortest history, if that is within the period
	Now     Period    `json:"period"`
	Before  *Period   `json:"period_before,omitempty"` // of the same length; nil if a history does not reach back
	Results []Measure `json:"measures"`
}

// Period counts what ended within a time.
type Period struct {
	Deployments int     `json:"deployments"` // that wrote to a node, and came to an end there
	Failed      int     `json:"failed"`      // of them: failed, rolled back, or left by a rollback later
	Releases    int     `json:"releases"`    // different commits that were rolled out; a commit counts once for all nodes
	PerWeek     float64 `json:"releases_per_week"`
	Open        int     `json:"open_failures"` // nodes and stacks that have not recovered

	Lead      Durations `json:"lead_time"`
	Recovery  Durations `json:"time_to_recover"`
	Approval  Durations `json:"approval_time"`
	Rollout   Durations `json:"deployment_time"`
	Rollbacks Durations `json:"rollback_time"`
}

// Durations sum up durations, in seconds.
type Durations struct {
	Count  int     `json:"count"`
	Mean   float64 `json:"mean"`
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
}

// New makes the report of a period.
func New(nodes []Node, since, until time.Time) Report {
	report := Report{Since: since.UTC(), Until: until.UTC(), Now: count(nodes, since, until)}
	length, reaches := until.Sub(since), len(nodes) > 0
	for _, node := range nodes {
		report.Nodes = append(report.Nodes, node.Name)
		begins := until
		for i := range node.Syncs {
			if node.Syncs[i].Started.Before(begins) {
				begins = node.Syncs[i].Started
			}
		}
		reaches = reaches && !begins.After(since.Add(-length))
		if begins.After(since) && begins.After(report.Oldest) {
			report.Oldest = begins.UTC()
		}
	}
	slices.Sort(report.Nodes)
	if reaches {
		before := count(nodes, since.Add(-length), since)
		report.Before = &before
	}
	report.Results = measures(&report)
	return report
}

// count counts a period.
func count(nodes []Node, since, until time.Time) Period {
	var p Period
	var all spans
	commits := map[string]bool{}
	for _, node := range nodes {
		for _, stack := range stacks(node.Syncs) {
			ended := slices.DeleteFunc(slices.Clone(stack), func(s record.Sync) bool {
				return s.CarriesOn() || s.Finished.Before(since) || !s.Finished.Before(until)
			})
			p.add(ended, leftLater(stack), commits)
			for i := range ended {
				all.take(&ended[i])
			}
			recovered, open := recoveries(stack, since, until)
			all.recovery = append(all.recovery, recovered...)
			p.Open += open
		}
	}
	p.Releases = len(commits)
	p.PerWeek = float64(p.Releases) / (until.Sub(since).Hours() / (7 * 24))
	p.Lead, p.Recovery, p.Approval, p.Rollout, p.Rollbacks = sum(all.lead), sum(all.recovery), sum(all.approval), sum(all.rollout), sum(all.rollback)
	return p
}

// add counts the deployments among the syncs of a stack that ended within the period; left are
// those that a rollback left later.
func (p *Period) add(ended []record.Sync, left map[uint64]bool, commits map[string]bool) {
	for i := range ended {
		sync := &ended[i]
		if !Deploys(sync) {
			continue
		}
		p.Deployments++
		if Fails(sync) || left[sync.ID] {
			p.Failed++
		}
		if sync.State == record.Succeeded {
			commits[sync.Commit] = true
		}
	}
}

// Deploys reports whether a sync counts as a deployment: a commit or a user brought it, it
// wrote to the node, and it came to an end of its own.
func Deploys(sync *record.Sync) bool {
	return (sync.Trigger == record.OnCommit || sync.Trigger == record.OnRequest) &&
		sync.Wrote && !sync.CarriesOn() && sync.State != record.Superseded
}

// Fails reports whether a deployment failed here. One that was taken back because another node
// of its group failed counts as that node's failure.
func Fails(sync *record.Sync) bool {
	return sync.State != record.Succeeded && !sync.RolledBackByGroup()
}

// leftLater gives the deployments that had succeeded and that a later rollback left.
func leftLater(stack []record.Sync) map[uint64]bool {
	left, last := map[uint64]bool{}, uint64(0)
	for i := range stack {
		switch sync := &stack[i]; {
		case Deploys(sync):
			last = sync.ID
		case sync.Trigger == record.OnRollback && record.RollbackResultOf(sync) == record.RollbackDone && !sync.RolledBackByGroup():
			left[last] = true
		}
	}
	return left
}

// stacks gives the syncs by stack, the oldest first.
func stacks(syncs []record.Sync) [][]record.Sync {
	sorted := slices.Clone(syncs)
	slices.SortFunc(sorted, func(a, b record.Sync) int { return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.ID, b.ID)) })
	var all [][]record.Sync
	for i := range sorted {
		if i == 0 || sorted[i].Stack != sorted[i-1].Stack {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], sorted[i])
	}
	return all
}

// spans are the durations of a period.
type spans struct{ lead, recovery, approval, rollout, rollback []time.Duration }

// take notes what one sync took.
func (s *spans) take(sync *record.Sync) {
	if lead := record.LeadTimeOf(sync); lead > 0 {
		s.lead = append(s.lead, lead)
	}
	if sync.Approval != nil {
		s.approval = append(s.approval, max(sync.Approval.At.Sub(sync.Started), 0))
	}
	if Deploys(sync) && sync.State == record.Succeeded {
		s.rollout = append(s.rollout, record.WorkedFor(sync))
	}
	if record.RollbackResultOf(sync) == record.RollbackDone {
		s.rollback = append(s.rollback, sync.Rollback.Finished.Sub(sync.Rollback.Started))
	}
}

// recoveries gives how long the failures took that ended within a period, and 1 if one has not
// ended. A failed deployment does harm from its first write, a release that is left later
// from the start of its rollback: the history does not say since when it did.
func recoveries(stack []record.Sync, since, until time.Time) (ended []time.Duration, open int) {
	var began time.Time
	for i := range stack {
		sync := &stack[i]
		if sync.CarriesOn() || !sync.Finished.Before(until) {
			continue
		}
		left := sync.Trigger == record.OnRollback && record.RollbackResultOf(sync) == record.RollbackDone && !sync.RolledBackByGroup()
		switch {
		case !began.IsZero():
		case Deploys(sync) && Fails(sync):
			began = sync.Deployed()
		case left:
			began = sync.Rollback.Started
		}
		if began.IsZero() || !sync.Verified() || sync.Unchanged {
			continue
		}
		if !sync.Finished.Before(since) {
			ended = append(ended, sync.Finished.Sub(began))
		}
		began = time.Time{}
	}
	if !began.IsZero() {
		open = 1
	}
	return ended, open
}

// sum sums durations up.
func sum(all []time.Duration) Durations {
	if len(all) == 0 {
		return Durations{}
	}
	slices.Sort(all)
	var total time.Duration
	for _, one := range all {
		total += one
	}
	rank := func(percent int) float64 { return all[(len(all)*percent+99)/100-1].Seconds() } // the nearest rank
	return Durations{Count: len(all), Mean: total.Seconds() / float64(len(all)), Median: rank(50), P95: rank(95)}
}
