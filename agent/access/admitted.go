package access

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
)

// admitted are the requests that are being answered. One whose token is taken away ends, so
// that no stream goes on for a token that is known to others.
type admitted struct {
	mu   sync.Mutex
	last int
	ends map[int]admission
}

type admission struct {
	token [sha256.Size]byte
	end   context.CancelFunc
}

// add gives the context of a request, which ends with its session, if it has one. done is called when it is answered.
func (a *admitted) add(ctx context.Context, with pass) (of context.Context, done func()) {
	of, cancel := context.WithCancel(ctx)
	if !with.ends.IsZero() {
		of, cancel = context.WithDeadline(ctx, with.ends)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ends == nil {
		a.ends = map[int]admission{}
	}
	a.last++
	key := a.last
	a.ends[key] = admission{with.login.sum, cancel}
	return of, func() {
		cancel()
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.ends, key)
	}
}

// keep ends the requests whose tokens are not among those that are left.
func (a *admitted) keep(left []login) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.ends {
		if !slices.ContainsFunc(left, func(l login) bool { return l.sum == one.token }) {
			one.end()
		}
	}
}
