package simulation_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/internal/memoryfolder"
	"coin.internal/coin-agent/secrets"
)

const (
	perSeed       = 20               // rounds of one seed
	layeredEvery  = 6                // of so many seeds one has a node with several stacks
	defaultRounds = 120              // rounds without ROUNDS, as many as fit in patience: the same seeds
	patience      = 75 * time.Second // on every machine, for the race detector (make test runs more without it)
	shownSeeds    = 3                // failing seeds that are shown with their trace
)

// fixture is what all seeds share.
type fixture struct {
	dir       string
	tokenFile string
	keys      *secrets.Keyring
	renders   *renders
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	prepareKey(t)
	dir := memoryfolder.New(t)
	keys := sealKey.Keyring(t)
	return &fixture{dir: dir, tokenFile: gitlabtest.TokenFile(t, gitlabtest.Secret), keys: keys, renders: &renders{known: map[[32]byte]rendered{}}}
}

// number reads a variable of the environment.
func number(t *testing.T, name string, standard uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

// run is all seeds of a test, by several workers.
type run struct {
	shared *fixture
	rounds int       // that there are to be
	until  time.Time // no further seed begins then

	mu                      sync.Mutex
	seed                    uint64 // the next
	begun, done             int    // rounds
	kills, faults, failures int
}

// next gives the next seed, unless there are enough.
func (r *run) next() (seed uint64, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begun >= r.rounds || time.Now().After(r.until) {
		return 0, false
	}
	r.begun += perSeed
	r.seed++
	return r.seed - 1, true
}

// add counts what a seed came to, and says what went wrong.
func (r *run) add(w *world, rounds int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += rounds
	r.kills += w.kills
	r.faults += w.faults
	if len(w.wrong) == 0 {
		return ""
	}
	r.failures++
	text := fmt.Sprintf("SEED=%d: %s", w.seed, w.wrong[0])
	if r.failures <= shownSeeds {
		text += "\n" + w.trace.String()
	}
	return text
}

// TestSimulation runs seeds, and shows those that fail. SEED sets the first one; alone, it
// runs no other. ROUNDS sets how many rounds there are.
func TestSimulation(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1200))
	began, workers := time.Now(), runtime.GOMAXPROCS(0)
	all := &run{shared: newFixture(t), rounds: int(number(t, "ROUNDS", defaultRounds)), until: began.Add(patience), seed: number(t, "SEED", 1)}
	switch {
	case os.Getenv("ROUNDS") != "":
		all.until = began.Add(1000 * time.Hour)
	case os.Getenv("SEED") != "":
		all.rounds = perSeed
	}
	t.Run("seeds", func(t *testing.T) {
		for range workers {
			t.Run("worker", func(t *testing.T) {
				t.Parallel()
				for seed, more := all.next(); more; seed, more = all.next() {
					if wrong := simulate(t, all, seed); wrong != "" {
						t.Error(wrong)
					}
				}
			})
		}
	})
	if wrong := all.shared.renders.wrong; wrong != "" {
		t.Error(wrong)
	}
	fmt.Printf("simulation: %d rounds, %d kills, %d faults, %d failures in %s\n",
		all.done, all.kills, all.faults, all.failures, time.Since(began).Round(time.Second))
}

// simulate runs the rounds of one seed in a bubble of its own, and says what went wrong.
func simulate(t *testing.T, all *run, seed uint64) (wrong string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		w := newWorld(t, seed, all.shared)
		defer func() { _ = os.RemoveAll(w.dir) }()
		if w.layered {
			wrong = all.add(w, w.simulateLayers())
			return
		}
		w.push(release{about: "first", tag: "g0", replicas: 1, secret: 1, automatic: w.random.IntN(3) > 0, correct: w.random.IntN(2) == 0})
		w.start()
		w.settle()
		w.check()
		n := 0
		for ; n < perSeed && len(w.wrong) == 0; n++ {
			w.round()
		}
		if len(w.wrong) == 0 {
			w.checkMails()
		}
		w.stop()
		wrong = all.add(w, n)
	})
	return wrong
}
