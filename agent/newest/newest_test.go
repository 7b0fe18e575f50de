package newest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/newest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// world is a Vault, a state file, and what is deployed. Time passes only when all wait. The test
// holds the lock, but while it lets time pass.
type world struct {
	t        *testing.T
	mu       sync.Mutex
	versions map[string]int // by path
	down     error          // why Vault does not answer
	refused  string         // the path that the node must not read
	deployed []string

	asked        []string // the paths, since the last call of took
	opened, open int
	saved        newest.Known
	logs         strings.Builder
	watch        *newest.Watch
	stop         func()
}

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		w := &world{t: t, versions: map[string]int{"kv/data/db": 7, "kv/data/tls": 2}, stop: func() {}}
		w.mu.Lock()
		defer func() {
			w.mu.Unlock()
			w.stop()
		}()
		test(w)
		if all := fmt.Sprintf("%s %+v %v", w.logs.String(), w.saved, w.opened); strings.Contains(all, "canary") || w.open != 0 {
			t.Errorf("%d logins are open: %s", w.open, all)
		}
	})
}

// start starts an agent with the same state file, after it has stopped the one before.
func (w *world) start() {
	w.t.Helper()
	w.mu.Unlock()
	defer w.mu.Lock()
	w.stop()
	var err error
	w.watch, err = newest.New(newest.Options{
		Open: func() (newest.Client, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.opened++
			w.open++
			return w, nil
		},
		Allowed: func(path string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if path == w.refused {
				return fault.New(fault.Place{}, "the hint", "%s must not be read", path)
			}
			return nil
		},
		Store: w, Log: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.watch.Run(ctx, func() []string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.deployed
		})
	}()
	w.stop = func() { cancel(); <-ended; w.stop = func() {} }
	synctest.Wait()
}

func (w *world) Close(context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open--
}

func (w *world) Newest() (newest.Known, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.saved, nil
}

func (w *world) SaveNewest(known newest.Known) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saved = known
	return nil
}

// Write takes the log.
func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logs.Write(line)
}

func (w *world) Read(_ context.Context, path string, version int) (int, map[string][]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, fmt.Sprintf("%s@%d", path, version))
	switch newest := w.versions[path]; {
	case w.down != nil:
		return 0, nil, w.down
	case newest == 0:
		return 0, nil, fault.New(fault.Place{}, "the hint", "Vault has no version at %s", path)
	default:
		return newest, map[string][]byte{"password": []byte("canary")}, nil
	}
}

// after passes time, and gives what was asked in it.
func (w *world) after(d time.Duration) []string {
	w.asked = nil
	w.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	w.mu.Lock()
	return w.asked
}

// state gives what a user sees of a stack with a secret at each path of a version.
func (w *world) state(version int, paths ...string) *newest.State {
	good := &record.GoodState{Secrets: []record.Object{{Name: "s_own.1", Key: "own"}}}
	for _, path := range paths {
		good.Secrets = append(good.Secrets, record.Object{Key: path[len("kv/data/"):], Vault: record.VaultRead{Path: path, Version: version}})
	}
	return w.watch.Known().Of(good, nil)
}

// newer lists the newer versions that a user sees.
func newer(state *newest.State) (texts []string) {
	for _, one := range state.Newer {
		texts = append(texts, one.Text())
	}
	return texts
}

// TestAsksOnceAnHour asks for what is deployed only, once an hour, and not again after a restart.
func TestAsksOnceAnHour(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		if asked := w.after(48 * time.Hour); asked != nil || w.opened != 0 {
			t.Fatalf("a node without secrets in Vault asks %v, with %d logins", asked, w.opened)
		}
		w.deployed = []string{"kv/data/db", "kv/data/tls"}
		if asked := w.after(time.Minute); !slices.Equal(asked, []string{"kv/data/db@0", "kv/data/tls@0"}) || w.opened != 1 {
			t.Errorf("asked %v, with %d logins", asked, w.opened)
		}
		w.versions["kv/data/db"] = 8
		w.start()
		if asked := w.after(58 * time.Minute); asked != nil {
			t.Errorf("asked %v within an hour", asked)
		}
		if got := newer(w.state(7, "kv/data/db")); got != nil {
			t.Errorf("%v before Vault was asked", got)
		}
		if asked := w.after(12 * time.Minute); len(asked) != 2 {
			t.Errorf("asked %v after an hour", asked)
		}
		if diff := cmp.Diff([]string{"db: Vault has version 8 of kv/data/db; version 7 is deployed"}, newer(w.state(7, "kv/data/db", "kv/data/tls"))); diff != "" {
			t.Error(diff)
		}
		if asked := w.after(24 * time.Hour); len(asked) < 2*19 || len(asked) > 2*24 {
			t.Errorf("asked %d times in a day", len(asked))
		}
	})
}

