package tokens

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

const (
	daily  = 24 * time.Hour
	jitter = time.Hour // so that the nodes do not ask at the same time
	again  = time.Hour // until a refused token is asked about again
	glance = 20 * time.Second
)

// Store persists what is known, by setting. SaveTokens is durable when it returns.
type Store interface {
	Tokens() (map[string]Known, error)
	SaveTokens(known map[string]Known) error
}

// Options has what a Watch works with.
type Options struct {
	Uses   []Use
	Store  Store
	Key    []byte // of the digests of tokens
	Log    *slog.Logger
	Tell   func(State) error // called with a token whose problems have changed, also to none; may be nil
	Random backoff.Random    // for the jitter; may be nil
}

// Watch knows the states of the tokens.
type Watch struct {
	use Options

	// Of Run, which alone asks, by setting:
	known map[string]Known
	waits map[string]waiting
	told  map[string]string

	mu     sync.Mutex
	states []State
}

// waiting is a wait after GitLab did not answer about a token.
type waiting struct {
	of   string // the token's digest
	wait backoff.Wait
}

// New makes a watch with what the store has. Only Run asks GitLab.
func New(o Options) (*Watch, error) {
	known, err := o.Store.Tokens()
	if err != nil {
		return nil, err
	}
	if known == nil {
		known = map[string]Known{}
	}
	w := &Watch{use: o, waits: map[string]waiting{}, known: known, told: map[string]string{}}
	for _, use := range o.Uses {
		w.states = append(w.states, use.judge(w.of(use, digest(o.Key, use.GitLab.TokenFingerprint())), time.Now()))
	}
	return w, nil
}

// States gives the state of each token, in the order of the options.
func (w *Watch) States() []State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.states
}

// Run asks about each token when it is due, until ctx ends. A token is due once a day, and when
// its file has changed.
func (w *Watch) Run(ctx context.Context) error {
	return backoff.NewBell().Loop(ctx, func(ctx context.Context) time.Duration {
		w.round(ctx)
		return glance // at the files
	})
}

func (w *Watch) round(ctx context.Context) {
	states := make([]State, 0, len(w.use.Uses))
	for _, use := range w.use.Uses {
		of := digest(w.use.Key, use.GitLab.TokenFingerprint())
		w.look(ctx, use, of)
		states = append(states, use.judge(w.of(use, of), time.Now()))
	}
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	w.states = states
	w.mu.Unlock()
	for _, state := range states {
		w.tell(state)
	}
}

// of gives what is known of a token; nothing if GitLab was asked about another one.
func (w *Watch) of(use Use, of string) Known {
	if known := w.known[use.Setting]; known.Of == of {
		return known
	}
	return Known{Of: of}
}

// look asks about a token if it is due.
func (w *Watch) look(ctx context.Context, use Use, of string) {
	now := time.Now()
	known, wait := w.of(use, of), w.waits[use.Setting]
	if wait.of != of {
		wait = waiting{of: of}
	}
	if now.Before(known.Next) || now.Before(wait.wait.Until) {
		return
	}
	answer, shared := w.shared(use, of, now)
	if !shared {
		var err error
		answer, err = ask(ctx, use)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			wait.wait = wait.wait.After(gitlab.AskedToWait(err), w.use.Random)
			w.waits[use.Setting] = wait
			w.use.Log.Debug("GitLab not asked about a token", "setting", use.Setting, "next", wait.wait.Until, "error", err)
			return
		}
		answer.Next = now.Add(daily + w.use.Random.Below(jitter))
		if answer.Refused != "" {
			answer.Next = now.Add(again)
			answer.keep(known)
		}
	}
	delete(w.waits, use.Setting)
	answer.Of = of
	w.known[use.Setting] = answer
	if err := w.use.Store.SaveTokens(w.known); err != nil {
		w.use.Log.Warn("cannot save what GitLab said of a token", "setting", use.Setting, "error", err)
	}
}

// keep takes over what GitLab said of the token before: it says nothing of one that it refuses.
func (k *Known) keep(before Known) {
	if k.Expires.IsZero() && len(k.Scopes) == 0 {
		k.Name, k.Scopes, k.Expires = before.Name, before.Scopes, before.Expires
	}
}

// shared gives what is known of the same token in another setting.
func (w *Watch) shared(use Use, of string, now time.Time) (Known, bool) {
	for _, other := range w.known {
		if other.Of == of && other.Refused == "" && now.Before(other.Next) && (use.Role == 0 || other.Role > 0) {
			return other, true
		}
	}
	return Known{}, false
}

// tell logs and tells the problems of a token once, as long as they stay the same. That there
// are none is known when GitLab was asked; it is told after a start, too, as they may have been
// before it.
func (w *Watch) tell(state State) {
	key := fmt.Sprint(state.ID(), state.Problems)
	if w.told[state.Setting] == key || state.Asked.IsZero() {
		return
	}
	for _, one := range state.Problems {
		w.use.Log.Warn("GitLab token", "setting", state.Setting, "error", one.Text, "hint", one.Hint, "code", fault.CodeGitLab)
	}
	if w.use.Tell != nil {
		if err := w.use.Tell(state); err != nil {
			w.use.Log.Warn("cannot queue the notice of a token", "setting", state.Setting, "error", err)
			return
		}
	}
	w.told[state.Setting] = key
}
