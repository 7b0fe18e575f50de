package report

import (
	"cmp"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
)

// Target names the good state of a rollback.
func Target(taken *record.Rollback) string {
	return fmt.Sprintf("%s (sync #%d)", cmp.Or(taken.Release, record.Short(taken.Commit)), taken.To)
}

// Because gives the reason of a rollback, to be appended to what it did.
func Because(taken *record.Rollback) string {
	if taken.Reason == "" {
		return ""
	}
	return ": " + taken.Reason
}

// RollbackText gives the outcome of the rollback of a sync; "" when it has none.
func RollbackText(sync *record.Sync) string {
	taken := sync.Rollback
	switch {
	case taken == nil || taken.Finished.IsZero():
		return ""
	case taken.Refused != "":
		return "not rolled back: " + taken.Refused
	case taken.Error != "":
		return "rolled back to " + Target(taken) + ", but it is unhealthy: " + taken.Error
	}
	text := "rolled back to " + Target(taken)
	if len(taken.Services) > 0 {
		text = "rolled " + strings.Join(taken.Services, ", ") + " back to " + Target(taken)
	}
	if taken.By.By == audit.ByUser {
		text += " by " + taken.By.String()
	}
	return text + Because(taken)
}
