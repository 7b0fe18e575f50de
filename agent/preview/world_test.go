package preview_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/memoryfolder"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// world is a git repository and the double of GitLab, in a bubble of synctest.
type world struct {
	t      *testing.T
	gitlab *gitlabtest.Server
	repo   *gittest.Repo
	token  string
	random *rand.Rand
	limits limits.Limits // of the nodes

	mu    sync.Mutex
	heads uint64
	delay func() time.Duration // of each request; nil for none
}

// below gives a number below n.
func (w *world) below(n int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.Int64N(n)
}

const folder = "environments/sandbox/nodes/"

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	repo := gittest.New(t)
	token := gitlabtest.TokenFile(t, gitlabtest.Secret)
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		w := &world{t: t, gitlab: gitlabtest.NewServer(gitlabtest.Config{
			Branches: func(string) ([]string, bool) { return []string{"master"}, true },
		}), repo: repo, token: token, limits: limits.Default(), random: rand.New(rand.NewPCG(1, 2)), heads: 1}
		w.gitlab.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}})
		repo.Commit("first", map[string]string{folder + "node3/plan": "one", folder + "node4/plan": "one"})
		test(w)
		if said := w.gitlab.Commands(); len(said) > 0 {
			t.Errorf("quick actions were carried out: %q", said)
		}
	})
}

// branch pushes a branch that begins at master, and gives its head.
func (w *world) branch(name string, files map[string]string) string {
	w.t.Helper()
	w.repo.Git("checkout", "--quiet", "-B", name, "master")
	head := w.repo.Commit("change "+name, files)
	w.repo.Git("checkout", "--quiet", "master")
	w.moved()
	return head
}

// moved has the agents see that a branch has moved.
func (w *world) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heads++
}

// open opens a merge request of a new branch with files.
func (w *world) open(name string, files map[string]string) (number int64, head string) {
	w.t.Helper()
	base := w.repo.Head()
	head = w.branch(name, files)
	return w.gitlab.AddOpen(gitlabtest.Open{Source: name, Head: head, Base: base}), head
}

// node is the previews of one node.
type node struct {
	w     *world
	name  string
	dir   string
	last  *record.Sync
	syncs []record.Sync
	wrong string               // why plans cannot be made now; "" if they can
	away  bool                 // the registry of the plan "away" does not answer
	plans int                  // that were asked for
	lacks string               // the commit that git does not have; "" for none
	stuck string               // the commit that git fails to give; "" for none
	quiet bool                 // git does not answer at all
	asks  []manifests.Approval // that a rollout waits for

	worker   *preview.Worker
	store    *store.Store
	outbox   *gitlab.Outbox
	log      bytes.Buffer
	stop     func()
	cut      func(what string) (before, after bool) // whether the process dies at a side effect
	planning chan struct{}                          // a plan waits for the end of its context if set
}

func (w *world) node(name string) *node {
	return &node{w: w, name: name, dir: filepath.Join(memoryfolder.New(w.t), name)}
}

var errKilled = errors.New("killed")

// RoundTrip carries the requests of a node to the double.
func (n *node) RoundTrip(req *http.Request) (*http.Response, error) {
	if delay := n.w.delay; delay != nil {
		time.Sleep(delay())
	}
	before, after := n.die(req.Method)
	if before || req.Context().Err() != nil {
		return nil, errKilled
	}
	answer, lost := httptest.NewRecorder(), make(chan bool, 1)
	go func() {
		defer func() {
			reason := recover()
			if reason != nil && reason != http.ErrAbortHandler { //nolint:errorlint // as net/http does
				panic(reason)
			}
			lost <- reason != nil
		}()
		served := req.Clone(context.WithoutCancel(req.Context()))
		if served.Body == nil {
			served.Body = http.NoBody
		}
		n.w.gitlab.ServeHTTP(answer, served)
	}()
	select {
	case cut := <-lost:
		if cut || after {
			return nil, errKilled
		}
	case <-req.Context().Done(): // what was sent arrives nevertheless
		return nil, req.Context().Err()
	}
	if delay := n.w.delay; delay != nil {
		time.Sleep(delay())
	}
	return answer.Result(), nil
}

func (n *node) die(what string) (before, after bool) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	if n.cut == nil || what == http.MethodGet {
		return false, false
	}
	return n.cut(what)
}

