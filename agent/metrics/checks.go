package metrics

import (
	"encoding/json"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
)

// checksEnded takes over the results of the checks that a sync saw last: in its rollback,
// if it had one. One without checks leaves what was seen before, unless it rolled back.
func (s *Stack) checksEnded(sync *record.Sync) {
	data, back := sync.Checks, sync.Rollback
	if back != nil && (sync.State == record.RolledBack || len(back.Checks) > 0) {
		data = back.Checks
	} else if len(data) == 0 {
		return
	}
	var results []checks.Result
	if sync.Unchanged || len(data) > 0 && json.Unmarshal(data, &results) != nil {
		return
	}
	s.Checked(results)
}

// Checked sets the metrics to the results of checks.
func (s *Stack) Checked(results []checks.Result) {
	s.checkOK.Reset()
	s.checkSeconds.Reset()
	for _, result := range results {
		s.checkOK.WithLabelValues(result.Name).Set(truth(result.OK))
		if result.Attempts > 0 {
			s.checkSeconds.WithLabelValues(result.Name).Set(result.Seconds)
		}
	}
}
