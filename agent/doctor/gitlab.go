package doctor

import (
	"context"
	"errors"
	"strings"

	"coin.internal/coin-agent/agent/tokens"
)

// checkGitLab asks GitLab about each token, and whose statuses count. A token that expires soon
// only needs a look.
func (d *doctor) checkGitLab(ctx context.Context) (string, error) {
	client, err := d.on.GitLab()
	if err != nil {
		return "", err
	}
	if client == nil {
		return "not set: no commit statuses are sent", nil
	}
	uses, err := d.on.Tokens(client)
	if err != nil {
		return "", err
	}
	var good []string
	var faults []error
	for _, use := range uses {
		state, err := tokens.Examine(ctx, use)
		if err != nil {
			return "", err
		}
		for _, one := range state.Errors() {
			if state.Soon() {
				one = doubt{one}
			}
			faults = append(faults, one)
		}
		good = append(good, state.Setting+" "+state.Line())
	}
	if len(faults) > 0 {
		return "", errors.Join(faults...)
	}
	agents, err := client.Agents(ctx)
	if err != nil {
		return "", err
	}
	return strings.Join(append(good, "statuses of "+strings.Join(agents, ", ")+" count"), "; "), nil
}
