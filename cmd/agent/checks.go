package main

import (
	"encoding/json"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
)

// checksText says how the checks of a sync went; "" when it had none.
func checksText(sync *record.Sync) string {
	var results []checks.Result
	if len(sync.Checks) == 0 || json.Unmarshal(sync.Checks, &results) != nil {
		return ""
	}
	return checks.Summary(results)
}
