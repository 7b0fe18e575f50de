package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/state"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// statuses tells how the nodes stand with a commit.
type statuses interface {
	Statuses(ctx context.Context, commit string) ([]gitlab.CommitStatus, error)
}

// standing is how another node stands with a commit.
type standing struct {
	node     string
	state    gitlab.State // "" where nothing is known of it
	finished time.Time
}

func (s standing) failed() bool {
	switch s.state {
	case "", gitlab.Pending, gitlab.Running, gitlab.Success:
		return false
	case gitlab.Failed, gitlab.Canceled:
	}
	return true
}

// says is the standing in words.
func (s standing) says() string {
	if s.state == "" {
		return "nothing yet: no agent has reported this commit for it"
	}
	return string(s.state)
}

// standings asks GitLab how nodes stand with a commit. The newest status of a name
// counts; whose it is cannot be told by more than the name.
func (a *Agent) standings(ctx context.Context, commit string, nodes []string) ([]standing, error) {
	entries, err := a.Statuses.Statuses(ctx, commit)
	if err != nil {
		return nil, err
	}
	found := make([]standing, 0, len(nodes))
	for _, node := range nodes {
		one, name := standing{node: node}, statusName(a.Settings.Environment, node)
		for _, entry := range slices.Backward(entries) {
			if entry.Name == name {
				one.state, one.finished = entry.State, entry.Finished
				break
			}
		}
		found = append(found, one)
	}
	return found, nil
}

// statusName is the name of a node's commit status.
func statusName(environment, node string) string { return "coin-agent/" + environment + "/" + node }

// gateOrder waits until the nodes that come before this one have succeeded with the
// commit. Nobody moves past a neighbour of whom that is not known. What this node
// has proven already needs nobody's leave, such as the correction of a drift.
func (r *reconcile) gateOrder(ctx context.Context) (ruling, error) {
	config := r.node.Config
	r.joinGroup(config)
	before := config.Before(r.Settings.Node)
	if len(before) == 0 || r.proven() {
		return ruling{}, nil
	}
	if slices.ContainsFunc(r.sync.Gates, func(g state.Gate) bool { return g.Waiting != "" }) {
		return ruling{passed: "not asked while others wait"}, nil
	}
	if r.Statuses == nil {
		return ruling{waiting: fmt.Sprintf("waiting for %s, but cannot know whether it has succeeded: no GitLab is configured (set gitlab_url, or strategy: parallel in config.yml)",
			strings.Join(before, ", "))}, nil
	}
	stand, err := r.standings(ctx, r.sync.Commit, before)
	if err != nil {
		return ruling{waiting: fmt.Sprintf("cannot ask GitLab about %s: %v", strings.Join(before, ", "), err), unattended: true}, nil
	}
	if i := slices.IndexFunc(stand, standing.failed); i >= 0 {
		return ruling{waiting: fmt.Sprintf("stopped: %s failed with this commit: its status is %s; this node goes on once that one has succeeded",
			stand[i].node, stand[i].state), about: stand[i].node + " failed"}, nil
	}
	if i := slices.IndexFunc(stand, func(s standing) bool { return s.state != gitlab.Success }); i >= 0 {
		return r.waitFor(stand[i]), nil
	}
	return r.afterGreens(stand), nil
}

// proven says that this node has proven the sync's revision before.
func (r *reconcile) proven() bool {
	applied := r.snapshot().applied
	return r.sync.Trigger == "drift" || applied != nil && applied.Commit == r.sync.Commit
}

// waitFor waits for a node that has not ended, for a time: it may have no agent.
func (r *reconcile) waitFor(one standing) ruling {
	limit := r.node.Config.Deployment.OrderTimeout
	return ruling{
		waiting: "waiting for " + one.node, about: strings.TrimSpace(one.node + " " + string(one.state)), unattended: true,
		limit: limit,
		late: fault.New(fault.Place{}, fmt.Sprintf("see to %s, then `agent retry` on this node; deployment.order_timeout is the time", one.node),
			"waited %s for %s, which says %s", brief(limit), one.node, one.says()),
	}
}

// afterGreens holds a primary back for the soak time, and until a person has agreed
// where config.yml asks for that: after the soak time, since that is what it is for.
func (r *reconcile) afterGreens(stand []standing) ruling {
	rules, greens := r.node.Config.Deployment.BlueGreen, r.node.Config.Greens()
	if len(greens) == 0 {
		return ruling{passed: "succeeded before: " + namesOf(stand)}
	}
	var last time.Time
	for _, one := range stand {
		if slices.Contains(greens, one.node) && one.finished.After(last) {
			last = one.finished
		}
	}
	names := strings.Join(greens, ", ")
	if end := last.Add(rules.Soak); time.Now().Before(end) {
		return ruling{
			waiting: fmt.Sprintf("until %s, %s after %s", end.UTC().Format("15:04:05 MST"), brief(rules.Soak), names),
			about:   "soak", until: end, unattended: true,
		}
	}
	if rules.Approval && !r.agreed() {
		return ruling{waiting: fmt.Sprintf("%s are well; `agent approve %s --reason …` on this node lets it follow", names, short(r.sync.Commit)), about: aboutAgreement}
	}
	return ruling{passed: "succeeded before: " + namesOf(stand)}
}

// aboutAgreement is the part of the order that `agent approve` opens.
const aboutAgreement = "agreement"

// agreed says that a person has approved of this plan on this node after being asked
// to: an approval that was given before the greens were seen is none of them.
func (r *reconcile) agreed() bool {
	said := r.sync.Approval
	if said == nil || said.Source != "node" || said.PlanDigest != r.sync.PlanDigest {
		return false
	}
	return slices.ContainsFunc(r.before, func(g state.Gate) bool {
		return g.Name == "order" && (g.About == aboutAgreement && !said.At.Before(g.Since))
	})
}

func namesOf(stand []standing) string {
	names := make([]string, 0, len(stand))
	for _, one := range stand {
		names = append(names, one.node)
	}
	return strings.Join(names, ", ")
}

// brief is a duration as people write it: 1h, not 1h0m0s.
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

// joinGroup notes who stands and falls with this node in a blue-green rollout.
func (r *reconcile) joinGroup(config *manifests.Config) {
	r.sync.Group = nil
	if config.Deployment.Strategy != manifests.BlueGreen {
		return
	}
	others := slices.DeleteFunc(slices.Clone(config.Order()), func(name string) bool { return name == r.Settings.Node })
	r.sync.Group = &state.Group{Nodes: others, Back: config.Deployment.Rollback.Enabled && config.Deployment.Rollback.Automatic}
}
