package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/memoryfolder"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

const (
	interval   = 30 * time.Second
	configFile = "environments/sandbox/config.yml"
	nodeDir    = "environments/sandbox/nodes/node3/"
)

// person is who asks for syncs.
var person = audit.Actor{By: audit.ByUser, Name: "ada", UID: "1000"}

// world is an agent over a repository, an engine and a GitLab in memory, in a
// bubble of synctest: time passes only when everybody waits.
type world struct {
	t       *testing.T
	agent   *agent.Agent
	desk    users
	metrics *metrics.Metrics
	store   *store.Store
	records *store.Stack // of the node's stack
	audit   *audit.Log
	dir     string
	stop    func()

	mu          sync.Mutex
	revision    gitsync.Revision
	history     []gitsync.Commit // the newest first
	historyErr  error
	files       fstest.MapFS
	looks       []time.Time
	selectErr   error
	fetchErr    error
	fetches     int
	kept, busy  []string         // of a stack that is removed
	removals    int              // tries of that
	departed    deploy.Departure // the last of them
	descends    bool
	older       func(old, revision string) bool // the history, where descends is not enough
	gone        string                          // the commit that the remote no longer has
	allow       bool
	engineErr   error
	mismatch    error
	resolve     func(deploy.LiveServices, *compose.Stack) (*compose.Stack, []string, error) // the registries; nil has none
	lacks       map[string]error                                                            // images that are nowhere, with the refusal
	result      deploy.Result
	onApply     func(ctx context.Context) // while a plan is being applied
	onVerify    func()                    // before services are looked after
	moment      func()                    // whenever the agent asks or tells something; nil for nothing
	live        map[string]swarm.ServiceSpec
	networks    map[string]network.CreateOptions
	secrets     map[string]swarm.Secret
	surveys     int // how often all versions were asked for
	stockErr    error
	failedJobs  map[string]bool                 // by full name
	followed    [][]string                      // the services of each wait
	unknown     []string                        // secrets that the last wait did not know the values of
	written     []string                        // that the last wait was told of
	verify      func(ctx context.Context) error // instead of onVerify, without the lock
	counts      map[string]*swarm.ServiceStatus // the tasks of services; none are counted without it
	lost        bool                            // an apply reaches the engine, and the agent is stopped before it hears of that
	applied     int                             // plans that were applied
	reported    []gitlab.Report
	deployments []string // that GitLab was told of
	description string
	notices     func(*store.Store) publish.Notices // who is told; nil for nobody
	after       func()                             // ends what notices started
	others      *neighbours                        // the other nodes' statuses; nil where no GitLab is configured
	merges      *merges                            // the merge requests; nil where no GitLab is configured
	change      func(*agent.Parts)                 // what the agent is made of; nil for nothing else
}

// inWorld runs a test in a world whose daemon does not run yet.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		w := &world{t: t, dir: memoryfolder.New(t), live: map[string]swarm.ServiceSpec{}, networks: map[string]network.CreateOptions{}, secrets: map[string]swarm.Secret{}, descends: true}
		w.files = fstest.MapFS{
			configFile:                     file("environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n"),
			nodeDir + "node.env":           file("TAG=1\n"),
			nodeDir + "docker-compose.yml": file("services: {web: {image: \"app:$TAG\"}}\n"),
		}
		w.commit("1")
		defer func() {
			if w.stop != nil {
				w.halt()
			}
		}()
		test(w)
	})
}

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }

// commit makes the remote offer a new revision, with files changed.
func (w *world) commit(name string, changes ...string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	files := fstest.MapFS{}
	maps.Copy(files, w.files)
	for i := 0; i+1 < len(changes); i += 2 {
		files[changes[i]] = file(changes[i+1])
	}
	w.files = files
	w.revision = gitsync.Revision{Commit: fmt.Sprintf("%040s", name), Ref: "master", Author: "Ada <ada@coin.example>"}
	if len(w.history) == 0 || w.history[0].Hash != w.revision.Commit {
		w.history = append([]gitsync.Commit{{Hash: w.revision.Commit, Subject: "Change " + name, Changes: true}}, w.history...)
	}
	return w.revision.Commit
}

// open makes an agent, with what the state file has.
func (w *world) open() {
	w.t.Helper()
	store, err := store.Open(w.dir, "sandbox/node3", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	settings := settings.Default()
	settings.Environment, settings.Node, settings.Interval, settings.AllowRewrite = "sandbox", "node3", interval, w.allow
	w.store, w.records = store, store.Stack(record.OnlyStack)
	settings.StateDir, settings.CheckDir = w.dir, w.dir
	if w.audit, err = journal.Open(w.dir, store, audit.Options{Environment: "sandbox", Node: "node3", Version: "test", Log: slog.New(slog.DiscardHandler)}); err != nil {
		w.t.Fatal(err)
	}
	var notices publish.Notices
	if w.notices != nil {
		notices = w.notices(store)
	}
	w.metrics = metrics.New("sandbox", "node3", "test")
	parts := agent.Parts{
		Notices: notices, Settings: settings, Log: slog.New(slog.DiscardHandler), Source: w, Engine: engine{w}, Store: store, Audit: w.audit, Reports: w,
		Keys: func() (*secrets.Keyring, error) { return nil, nil }, Metrics: w.metrics,
	}
	if w.merges != nil {
		parts.Approvals = w.merges
	}
	if w.others != nil {
		parts.Statuses = w.others
	}
	if w.change != nil {
		w.change(&parts)
	}
	w.agent = agent.New(parts)
	if desk, err := w.agent.Desk(""); err == nil { // of the only stack
		w.desk = users{desk}
	}
}

// start starts the daemon, with what the state file has.
func (w *world) start() {
	w.t.Helper()
	w.open()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.agent.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}
	synctest.Wait()
}

// set changes the world while the daemon may look at it.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// plans is how many plans were applied.
func (w *world) plans() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.applied
}

// gaps are the times between the looks at the remote.
func (w *world) gaps() (gaps []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i < len(w.looks); i++ {
		gaps = append(gaps, w.looks[i].Sub(w.looks[i-1]))
	}
	return gaps
}

// halt ends the daemon and closes the state file.
func (w *world) halt() {
	w.stop()
	w.stop = nil
	if w.after != nil {
		w.after()
	}
	if err := errors.Join(w.audit.Close(), w.store.Close()); err != nil {
		w.t.Error(err)
	}
}

// pass lets time pass, and the daemon do what is due.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// poll lets the daemon look once more.
func (w *world) poll() { w.pass(interval + interval/5) }

// last gives the newest sync.
func (w *world) last() *record.Sync {
	w.t.Helper()
	sync, err := w.records.LastSync()
	if err != nil || sync == nil {
		w.t.Fatalf("no sync: %v", err)
	}
	return sync
}

// wantLast checks the newest sync's commit and outcome.
func (w *world) wantLast(commit string, want record.State) *record.Sync {
	w.t.Helper()
	sync := w.last()
	if sync.Commit != commit || sync.State != want {
		w.t.Fatalf("%s is %s (%s), want %s of %s", sync.Commit, sync.State, sync.Error, want, commit)
	}
	return sync
}