// start starts the previews on what the state file has.
func (n *node) start() {
	n.w.t.Helper()
	var err error
	if n.store, err = store.Open(n.dir, "sandbox/"+n.name, nil); err != nil {
		n.w.t.Fatal(err)
	}
	n.store.Around = func(write func() error) error {
		before, after := n.die("state file")
		if before {
			return errKilled
		}
		err := write()
		if after {
			return errKilled
		}
		return err
	}
	client, err := gitlab.New(gitlab.Options{URL: "http://localhost", Project: "coin/coin-gitops", TokenFile: n.w.token, Transport: n, Limits: n.w.limits})
	if err != nil {
		n.w.t.Fatal(err)
	}
	source, err := gitsync.Open(gitsync.Remote{URL: n.w.repo.Dir})
	if err != nil {
		n.w.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&n.log, nil))
	requests := gitlab.NewRequests(client)
	n.outbox = gitlab.NewOutbox(client, n.store.Outbox(), log)
	n.worker = preview.New(preview.Options{
		Environment: "sandbox", Node: n.name, Status: "coin-agent/sandbox/" + n.name + "/plan", Branch: "master", Paths: []string{folder + n.name},
		Heads:    func() uint64 { n.w.mu.Lock(); defer n.w.mu.Unlock(); return n.w.heads },
		Requests: requests, Approvals: client, Notes: requests, Source: replica{source, n}, Planner: n, Signer: func(context.Context, gitsync.Revision) (string, error) { return "", nil }, Last: func() *record.Sync { return n.last }, Syncs: n,
		Reports: n.outbox, Store: n.store.Previews("default"), Log: log, Random: n.w.below,
	})
	ctx, cancel := context.WithCancel(n.w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = n.worker.Run(ctx) })
	running.Go(func() { _ = n.outbox.Run(ctx) })
	n.stop = func() {
		cancel()
		running.Wait()
		if err := n.store.Close(); err != nil {
			n.w.t.Error(err)
		}
	}
}

// replica is the repository, which may lack a commit.
type replica struct {
	*gitsync.Repository
	n *node
}

func (r replica) Fetch(ctx context.Context, revision gitsync.Revision, prefetch []string) (*gitsync.Checkout, error) {
	if revision.Commit == r.n.lacks {
		return nil, gitsync.ErrNotFound
	}
	if revision.Commit == r.n.stuck || r.n.quiet {
		return nil, errors.New("the remote hung up")
	}
	return r.Repository.Fetch(ctx, revision, prefetch)
}

func (r replica) Select(ctx context.Context, rule gitsync.Rule) (gitsync.Revision, error) {
	if r.n.quiet {
		return gitsync.Revision{}, errors.New("the remote does not answer")
	}
	return r.Repository.Select(ctx, rule)
}

// SyncsUntil gives the node's syncs since one that is enough.
func (n *node) SyncsUntil(enough func(*record.Sync) bool) (recent []record.Sync, err error) {
	for _, one := range n.syncs {
		if enough(&one) {
			break
		}
		recent = append(recent, one)
	}
	return recent, nil
}

// Preview stands for the stages of a rollout: a file of the node names the service that the
// plan creates. "bad" cannot be rendered.
func (n *node) Preview(ctx context.Context, checkout *gitsync.Checkout, concerned func() (bool, error)) (*rollout.Preview, error) {
	content, err := fs.ReadFile(checkout.FS, folder+n.name+"/plan")
	if err != nil {
		return nil, err
	}
	if is, err := concerned(); err != nil || !is {
		return nil, err
	}
	if n.planning != nil {
		n.planning <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	n.plans++
	switch {
	case n.away && string(content) == "away":
		return nil, fault.Transient(errors.New("the registry does not answer"))
	case n.wrong != "":
		return nil, fault.Transient(errors.New(n.wrong))
	case string(content) == "bad":
		return nil, fault.New(fault.Place{File: "plan", Line: 1}, "write another one", "the plan is bad")
	}
	return &rollout.Preview{Plan: planOf(string(content)), Approvals: n.asks, Waits: []string{"success of node1"}}, nil
}

func planOf(name string) deploy.RecordedPlan {
	return deploy.RecordedPlan{Stack: "s", Steps: []deploy.Step{{Action: deploy.Create, Kind: deploy.Service, Name: "s_" + name, Tasks: 1, Restarts: true}}}
}

// look has the node look at the remote, and lets time pass.
func (n *node) look(d time.Duration) {
	n.worker.Look()
	time.Sleep(d)
	synctest.Wait()
}

// note gives the only note of the agents on a merge request; "" if there is none.
func (w *world) note(number int64) string {
	w.t.Helper()
	text := ""
	for _, one := range w.gitlab.RequestNotes(number) {
		if one.Author.ID != gitlabtest.Agent().ID {
			continue
		}
		if text != "" {
			w.t.Errorf("two notes on !%d:\n%s\n%s", number, text, one.Body)
		}
		text = one.Body
	}
	return text
}

// wantNote wants these texts in the only note.
func (w *world) wantNote(number int64, texts ...string) {
	w.t.Helper()
	note := w.note(number)
	for _, text := range texts {
		if !strings.Contains(note, text) {
			w.t.Errorf("the note on !%d lacks %q:\n%s", number, text, note)
		}
	}
}

// calls counts the requests since a number of them.
func (w *world) calls(since int) (n int, list string) {
	for _, one := range w.gitlab.Requests()[since:] {
		n++
		list += fmt.Sprintf("%s %s %d\n", one.Method, one.Path, one.Answered)
	}
	return n, list
}
