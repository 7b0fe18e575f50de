package gates

import (
	"context"
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
}

// Failed reports whether the node has failed with the commit.
func (s Standing) Failed() bool {
	switch s.State {
	case "", gitlab.Pending, gitlab.Running, gitlab.Success:
		return false
	case gitlab.Failed, gitlab.Canceled:
	}
	return true
}

// Says gives the standing in words.
func (s Standing) Says() string {
	if s.State == "" {
		return "nothing yet: no agent has reported this commit for it"
	}
	return string(s.State)
}

// AskStandings asks GitLab for the statuses of nodes with a commit. The newest status of
// a name counts; only the name shows to which node it belongs.
func AskStandings(ctx context.Context, statuses Statuses, environment, commit string, nodes []string) ([]Standing, error) {
	// One look waits for GitLab no longer than one request may take, however many pages.
	ctx, cancel := context.WithTimeout(ctx, gitlab.DefaultHTTPTimeout)
	defer cancel()
	entries, err := statuses.Statuses(ctx, commit)
	if err != nil {
		return nil, err
	}
	found := make([]Standing, 0, len(nodes))
	for _, node := range nodes {
		one, name := Standing{Node: node}, StatusName(environment, node)
		for _, entry := range slices.Backward(entries) {
			if entry.Name == name {
				one.State, one.Finished = entry.State, entry.Finished
				break
			}
		}
		found = append(found, one)
	}
	return found, nil
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
