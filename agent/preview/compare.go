package preview

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// mostCompared is how many syncs are compared after the agent or GitLab was away.
const mostCompared = 20

// compare compares the plan of a sync that is over with the one that was shown on the merge
// request which brought its commit. It reports whether there was a sync to compare.
func (w *Worker) compare(ctx context.Context) (bool, error) {
	last := w.use.Last()
	if last == nil || last.ID <= w.mark.Compared || last == w.undecided {
		return false, nil
	}
	read := 0
	recent, err := w.use.Syncs.SyncsUntil(func(one *record.Sync) bool {
		read++
		return one.ID <= w.mark.Compared || read > mostCompared
	})
	if err != nil {
		return false, err
	}
	planned := slices.ContainsFunc(slices.Collect(maps.Values(w.shown)), func(one *Shown) bool { return one.Plan != "" && one.Told && !one.After })
	for _, sync := range slices.Backward(recent) { // the oldest first
		if !sync.State.Final() || sync.Transient {
			w.undecided = last
			return false, nil // a look after the next record says how it ends
		}
		if planned && sync.PlanDigest != "" && !sync.IsRollback() && sync.Trigger != record.OnDrift {
			if err := w.compareWith(ctx, &sync); err != nil {
				return false, err
			}
		}
		return true, w.saveMark(func(m *Mark) { m.Compared = sync.ID })
	}
	return false, nil
}

// compareWith looks for the merge requests that brought the commit of a sync.
func (w *Worker) compareWith(ctx context.Context, sync *record.Sync) error {
	brought, err := w.use.Requests.Brought(ctx, sync.Commit)
	if err != nil && alone(err) {
		w.use.Log.Warn("cannot compare the applied plan with the one of the merge request", "revision", record.Short(sync.Commit), "error", err)
		return nil // the others do not wait for it
	}
	if err != nil {
		return err
	}
	for _, request := range brought {
		one := w.shown[request.Number]
		if one == nil || one.Of != request.Head || one.Plan == "" || !one.Told || one.After || request.Target != w.use.Branch {
			continue
		}
		if err := tell(w, *one, sync); err != nil {
			return err
		}
	}
	return nil
}

// tell says on the merge request that the applied plan is not the one that was shown.
func tell(w *Worker, one Shown, sync *record.Sync) error {
	shown := one.Plan
	one.After, one.Plan, one.Report, one.Phase, one.Counts = true, "", nil, "", false
	if sync.PlanDigest == shown || sync.Announced == shown {
		return w.save(one, nil)
	}
	text, err := w.use.Store.PreviewText(one.Number)
	if err != nil {
		return err
	}
	var applied deploy.RecordedPlan
	if err := json.Unmarshal(sync.Plan, &applied); err != nil {
		return fmt.Errorf("read the recorded plan: %w", err)
	}
	one.Phase, one.Due, one.Left, one.Tries = Write, time.Now(), 2, 0
	w.use.Log.Info("the applied plan is not the one that the merge request has shown", "number", one.Number, "revision", record.Short(sync.Commit), "sync", sync.ID)
	return w.save(one, &Text{Page: report.AppliedPage(w.use.Node, text.Lines, sync, applied)})
}
