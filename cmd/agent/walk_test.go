package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
)

// settleLimit is the time in which a round has to be right.
const settleLimit = 5 * time.Minute

// walk is a node that is led astray at random.
type walk struct {
	*application
	random *rand.Rand
	path   string // of the agent's settings

	head       string // the newest commit
	releases   map[string]walked
	excused    map[string]bool // commits that the surroundings may have failed
	paused     bool
	tampered   bool              // by hand, since the stack was right last
	migrations map[string]string // tasks that have done a migration
	uncounted  map[string]bool   // tasks of migrations that Swarm may have run by itself
	restarted  bool              // the engine, in this round

	lastLook      time.Time
	looked, looks int // how many different ones were seen, and are to be

	seen   *report.Status    // what the oracle saw last
	proven map[uint64]proven // by sync
}

// number reads a whole number from the environment.
func numberOf(t *testing.T, variable string, standard uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return standard
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

func newWalk(t *testing.T, seed uint64) *walk {
	t.Helper()
	w := &walk{
		application: newApplication(t, swarmtest.Own(t)), random: rand.New(rand.NewPCG(seed, 0)),
		releases: map[string]walked{}, excused: map[string]bool{}, migrations: map[string]string{}, uncounted: map[string]bool{}, proven: map[uint64]proven{},
	}
	w.settings["engine"], w.settings["log_level"] = w.swarm.Host, "info"
	w.path = w.config()
	return w
}

// cli runs one command line in this process.
func (w *walk) cli(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	code = run(ctx, append(args, "--config", w.path), &out, &errs)
	return code, out.String(), errs.String()
}

// push commits a release.
func (w *walk) push(message string, r walked) {
	w.t.Helper()
	w.head = w.release(message, r)
	w.releases[w.head] = r
}

// becomesRight waits until the oracle is content.
func (w *walk) becomesRight() {
	w.t.Helper()
	w.looked = 0
	waitfor.NoError(w.t, settleLimit, w.right)
}

// TestRandomWalk leads a node astray at random: good and bad commits, kills of the
// agent, restarts of the engine, changes by hand, git or GitLab away. After each round
// an oracle of its own compares what runs with what the commits ask for and the
// history calls good. WALK_ROUNDS and WALK_SEED say how long and which way.
func TestRandomWalk(t *testing.T) {
	t.Parallel()
	rounds, seed := numberOf(t, "WALK_ROUNDS", 4), numberOf(t, "WALK_SEED", uint64(time.Now().UnixNano()))
	t.Logf("WALK_SEED=%d WALK_ROUNDS=%d", seed, rounds)
	w := newWalk(t, seed)
	first := firstRelease(seed%2 == 0, seed%4 < 2)
	w.push("first", first)
	w.start()
	w.becomesRight()
	for round := range rounds {
		began := time.Now()
		what := w.round()
		t.Logf("round %d: %s …", round+1, what)
		w.becomesRight()
		sync := w.seen.Sync
		t.Logf("round %d: %s: #%d %s in %s: %s%s%s", round+1, what, sync.ID, sync.State,
			time.Since(began).Round(time.Millisecond), sync.Summary, sync.Waiting, sync.Error)
	}
}

// round does something to the node, and disturbs it meanwhile.
func (w *walk) round() string {
	w.t.Helper()
	w.restarted = false
	w.looks = 2 // the first may be an old one
	act, disturb := w.pick(w.moves()), w.pick(w.disturbances())
	what, done := act.name, make(chan struct{})
	meanwhile := act.do()
	go func() {
		defer close(done)
		if meanwhile != nil {
			meanwhile()
		}
	}()
	if disturb.do != nil {
		wait := time.Duration(w.random.IntN(2500)) * time.Millisecond
		what += fmt.Sprintf(" + %s after %s", disturb.name, wait)
		<-time.After(wait)
		disturb.do()
	}
	<-done
	return what
}
