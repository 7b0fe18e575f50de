package gates

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// order waits until the nodes before this one have succeeded with the commit. If their
// status is unknown, the node waits. A commit that this node has verified already, such as
// for the correction of a drift, passes.
type order struct{ parts Parts }

func (order) Name() record.GateName { return record.GateOrder }

func (g order) Ask(ctx context.Context, plan *Plan) (Ruling, error) {
	before, others := plan.Config.Before(g.parts.Node), plan.Config.Others(g.parts.Node)
	if len(before)+len(others) == 0 || plan.Verified {
		return Ruling{}, nil
	}
	lifted, err := g.lifted(plan)
	if err != nil {
		return Ruling{}, err
	}
	before = slices.DeleteFunc(before, func(name string) bool { return slices.Contains(lifted, name) })
	if slices.ContainsFunc(plan.Answers, func(g record.Gate) bool { return g.Waiting != "" }) {
		return Ruling{Passed: "not asked while others wait"}, nil
	}
	concerned := before
	if len(others) > 0 {
		concerned = others
	}
	names := strings.Join(concerned, ", ")
	if g.parts.Statuses == nil {
		return Ruling{Waiting: "waiting for " + names + ", but cannot know how they do: no GitLab is configured (set gitlab_url, or strategy: parallel in config.yml)"}, nil
	}
	standings, err := AskStandings(ctx, g.parts.Statuses, g.parts.Environment, plan.Sync.Commit, concerned)
	if ctx.Err() != nil {
		return Ruling{}, ctx.Err() // the agent is stopping
	}
	if err != nil {
		return Ruling{Waiting: fmt.Sprintf("cannot ask GitLab about %s: %v", names, err), About: agreementAsked(plan), Unattended: true}, nil
	}
	var group *record.Group
	if len(others) > 0 {
		if group, err = g.join(plan, others, standings); err != nil {
			return Ruling{}, err
		}
	}
	ruling, err := g.rank(plan, standings, before)
	ruling.Group = group
	return ruling, err
}

func (order) Next(sync *record.Sync, waiting record.Gate) string {
	switch {
	case waiting.Unattended:
		return ""
	case waiting.About == AboutAgreement:
		return fmt.Sprintf("`agent approve %s --reason …`", record.Short(sync.Commit))
	case waiting.About == AboutLifted:
		return fmt.Sprintf("`agent approve %s --reason …` passes without it", record.Short(sync.Commit))
	}
	return "check the node that it waits for"
}

// AboutLifted is the part of the order that the commit would lift, and that `agent approve`
// opens.
const AboutLifted = "lifted"

// lifted lists the nodes that the commit no longer waits for, and that this node need not
// wait for either: a user has approved this very plan on the node. The nodes may be gone.
func (g order) lifted(plan *Plan) ([]string, error) {
	if len(plan.Config.Lifted) == 0 {
		return nil, nil
	}
	asked, err := g.parts.asked(plan)
	if err != nil || asked.Given == nil || asked.Given.PlanDigest != plan.Digest {
		return nil, err
	}
	return plan.Config.Lifted, nil
}

func (g order) HoldsNewer(config *manifests.Config) bool {
	return len(config.Before(g.parts.Node))+len(config.Others(g.parts.Node)) > 0
}

// rank judges by the standings of the other nodes whether this one may begin.
func (g order) rank(plan *Plan, standings []Standing, before []string) (Ruling, error) {
	stops := func(s Standing) bool {
		return s.Failed() && (slices.Contains(before, s.Node) || plan.Sync.Trigger == record.OnCommit)
	}
	if i := slices.IndexFunc(standings, stops); i >= 0 {
		one, also := standings[i], ""
		if !slices.Contains(before, one.Node) {
			also = ", or by `agent sync`"
		}
		if slices.Contains(plan.Config.Lifted, one.Node) {
			return waitForLifted(one), nil
		}
		return Ruling{
			Waiting: fmt.Sprintf("stopped: %s failed with this commit: its status is %s; this node continues once that one has succeeded%s", one.Node, one.State, also),
			About:   one.Node + " failed",
		}, nil
	}
	slices.SortStableFunc(standings, func(a, b Standing) int { return slices.Index(before, a.Node) - slices.Index(before, b.Node) })
	standings = slices.DeleteFunc(standings, func(s Standing) bool { return !slices.Contains(before, s.Node) })
	if i := slices.IndexFunc(standings, func(s Standing) bool { return s.State != gitlab.Success }); i >= 0 {
		return waitFor(plan, standings[i]), nil
	}
	return g.afterGreens(plan, standings)
}

// waitFor waits for a node that has not ended, for a limited time: it may have no agent.
func waitFor(plan *Plan, one Standing) Ruling {
	if slices.Contains(plan.Config.Lifted, one.Node) {
		return waitForLifted(one)
	}
	limit := plan.Config.Deployment.OrderTimeout
	if one.State == gitlab.Pending && len(plan.Config.Greens()) > 0 {
		limit = 0 // it waits itself, for example for an approval: the group must not roll back for that
	}
	words := "waiting for " + one.Node
	if one.State == gitlab.Skipped {
		limit, words = 0, words+", which only observes" // until a user ends that
	}
	return Ruling{
		Waiting: words + one.ignored(), About: strings.TrimSpace(one.Node + " " + string(one.State)), Unattended: one.State != gitlab.Skipped,
		Limit: limit,
		Late: fault.New(fault.Place{}, fmt.Sprintf("check %s, then `agent retry` on this node; deployment.order_timeout is the time", one.Node),
			"waited %s for %s, which says %s", brief(limit), one.Node, one.Says()),
	}
}

// waitForLifted waits for a node that the commit takes out of the order, until a user decides.
func waitForLifted(one Standing) Ruling {
	return Ruling{Waiting: fmt.Sprintf("waiting for %s, which this commit no longer waits for, and which says %s", one.Node, one.Says()), About: AboutLifted}
}

// brief writes a duration short: 1h, not 1h0m0s.
func brief(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
