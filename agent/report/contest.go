package report

import (
	"cmp"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/deploy"
)

// NextOfContest says what a user does about a contest.
const NextOfContest = "stop the other process, or list the field in drift_ignore of config.yml; `agent sync` corrects it now"

// ContestText gives a contest in one line: "replicas of web changed back to 4 three times;
// another process manages it".
func ContestText(stack string, c drift.Contest) string {
	times := fmt.Sprintf("%d times", c.Times)
	if c.Times == drift.Often {
		times = "three times"
	}
	name := strings.TrimPrefix(c.Service, stack+"_")
	change := deploy.Change{Path: c.Field, Old: "?", New: c.To}
	switch deploy.Action(c.Field) { //nolint:exhaustive // the others are fields
	case deploy.Create:
		return fmt.Sprintf("%s created again %s; another process removes it", name, times)
	case deploy.Remove:
		return fmt.Sprintf("%s removed %s; another process creates it again", name, times)
	case deploy.Replace:
		return fmt.Sprintf("%s replaced %s; another process manages it", name, times)
	}
	label, _, to := sides(change)
	if to == "" {
		return fmt.Sprintf("%s of %s removed %s; another process manages it", label, name, times)
	}
	return fmt.Sprintf("%s of %s changed back to %s %s; another process manages it", label, name, to, times)
}

// IgnoredText gives an ignored field in one line: "replicas of web until 2027-03-01: the
// autoscaler sets it (7 stays, declared is 4)".
func IgnoredText(stack string, i deploy.Ignored) string {
	text := i.Field + " of " + strings.TrimPrefix(i.Service, stack+"_")
	if i.Until != "" {
		text += " until " + i.Until
	}
	text += ": " + i.Reason
	switch len(i.Changes) {
	case 0:
		return text
	case 1:
		_, live, declared := sides(i.Changes[0])
		return fmt.Sprintf("%s (%s stays, declared is %s)", text, cmp.Or(live, "none"), cmp.Or(declared, "none"))
	}
	return fmt.Sprintf("%s (%s stay)", text, ChangeLabels(deploy.Step{Changes: i.Changes}))
}

// AddContests adds to the notice of a drift that the agent leaves services as they are.
func AddContests(n *notify.Notice, contests []drift.Contest) {
	n.Title = "another process changes back what the agent corrects"
	for _, contest := range contests {
		contest.Times = drift.Often // the same notice as long as the contest goes on
		n.Details = append(n.Details, notify.Detail{Text: ContestText(n.Stack, contest)})
	}
	n.Next = NextOfContest
}
