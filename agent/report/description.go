package report

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
)

// MaxDescription is what GitLab allows for the description of a status.
const MaxDescription = 255

// DegradedSince begins the description of a good rollout whose services became unhealthy.
const DegradedSince = "rolled out, and degraded since"

// Description gives a sync in one line, as the commit status in GitLab shows it. owner is
// the node as environment/node.
func Description(sync *record.Sync, owner string) string {
	if record.Observed(sync) {
		return clip(observed(sync), MaxDescription)
	}
	switch sync.State {
	case record.Waiting:
		return clip(waitingAt(sync)+": "+sync.Waiting, MaxDescription)
	case record.Pending:
		return sync.Summary
	case record.Running:
		return clip("rolling out"+overrides(sync), MaxDescription)
	case record.Failed, record.RolledBack:
		return failure(sync, owner)
	case record.Succeeded:
		if sync.Degraded != "" {
			text := DegradedSince + ": " + sync.Degraded
			if refused := RollbackText(sync); refused != "" {
				text += "; " + refused
			}
			return clip(text+"; see `agent status`", MaxDescription)
		}
		if said := overrides(sync); said != "" {
			return clip(sync.Summary+said, MaxDescription)
		}
	case record.New, record.Superseded:
	}
	return sync.Summary
}

// observed says what an agent that only observes would change, and at which gates that would wait.
// Why it would, each look may say in other words: GitLab makes another entry for another text.
func observed(sync *record.Sync) (text string) {
	var waits []string
	for _, gate := range sync.Gates {
		switch {
		case gate.Name == record.GateObserve:
			text = gate.Waiting
		case gate.Waiting != "":
			waits = append(waits, string(gate.Name))
		}
	}
	if len(waits) > 0 {
		text += "; would then wait for " + strings.Join(waits, ", ")
	}
	return text
}

// overrides gives the user decisions that a rollout relied on: an approval on the node
// instead of GitLab's own, or an overridden freeze. Users who look at the commit must see
// them.
func overrides(sync *record.Sync) string {
	text := ""
	if sync.Approval != nil && sync.Approval.Source == record.FromNode && sync.Wrote {
		text += ", " + gates.ApprovalText(sync.Approval)
	}
	for _, gate := range sync.Gates {
		if gate.Name == record.GateFreeze && gate.Passed != "" && sync.Wrote {
			text += ", " + gate.Passed
		}
	}
	return text
}

// failure gives the first fault and its hint, with the result of the rollback between
// them. If the text is too long, the place is given relative to the node's folder (the
// status' name has the node). Then the middle is cut, so that the beginning of the hint
// stays.
func failure(sync *record.Sync, owner string) string {
	rollback := RollbackText(sync)
	switch {
	case sync.Error == "":
		return clip(rollback, MaxDescription)
	case sync.State == record.Failed && sync.IsRollback():
		rollback = "" // the error contains it
	case rollback != "":
		rollback = "; " + clip(rollback, MaxDescription/2)
	}
	limit := MaxDescription - length(rollback)
	text, hint := string(sync.Stage)+": "+sync.Error, sync.Key.In(sync.Hint)
	if hint != "" {
		hint = " (" + hint + ")"
	}
	if length(text+hint) > limit {
		environment, node, _ := strings.Cut(owner, "/")
		folder := "environments/" + environment + "/"
		shorten := strings.NewReplacer(folder+"nodes/"+node+"/", "", folder, "")
		text, hint = shorten.Replace(text), shorten.Replace(hint)
	}
	text = clip(text, max(limit-length(hint), limit/2))
	return text + rollback + clip(hint, limit-length(text))
}

func length(text string) int { return utf8.RuneCountInString(text) }

// clip cuts text to a number of characters; an ellipsis marks the cut.
func clip(text string, limit int) string {
	if length(text) <= limit {
		return text
	}
	return fmt.Sprintf("%s…", strings.TrimRight(string([]rune(text)[:limit-1]), " "))
}

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
	if taken.By.Person() {
		text += " by " + taken.By.String()
	}
	return text + Because(taken)
}
