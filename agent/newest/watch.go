package newest

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
)

const (
	hourly   = time.Hour
	jitter   = 10 * time.Minute // so that the nodes do not ask at the same time
	again    = 10 * time.Minute // until the next try, doubled up to an hour: Vault locks a role after five wrong logins
	askTime  = time.Minute      // for all questions of one time
	glance   = 20 * time.Second // between two looks at what is deployed
	doubling = 3
)

// Client reads secrets with one login, which Close ends.
type Client interface {
	Read(ctx context.Context, path string, version int) (read int, data map[string][]byte, err error)
	Close(ctx context.Context)
}

// Store persists what is known. SaveNewest is durable when it returns.
type Store interface {
	Newest() (Known, error)
	SaveNewest(known Known) error
}

// Options has what a Watch works with.
type Options struct {
	Open    func() (Client, error)
	Allowed func(path string) error // why the node must not read a path
	Store   Store
	Log     *slog.Logger
	Random  backoff.Random // for the jitter; may be nil
}

// Watch knows the newest versions.
type Watch struct {
	use Options

	mu    sync.Mutex
	known Known
}

// New makes a watch with what the store has. Only Run asks Vault.
func New(o Options) (*Watch, error) {
	known, err := o.Store.Newest()
	return &Watch{use: o, known: known}, err
}

// Known gives what Vault said last.
func (w *Watch) Known() Known {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known
}

// Run asks Vault for the newest versions at the paths of what is deployed when they are due,
// until ctx ends.
func (w *Watch) Run(ctx context.Context, paths func() []string) error {
	return backoff.NewBell().Loop(ctx, func(ctx context.Context) time.Duration {
		if in := paths(); len(in) > 0 && w.Known().due(time.Now()) {
			w.round(ctx, in)
		}
		return glance
	})
}

// due reports whether Vault is asked now. A next time that no answer gives is one of a clock that was
// ahead, and does not count.
func (k Known) due(now time.Time) bool {
	return !now.Before(k.Next) || k.Next.Sub(now) > hourly+jitter
}

// round asks once, and keeps the answer.
func (w *Watch) round(ctx context.Context, paths []string) {
	before := w.Known()
	now := w.ask(ctx, paths, before)
	if ctx.Err() != nil {
		return
	}
	level := slog.LevelDebug
	if now.Error != before.Error && now.Error != "" {
		level = slog.LevelWarn
	}
	told := []any{"paths", len(paths), "next", now.Next}
	if now.Error != "" {
		told = append(told, "error", now.Error, "hint", now.Hint, "code", fault.CodeVault)
	}
	w.use.Log.Log(ctx, level, "asked Vault for newer versions", told...)
	if err := w.use.Store.SaveNewest(now); err != nil {
		w.use.Log.Warn("cannot save what Vault said of newer versions", "error", err)
	}
	w.mu.Lock()
	w.known = now
	w.mu.Unlock()
}

// ask gives what is known after Vault was asked. If it does not answer, what it said before
// stays.
func (w *Watch) ask(ctx context.Context, paths []string, before Known) Known {
	now := Known{Newest: maps.Clone(before.Newest), Asked: before.Asked}
	if now.Newest == nil {
		now.Newest = map[string]int{}
	}
	refused, failed := w.read(ctx, paths, now.Newest)
	if failed == nil {
		maps.DeleteFunc(now.Newest, func(path string, _ int) bool { return !slices.Contains(paths, path) })
		now.Asked = time.Now()
		now.Next = now.Asked.Add(hourly + w.use.Random.Below(jitter))
		failed = refused
	} else {
		now.Failed = before.Failed + 1
		now.Next = time.Now().Add(min(again<<min(before.Failed, doubling), hourly) + w.use.Random.Below(jitter))
	}
	if failed != nil {
		now.Error, now.Hint = failed.Error(), fault.Hint(failed)
	}
	return now
}

// read asks for each path. It gives why Vault refused one of them, or why it does not answer.
func (w *Watch) read(ctx context.Context, paths []string, newest map[string]int) (refused, failed error) {
	ctx, stop := context.WithTimeout(ctx, askTime)
	defer stop()
	client, err := w.use.Open()
	if err != nil {
		return nil, err
	}
	defer client.Close(ctx)
	for _, path := range paths {
		err := w.use.Allowed(path)
		version := 0
		if err == nil {
			var data map[string][]byte
			version, data, err = client.Read(ctx, path, 0)
			for _, value := range data {
				clear(value)
			}
		}
		if fault.IsTransient(err) {
			return refused, err
		}
		if newest[path] = version; err != nil && refused == nil {
			refused = err
		}
	}
	return refused, nil
}
