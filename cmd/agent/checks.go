package main

import (
	"encoding/json"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
)

// checksText gives the check results of a sync in one text; "" if it had no checks.
func checksText(sync *record.Sync) string {
	var results []checks.Result
	if len(sync.Checks) == 0 || json.Unmarshal(sync.Checks, &results) != nil {
		return ""
	}
	return checks.Summary(results)
}
