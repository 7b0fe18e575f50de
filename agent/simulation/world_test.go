package simulation_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/deploy/enginetest"
	"coin.internal/coin-agent/secrets"
)

const interval = 30 * time.Second

// failed is world.fails after the write that failed.
const failed = -1

// world is a node's surroundings and its agent, in a bubble of synctest.
type world struct {
	t         *testing.T
	seed      uint64
	random    *rand.Rand // of the driver alone
	dir       string     // of the state file and the audit log
	tokenFile string
	keys      *secrets.Keyring
	renders   *renders
	git       *git
	engine    *enginetest.Engine
	gitlab    *gitlabtest.Server
	log       *slog.Logger
	rewrites  bool // the agent's allow_rewrite
	process   *process
	layered   bool               // the node has several stacks
	removals  map[string]removal // by the stack: what users say about it
	lists     map[string]int     // by the stack: how many commits list it

	refused  bool   // the agent does not follow the branch, whose history was rewritten
	intruder bool   // a service that is not the agent's is in the stack
	meddled  bool   // a user changed the engine since the world was last as recorded
	foreign  string // the other stack, as it was made

	requests []*mergeRequest //, by number

	unreachable []string // images whose registry does not answer

	mu          sync.Mutex
	trace       bytes.Buffer
	began       time.Time
	plan        *kill
	refuse      int   // calls of the engine until one is refused; 0 for none
	refusal     error // its error
	lose        int   // writes to the engine until the answer of one is lost
	fails       int   // writes of the state file and the audit log until one fails; 0 for none, failed after that
	diskFull    bool
	torn1       bool // the next kill at the audit log tears its last line
	rival       bool // another writer comes before the agent's next write to a service
	kills       int
	faults      int
	wrong       []string  // what watchWrite has found
	paced       time.Time // when the oracle counted last how often the remote was asked
	log1        auditLog
	mailbox     mailbox
	stateFile   bytes.Buffer       // its content when the oracle read it last
	checked     []byte             // the content that syncs are the records of
	syncs       []attempt          // the newest first; they are not changed
	decoded     map[string]attempt // the records of the state file that the oracle has read, by their JSON
	scannedBody int
}

// newWorld makes a world whose agent does not run yet.
func newWorld(t *testing.T, seed uint64, shared *fixture) *world {
	t.Helper()
	dir := filepath.Join(shared.dir, fmt.Sprint(seed))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), dir: dir, tokenFile: shared.tokenFile, keys: shared.keys, renders: shared.renders,
		git: newGit(), engine: enginetest.New(enginetest.Options{Seed: seed, Shared: true}), gitlab: gitlabtest.NewServer(gitlabtest.Config{}), began: time.Now(),
		decoded: map[string]attempt{}, layered: seed%layeredEvery == 0, removals: map[string]removal{}, lists: map[string]int{},
	}
	w.log = slog.New(slog.NewTextHandler(tracer{w}, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	w.rewrites = w.random.IntN(2) == 0
	w.gitlab.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}})
	w.gitlab.AddIssue(auditIssue)
	w.addForeign()
	return w
}

// tracer takes the agent's log into the trace.
type tracer struct{ w *world }

func (l tracer) Write(line []byte) (int, error) {
	l.w.note("log %s", strings.TrimSpace(string(line)))
	return len(line), nil
}

// note adds an event to the trace.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.trace, "%9.3f ", time.Since(w.began).Seconds())
	fmt.Fprintf(&w.trace, format, args...)
	w.trace.WriteByte('\n')
}

// jitter gives a number below n that follows from the seed and the time, so that a seed
// repeats whatever the order in which goroutines ask.
func (w *world) jitter(n int64) int64 {
	return rand.New(rand.NewPCG(w.seed, uint64(time.Now().UnixNano()))).Int64N(n)
}

// count adds one to a counter.
func (w *world) count(counter *int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*counter++
}

// addForeign makes the objects of another stack, which the agent must not touch.
func (w *world) addForeign() {
	ctx, user := w.t.Context(), w.engine.Client(enginetest.Hooks{})
	labels := map[string]string{"com.docker.stack.namespace": "other", "coin-agent.owner": "sandbox/node9"}
	w.engine.Image("coin/other:1", enginetest.DemoApp())
	_, err := user.NetworkCreate(ctx, "other_default", network.CreateOptions{Driver: "overlay", Labels: labels})
	if err == nil {
		_, err = user.SecretCreate(ctx, swarm.SecretSpec{Annotations: swarm.Annotations{Name: "other_db.1", Labels: labels}, Data: []byte("other")})
	}
	if err == nil {
		_, err = user.ServiceCreate(ctx, foreignService("other_app", labels), swarm.ServiceCreateOptions{})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.foreign = w.foreignNow()
}

func foreignService(name string, labels map[string]string) swarm.ServiceSpec {
	return swarm.ServiceSpec{
		Annotations:  swarm.Annotations{Name: name, Labels: labels},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: "coin/other:1"}},
	}
}

// start starts the agent on the world's files. It may be killed while it starts.
func (w *world) start() {
	p := &process{w: w}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	w.process = p
	made, err := p.assemble()
	if err != nil {
		if !p.isDead() && !w.anyFault() {
			w.fail("the agent does not start: %v", err)
		}
		w.note("the agent does not start: %v", err)
		p.mu.Lock()
		p.dead = true
		p.mu.Unlock()
		p.cancel()
		return
	}
	p.parts = made
	for _, service := range made.services() {
		p.ended.Go(func() {
			if err := service(p.ctx); err != nil && p.ctx.Err() == nil {
				w.fail("a service of the agent ended: %v", err)
			}
		})
	}
	w.note("started")
}

// reap waits for the end of a killed process, and closes its files.
func (w *world) reap() {
	p := w.process
	p.cancel()
	p.ended.Wait()
	if p.parts != nil {
		if err := p.parts.close(); err != nil {
			w.note("close: %v", err)
		}
	}
	synctest.Wait()
	w.process = nil
}

// stop ends the agent as systemd does.
func (w *world) stop() {
	if w.process != nil {
		w.reap()
	}
}

// pass lets time pass, and starts the agent again when it was killed.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	for range 100 {
		if w.process != nil && !w.process.isDead() {
			return
		}
		if w.process != nil {
			w.reap()
			switch again := w.random.IntN(4) == 0; {
			case again && w.layered:
				w.relist() // nor is that of a stack which leaves the list
			case again:
				w.pushStuck() // what was interrupted is not carried on
			}
			time.Sleep(time.Duration(w.random.IntN(8000)) * time.Millisecond)
		}
		w.start()
		synctest.Wait()
	}
}

// ask has a user ask the agent for something. Only its own goroutine waits for it.
func (w *world) ask(command string) {
	p := w.process
	if p == nil || p.parts == nil {
		return
	}
	do, head := p.parts.commands()[command], w.git.head.hash
	p.ended.Go(func() {
		err := do(p.ctx, head)
		w.note("command %s: %v", command, err)
	})
}

// fail records that the world is not as it is to be.
func (w *world) fail(format string, args ...any) {
	w.note("WRONG: "+format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}
