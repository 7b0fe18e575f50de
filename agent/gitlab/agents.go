package gitlab

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
)

// agents are the users whose commit statuses are an agent's.
type agents struct {
	named []string // in the options, in lower case

	mu    sync.Mutex
	token [sha256.Size]byte // of the user
	user  string            // of the token; "" before it is known
}

// Agents lists the usernames of the agents, in lower case: those of the options, or the
// user of the token, which it asks once for each token. An error is an *Error.
func (c *Client) Agents(ctx context.Context) ([]string, error) {
	if len(c.agents.named) > 0 {
		return c.agents.named, nil
	}
	c.agents.mu.Lock()
	defer c.agents.mu.Unlock()
	if token := c.token.fingerprint(); token != c.agents.token || c.agents.user == "" {
		user, err := c.Self(ctx)
		if err != nil {
			return nil, err
		}
		c.agents.token, c.agents.user = token, strings.ToLower(user.Name)
	}
	return []string{c.agents.user}, nil
}

func lowered(names []string) []string {
	lower := make([]string, 0, len(names))
	for _, name := range names {
		lower = append(lower, strings.ToLower(strings.TrimPrefix(name, "@")))
	}
	return lower
}
