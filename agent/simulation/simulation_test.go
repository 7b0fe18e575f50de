package simulation_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/secrets"
)

const (
	perSeed     = 20               // rounds of one seed
	defaultRuns = 20000            // rounds without ROUNDS
	patience    = 75 * time.Second // for them
	shownSeeds  = 3                // failing seeds that are shown in full
)

// fixture is what all seeds share.
type fixture struct {
	dir       string
	tokenFile string
	keys      *secrets.Keyring
}

// memoryFolder gives a folder whose files cost no disk, where the machine has one.
func memoryFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "simulation-") //nolint:usetesting // a folder in memory
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	prepareKey(t)
	dir := memoryFolder(t)
	identity := filepath.Join(dir, "age.key")
	if err := os.WriteFile(identity, []byte(sealKey.Identity), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := secrets.LoadKeys(secrets.KeyFiles{Age: []string{identity}})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{dir: dir, tokenFile: gitlabtest.TokenFile(t, gitlabtest.Secret), keys: keys}
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

// tally is what all seeds came to.
type tally struct{ rounds, kills, faults, failures int }

// TestSimulation runs seeds one after the other, and shows those that fail. SEED runs one
// alone, ROUNDS sets how many rounds there are.
func TestSimulation(t *testing.T) {
	shared := newFixture(t)
	rounds, limit := int(number(t, "ROUNDS", defaultRuns)), patience
	if os.Getenv("ROUNDS") != "" {
		limit = 100 * time.Hour
	}
	seed := number(t, "SEED", 1)
	began, sum := time.Now(), tally{}
	for sum.rounds < rounds && time.Since(began) < limit {
		simulate(t, shared, seed, &sum)
		if os.Getenv("SEED") != "" && os.Getenv("ROUNDS") == "" {
			break
		}
		seed++
	}
	fmt.Printf("simulation: %d rounds, %d kills, %d faults, %d failures in %s\n",
		sum.rounds, sum.kills, sum.faults, sum.failures, time.Since(began).Round(time.Second))
}

// simulate runs the rounds of one seed in a bubble of its own.
func simulate(t *testing.T, shared *fixture, seed uint64, sum *tally) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, shared)
		defer func() { _ = os.RemoveAll(w.dir) }()
		w.push(release{about: "first", tag: "g0", replicas: 1, secret: 1, automatic: w.random.IntN(3) > 0, correct: w.random.IntN(2) == 0})
		w.start()
		w.settle()
		w.check()
		for n := 0; n < perSeed && len(w.wrong) == 0; n++ {
			w.round()
			sum.rounds++
		}
		w.stop()
		sum.kills += w.kills
		sum.faults += w.faults
		if len(w.wrong) == 0 {
			return
		}
		sum.failures++
		text := ""
		if sum.failures <= shownSeeds || os.Getenv("SEED") != "" {
			text = "\n" + w.trace.String()
		}
		t.Errorf("SEED=%d: %s%s", seed, w.wrong[0], text)
	})
}
