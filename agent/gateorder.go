package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
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
	// One look is held up by GitLab no longer than one request may take, however many
	// pages it has.
	ctx, cancel := context.WithTimeout(ctx, gitlab.DefaultHTTPTimeout)
	defer cancel()
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
	before, others := config.Before(r.Settings.Node), config.Others(r.Settings.Node)
	if len(before)+len(others) == 0 || r.proven() {
		return ruling{}, nil
	}
	if slices.ContainsFunc(r.sync.Gates, func(g record.Gate) bool { return g.Waiting != "" }) {
		return ruling{passed: "not asked while others wait"}, nil
	}
	concerned := before
	if len(others) > 0 {
		concerned = others
	}
	names := strings.Join(concerned, ", ")
	if r.Statuses == nil {
		return ruling{waiting: "waiting for " + names + ", but cannot know how they do: no GitLab is configured (set gitlab_url, or strategy: parallel in config.yml)"}, nil
	}
	stand, err := r.standings(ctx, r.sync.Commit, concerned)
	if ctx.Err() != nil {
		return ruling{}, ctx.Err() // the agent is stopping
	}
	if err != nil {
		return ruling{waiting: fmt.Sprintf("cannot ask GitLab about %s: %v", names, err), about: r.agreementAsked(), unattended: true}, nil
	}
	if len(others) > 0 {
		if err := r.joinGroup(others, stand); err != nil {
			return ruling{}, err
		}
	}
	return r.rank(stand, before)
}

// rank judges by how the other nodes stand whether this one may begin.
func (r *reconcile) rank(stand []standing, before []string) (ruling, error) {
	stops := func(s standing) bool {
		return s.failed() && (slices.Contains(before, s.node) || r.sync.Trigger == record.OnCommit)
	}
	if i := slices.IndexFunc(stand, stops); i >= 0 {
		way := ""
		if !slices.Contains(before, stand[i].node) {
			way = ", or by `agent sync`"
		}
		return ruling{
			waiting: fmt.Sprintf("stopped: %s failed with this commit: its status is %s; this node goes on once that one has succeeded%s", stand[i].node, stand[i].state, way),
			about:   stand[i].node + " failed",
		}, nil
	}
	slices.SortStableFunc(stand, func(a, b standing) int { return slices.Index(before, a.node) - slices.Index(before, b.node) })
	stand = slices.DeleteFunc(stand, func(s standing) bool { return !slices.Contains(before, s.node) })
	if i := slices.IndexFunc(stand, func(s standing) bool { return s.state != gitlab.Success }); i >= 0 {
		return r.waitFor(stand[i]), nil
	}
	return r.afterGreens(stand)
}

// proven says that this node has proven the sync's revision before.
func (r *reconcile) proven() bool {
	applied := r.snapshot().applied
	return r.sync.Trigger == record.OnDrift || applied != nil && applied.Commit == r.sync.Commit
}

// waitFor waits for a node that has not ended, for a time: it may have no agent.
func (r *reconcile) waitFor(one standing) ruling {
	limit := r.node.Config.Deployment.OrderTimeout
	if one.state == gitlab.Pending && len(r.node.Config.Greens()) > 0 {
		limit = 0 // it waits itself, such as for a person: no reason for a group to go back
	}
	return ruling{
		waiting: "waiting for " + one.node, about: strings.TrimSpace(one.node + " " + string(one.state)), unattended: true,
		limit: limit,
		late: fault.New(fault.Place{}, fmt.Sprintf("see to %s, then `agent retry` on this node; deployment.order_timeout is the time", one.node),
			"waited %s for %s, which says %s", brief(limit), one.node, one.says()),
	}
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
