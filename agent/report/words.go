package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// Target names the good state of a rollback.
func Target(taken *record.Rollback) string {
	return fmt.Sprintf("%s (sync #%d)", cmp.Or(taken.Release, short(taken.Commit)), taken.To)
}

// Because gives the reason of a rollback, to be appended to what it did.
func Because(taken *record.Rollback) string {
	if taken.Reason == "" {
		return ""
	}
	return ": " + taken.Reason
}

// RollbackText gives the outcome of the rollback of a sync; "" when it has none.
func RollbackText(sync *record.Sync) string { return rollbackText(sync.Rollback) }

func rollbackText(taken *record.Rollback) string {
	switch {
	case taken == nil || taken.Finished.IsZero():
		return ""
	case taken.Refused != "":
		return "not rolled back: " + taken.Refused
	case taken.Error != "":
		return "not well after going back to " + Target(taken) + ": " + taken.Error
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

// ApprovalText gives in one line who approved, and where.
func ApprovalText(approval *record.Approval) string {
	who := strings.Join(approval.By, ", ")
	if approval.Source == record.FromNode {
		return fmt.Sprintf("approved on the node by %s: %s", who, approval.Reason)
	}
	return fmt.Sprintf("approved in !%d by %s", approval.MergeRequest, who)
}

// PauseText gives in one line who paused the agent, until when and why.
func PauseText(pause *record.Pause, now time.Time) string {
	if pause.Until.IsZero() {
		return fmt.Sprintf("paused by %s: %s", pause.Actor, pause.Reason)
	}
	return fmt.Sprintf("paused by %s until %s: %s", pause.Actor, Clock(pause.Until.Local(), now), pause.Reason)
}

// Clock gives a future time in its own time zone, in the shortest unambiguous form.
func Clock(at, now time.Time) string {
	now = now.In(at.Location())
	switch day := at.YearDay() == now.YearDay() && at.Year() == now.Year(); {
	case day:
		return at.Format("15:04 MST")
	case at.Sub(now) < 6*24*time.Hour:
		return at.Format("Mon 15:04 MST")
	}
	return at.Format("Mon 2006-01-02 15:04 MST")
}

// OneLine gives joined errors as one text.
func OneLine(err error) string {
	var texts []string
	for _, one := range fault.All(err) {
		texts = append(texts, one.Error())
	}
	return strings.Join(texts, "; ")
}
