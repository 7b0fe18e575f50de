package report

import (
	"time"

	"coin.internal/coin-agent/agent/record"
)

// Worked gives how long a sync took to roll out: from the first write to its end, or, if it
// wrote nothing, the sum of its stages. It is 0 for a sync that is not over.
func Worked(sync *record.Sync) time.Duration {
	if sync.Finished.IsZero() {
		return 0
	}
	if sync.Wrote {
		return sync.Finished.Sub(sync.Deployed())
	}
	return min(stages(sync), sync.Finished.Sub(sync.Started))
}

// Waited gives how long a sync waited before it wrote, or ended: at gates, or to be tried
// again. Less than a second does not count.
func Waited(sync *record.Sync) time.Duration {
	end := sync.Finished
	if sync.Wrote {
		end = sync.Deployed()
	}
	if end.IsZero() || len(sync.Gates) == 0 && sync.Retries == 0 {
		return 0
	}
	waited := end.Sub(sync.Started) - stages(sync)
	if waited < time.Second {
		return 0
	}
	return waited
}

// stages gives the sum of the stages before the first write.
func stages(sync *record.Sync) (sum time.Duration) {
	for stage, seconds := range sync.Seconds {
		if stage != record.StageApply && stage != record.StageVerify && stage != record.StageRollback {
			sum += time.Duration(seconds * float64(time.Second))
		}
	}
	return sum
}
