package gates

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
)

// Standing is the commit status of another node.
type Standing struct {
	Node     string
	State    gitlab.State // "" when the node has no status
	Finished time.Time
	// Ignored is a newer status of this name by a user who is not an agent's; nil for none.
	Ignored *gitlab.CommitStatus
}

// Failed reports whether the node has failed with the commit.
func (s Standing) Failed() bool {
	switch s.State {
	case "", gitlab.Pending, gitlab.Running, gitlab.Success, gitlab.Skipped:
		return false
	case gitlab.Failed, gitlab.Canceled:
	}
	return true
}

// Says gives the standing in words.
func (s Standing) Says() string {
	says := string(s.State)
	if s.State == "" {
		says = "nothing yet: no agent has reported this commit for it"
	}
	return says + s.ignored()
}

// ignored names the status that does not count, in brackets.
func (s Standing) ignored() string {
	if s.Ignored == nil {
		return ""
	}
	return fmt.Sprintf(" (the status %s of %s does not count: gitlab_agents does not name this user)", s.Ignored.State, s.Ignored.Author)
}

// AskStandings asks GitLab for the statuses of nodes with a commit. The newest status of
// a name by an agent's user counts. The name shows to which node it belongs: each user who
// may write to the project can post a status of any name.
func AskStandings(ctx context.Context, statuses Statuses, environment, commit string, nodes []string) ([]Standing, error) {
	// One look waits for GitLab no longer than one request may take, however many pages.
	ctx, cancel := context.WithTimeout(ctx, gitlab.DefaultHTTPTimeout)
	defer cancel()
	agents, err := statuses.Agents(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := statuses.Statuses(ctx, commit)
	if err != nil {
		return nil, err
	}
	found := make([]Standing, 0, len(nodes))
	for _, node := range nodes {
		found = append(found, standing(node, StatusName(environment, node), entries, agents))
	}
	return found, nil
}

// standing finds the newest status of a name by an agent's user.
func standing(node, name string, entries []gitlab.CommitStatus, agents []string) Standing {
	one := Standing{Node: node}
	for _, entry := range slices.Backward(entries) {
		switch {
		case entry.Name != name:
		case slices.Contains(agents, entry.Author):
			one.State, one.Finished = entry.State, entry.Finished
			return one
		case one.Ignored == nil:
			one.Ignored = &entry
		}
	}
	return one
}

// StatusName gives the name of a node's commit status.
func StatusName(environment, node string) string { return "coin-agent/" + environment + "/" + node }

func namesOf(standings []Standing) string {
	names := make([]string, 0, len(standings))
	for _, one := range standings {
		names = append(names, one.Node)
	}
	return strings.Join(names, ", ")
}
