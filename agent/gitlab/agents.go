package gitlab

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
)

// self is the user of the token, as far as it is known.
type self struct {
	mu    sync.Mutex
	token [sha256.Size]byte
	user  Account // without an ID before it is known
}

// of gives the user, whom it asks for once for each token.
func (s *self) of(ctx context.Context, c *Client) (Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token := c.token.fingerprint(); token != s.token || s.user.ID == 0 {
		user, err := c.Self(ctx)
		if err != nil {
			return Account{}, err
		}
		s.token, s.user = token, user
	}
	return s.user, nil
}

// Agents lists the usernames of the agents, in lower case: those of the options, or the
// user of the token, which it asks once for each token. An error is an *Error.
func (c *Client) Agents(ctx context.Context) ([]string, error) {
	if len(c.agents) > 0 {
		return c.agents, nil
	}
	user, err := c.self.of(ctx, c)
	if err != nil {
		return nil, err
	}
	return []string{strings.ToLower(user.Name)}, nil
}

func lowered(names []string) []string {
	lower := make([]string, 0, len(names))
	for _, name := range names {
		lower = append(lower, strings.ToLower(strings.TrimPrefix(name, "@")))
	}
	return lower
}
