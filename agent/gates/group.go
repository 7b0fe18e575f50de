package gates

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
)

// The nodes of a blue-green rollout are a group: the secondaries (green) roll out first,
// then the primaries, and all of them roll back when one fails. Each acts for itself: it
// knows the others by their commit statuses.

// AboutAgreement is the part of the order that `agent approve` opens.
const AboutAgreement = "agreement"

// afterGreens holds a primary for the soak time of the secondaries, and then until a user
// agrees, where config.yml asks for that.
func (g order) afterGreens(plan *Plan, standings []Standing) (Ruling, error) {
	passed := Ruling{}
	if len(standings) > 0 {
		passed.Passed = "succeeded before: " + namesOf(standings)
	}
	rules, greens := plan.Config.Deployment.BlueGreen, plan.Config.Greens()
	if len(greens) == 0 || slices.Contains(greens, g.parts.Node) {
		return passed, nil
	}
	var last time.Time
	for _, one := range standings {
		if slices.Contains(greens, one.Node) && one.Finished.After(last) {
			last = one.Finished
		}
	}
	names := strings.Join(greens, ", ")
	if end := last.Add(rules.Soak); time.Now().Before(end) {
		return Ruling{
			Waiting: fmt.Sprintf("until %s, %s after %s", end.UTC().Format("15:04:05 MST"), brief(rules.Soak), names),
			About:   "soak", Until: end, Unattended: true,
		}, nil
	}
	if !rules.Approval {
		return passed, nil
	}
	given, err := g.agreement(plan)
	if err != nil {
		return Ruling{}, err
	}
	if given == nil {
		return Ruling{
			Waiting: fmt.Sprintf("%s succeeded; this node follows by `agent approve %s --reason …`", names, record.Short(plan.Sync.Commit)),
			About:   AboutAgreement,
		}, nil
	}
	passed.Approval, passed.Passed = given, ApprovalText(given)
	return passed, nil
}

// agreementAsked gives what is waited for, where that was a user's agreement in the round
// before: an agreement must not be lost to a GitLab that does not answer.
func agreementAsked(plan *Plan) string {
	if slices.ContainsFunc(plan.Before, func(g record.Gate) bool { return g.About == AboutAgreement }) {
		return AboutAgreement
	}
	return ""
}

// agreement gives a user's agreement on this node to this plan, given after it was asked
// for: what was approved before the secondaries had been seen does not count.
func (g order) agreement(plan *Plan) (*record.Approval, error) {
	i := slices.IndexFunc(plan.Before, func(g record.Gate) bool { return g.About == AboutAgreement })
	if i < 0 {
		return nil, nil
	}
	asked, err := g.parts.asked(plan)
	if err != nil {
		return nil, err
	}
	given := asked.Given
	if given == nil || given.PlanDigest != plan.Digest || given.At.Before(plan.Before[i].Since) {
		return nil, nil
	}
	return given, nil
}

// join gives the group that this node takes part in, and the good state that the group
// returns to: the last one, or that of an earlier group which never became complete. A
// node that had failed already does not cause a rollback.
func (g order) join(plan *Plan, others []string, standings []Standing) (*record.Group, error) {
	rules := plan.Config.Deployment.Rollback
	group := &record.Group{Nodes: others, Back: rules.Enabled && rules.Automatic, Past: map[string]time.Time{}}
	for _, one := range standings {
		if one.Failed() {
			group.Past[one.Node] = one.Finished
		}
	}
	if had := plan.Sync.Group; had != nil {
		group.Base = had.Base
	}
	if group.Base == 0 {
		newest, err := g.parts.Records.Newest()
		if err != nil {
			return nil, fmt.Errorf("recall good states: %w", err)
		}
		if newest != nil {
			group.Base = newest.SyncID
		}
	}
	return group, nil
}
