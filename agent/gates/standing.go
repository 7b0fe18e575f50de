package gates

import (
	"context"
	"slices"
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
	return !slices.Contains([]gitlab.State{"", gitlab.Pending, gitlab.Running, gitlab.Success}, s.State)
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
	newest := map[string]gitlab.CommitStatus{}
	for _, entry := range entries {
		newest[entry.Name] = entry
	}
	found := make([]Standing, 0, len(nodes))
	for _, node := range nodes {
		status := newest[StatusName(environment, node)]
		found = append(found, Standing{Node: node, State: status.State, Finished: status.Finished})
	}
	return found, nil
}

// StatusName gives the name of a node's commit status.
func StatusName(environment, node string) string { return "coin-agent/" + environment + "/" + node }