// TestAway keeps what Vault said before, asks ever more rarely, and says why and when.
func TestAway(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deployed = []string{"kv/data/db"}
		w.versions["kv/data/db"] = 8
		w.start()
		before := w.state(7, "kv/data/db")
		w.down = fault.Transient(fault.New(fault.Place{}, "the hint", "vault does not answer"))
		if asked := w.after(24 * time.Hour); len(asked) < 19 || len(asked) > 26 {
			t.Errorf("asked %d times in a day without an answer", len(asked))
		}
		state := w.state(7, "kv/data/db")
		if state.Error != "vault does not answer" || state.Hint != "the hint" || !state.Asked.Equal(before.Asked) || !state.Next.After(time.Now()) || len(state.Newer) != 1 {
			t.Errorf("%+v", state)
		}
		if n := strings.Count(w.logs.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings", n)
		}
		w.down = nil
		w.after(70 * time.Minute)
		if state := w.state(7, "kv/data/db"); state.Error != "" || !state.Asked.After(before.Asked) {
			t.Errorf("%+v", state)
		}
	})
}

// TestClockSetBack asks although the clock was a year ahead when Vault was asked last.
func TestClockSetBack(t *testing.T) {
	inWorld(t, func(w *world) {
		ahead := time.Now().AddDate(1, 0, 0)
		w.saved = newest.Known{Asked: ahead, Next: ahead.Add(time.Hour)}
		w.deployed = []string{"kv/data/db"}
		w.start()
		if asked := w.after(71 * time.Minute); w.opened != 2 || len(asked) != 1 {
			t.Errorf("%d logins, asked %v", w.opened, asked)
		}
	})
}

// TestAwayAtFirst asks again soon after a first failure.
func TestAwayAtFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deployed = []string{"kv/data/db"}
		w.down = fault.Transient(errors.New("away"))
		w.start()
		w.down = nil
		if asked := w.after(9 * time.Minute); asked != nil {
			t.Errorf("asked %v at once", asked)
		}
		if asked := w.after(12 * time.Minute); len(asked) != 1 || w.state(6, "kv/data/db").Error != "" {
			t.Errorf("asked %v", asked)
		}
	})
}

// TestRefused goes on after a path that is not there or must not be read.
func TestRefused(t *testing.T) {
	for path, want := range map[string]string{"kv/data/gone": "Vault has no version at kv/data/gone", "kv/data/db": "kv/data/db must not be read"} {
		inWorld(t, func(w *world) {
			w.refused, w.deployed = "kv/data/db", []string{path, "kv/data/tls"}
			w.start()
			state := w.state(1, path, "kv/data/tls")
			if state.Error != want || state.Hint != "the hint" || len(state.Newer) != 1 || state.Newer[0].Secret != "tls" || state.Asked.IsZero() {
				t.Errorf("%+v", state)
			}
		})
	}
}

// TestNamedByGit does not count a version that git names already, although it is not deployed.
func TestNamedByGit(t *testing.T) {
	known := newest.Known{Newest: map[string]int{"kv/data/db": 8}}
	good := &record.GoodState{Secrets: []record.Object{{Key: "db", Vault: record.VaultRead{Path: "kv/data/db", Version: 7, Auto: true}}}}
	waits := &record.Sync{State: record.Waiting, Vault: []record.VaultRead{{Path: "kv/data/db", Version: 8}}}
	if state := known.Of(good, waits); len(state.Newer) != 0 {
		t.Errorf("%+v", state)
	}
	state := known.Of(good, &record.Sync{Vault: []record.VaultRead{{Path: "kv/data/db", Version: 7}}})
	if len(state.Newer) != 1 || !strings.Contains(state.Newer[0].Hint(), "@auto") {
		t.Errorf("%+v", state)
	}
	good.Secrets[0].Vault.Auto = false
	if hint := known.Of(good, nil).Newer[0].Hint(); hint != "to deploy it, raise @7 to @8 in a merge request" {
		t.Error(hint)
	}
	if state := known.Of(nil, nil); state != nil {
		t.Errorf("%+v", state)
	}
}
