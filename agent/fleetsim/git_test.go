package fleetsim_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"

	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// prices are what git's exchanges cost, as bytes on the wire without TLS.
type prices struct{ refs, other, own, files cost }

const (
	estateNodes = 200 // folders of nodes in the repository that is measured, 8 files each
	requestsNow = 20  // refs of merge requests in it
)

// measure has the real client follow a real git server, and counts the bytes of each exchange.
func measure(t *testing.T) prices {
	t.Helper()
	made := gittest.New(t)
	all := map[string]string{"environments/production/config.yml": "environment: production\n"}
	for node := range estateNodes {
		for file := range 8 {
			all[fmt.Sprintf("environments/production/nodes/node%d/file%d.yml", node, file)] = fmt.Sprintf("# %d %d\n%s", node, file, strings.Repeat("services: {}\n", 60))
		}
	}
	head := made.Commit("Set up", all)
	for n := range requestsNow {
		made.Git("update-ref", fmt.Sprintf("refs/merge-requests/%d/head", n+1), head)
	}
	handler, err := gittest.Handler(made.Root(), gittest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server, counted := httptest.NewUnstartedServer(handler), &countingListener{}
	counted.Listener, server.Listener = server.Listener, counted
	server.Start()
	t.Cleanup(server.Close)
	repo, err := gitsync.Open(gitsync.Remote{URL: server.URL + "/repo", MergeRequests: true})
	if err != nil {
		t.Fatal(err)
	}
	const own = "environments/production/nodes/node7"
	look := func() (rev gitsync.Revision) {
		t.Helper()
		if rev, err = repo.Select(t.Context(), gitsync.Rule{Branch: "master"}); err != nil {
			t.Fatal(err)
		}
		return rev
	}
	fetch := func(last gitsync.Revision, prefetch ...string) gitsync.Revision {
		t.Helper()
		rev := look()
		counted.bytes.Store(0)
		if last.Commit != "" {
			if _, err := repo.Descends(t.Context(), last.Commit, rev.Commit); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := repo.Fetch(t.Context(), rev, prefetch); err != nil {
			t.Fatal(err)
		}
		return rev
	}
	last := fetch(gitsync.Revision{}, own)
	look()
	counted.bytes.Store(0)
	look()
	measured := prices{refs: cost{1, int(counted.bytes.Load())}}
	change := func(node int) {
		made.Commit("Change", map[string]string{fmt.Sprintf("environments/production/nodes/node%d/file1.yml", node): fmt.Sprint(time.Now())})
	}
	change(99)
	last = fetch(last)
	measured.other = cost{2, int(counted.bytes.Load())}
	change(7)
	fetch(last)
	measured.own = cost{2, int(counted.bytes.Load())}
	change(7)
	fetch(last, own)
	measured.files = cost{1, int(counted.bytes.Load()) - measured.own.bytes}
	return measured
}

// countingListener counts the bytes of all connections in both directions.
type countingListener struct {
	net.Listener
	bytes atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countingConn{conn, &l.bytes}, err
}

type countingConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c countingConn) Write(p []byte) (int, error) {
	c.bytes.Add(int64(len(p))) // before the client can have it
	return c.Conn.Write(p)
}

// branch is what the agents follow.
const branch = "master"

// commit is a commit that concerns some nodes.
type commit struct {
	hash     string
	concerns func(node int) bool
	tree     *memory.Storage
}

// git is the git server of all agents.
type git struct {
	mu    sync.Mutex
	head  *commit
	all   map[string]*commit
	moved uint64 // how often a merge request has moved
}

// add adds a commit. To the nodes that it concerns it has files that they have not read.
func (g *git) add(concerns func(int) bool) *commit {
	g.mu.Lock()
	defer g.mu.Unlock()
	made := &commit{concerns: concerns, tree: memory.NewStorage()}
	about := object.Commit{Message: fmt.Sprint("Change ", len(g.all)), TreeHash: write(made.tree, (&object.Tree{
		Entries: []object.TreeEntry{{Name: "config.yml", Mode: filemode.Regular, Hash: plumbing.NewHash("aaaa")}},
	}).Encode)}
	made.hash = write(made.tree, about.Encode).String()
	if g.all == nil {
		g.all = map[string]*commit{}
	}
	g.all[made.hash] = made
	return made
}

// write adds an object to a store.
func write(store *memory.Storage, encode func(plumbing.EncodedObject) error) plumbing.Hash {
	made := store.NewEncodedObject()
	if err := encode(made); err != nil {
		panic(err)
	}
	hash, err := store.SetEncodedObject(made)
	if err != nil {
		panic(err)
	}
	return hash
}

// push moves the branch.
func (g *git) push(to *commit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.head = to
}

// ask pushes to a merge request.
func (g *git) ask() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.moved++
}

// client is the git client of one node: it counts what the real one has been measured to cost, and
// obeys Retry-After by the same Hold.
type client struct {
	n     *node
	held  backoff.Hold
	heads atomic.Uint64
}

// exchange has the server answer.
func (c *client) exchange(of kind, what cost) error {
	if c.held.Left() > 0 {
		return &fault.Error{Message: "the remote asks for no request", Err: gitsync.ErrUnreachable}
	}
	wrong, after := c.n.w.refuse(c.n, doorGit)
	if wrong == "" {
		c.n.w.counts.add(c.n.number, of, what)
		return nil
	}
	c.n.w.counts.add(c.n.number, of, cost{1, 0})
	c.held.Ask(after)
	return &fault.Error{Message: wrong, Err: gitsync.ErrUnreachable}
}

// Select lists the refs.
func (c *client) Select(context.Context, gitsync.Rule) (gitsync.Revision, error) {
	if err := c.exchange(refs, c.n.w.prices.refs); err != nil {
		return gitsync.Revision{}, err
	}
	server := &c.n.w.git
	server.mu.Lock()
	defer server.mu.Unlock()
	c.heads.Store(server.moved + 1)
	return gitsync.Revision{Commit: server.head.hash, Ref: branch}, nil
}

// Heads changes when a merge request has moved.
func (c *client) Heads() uint64 { return c.heads.Load() }

// Fetch reads a commit and its folders.
func (c *client) Fetch(_ context.Context, rev gitsync.Revision, _ []string) (*gitsync.Checkout, error) {
	if err := c.exchange(commits, half(c.n.w.prices.other)); err != nil {
		return nil, err
	}
	found := c.n.w.git.find(rev.Commit)
	return gitsync.Read(found.tree, rev)
}

func half(of cost) cost { return cost{of.requests / 2, of.bytes / 2} }

func (g *git) find(hash string) *commit {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[hash]
}

// Descends reads the history.
func (c *client) Descends(context.Context, string, string) (bool, error) {
	return true, c.exchange(commits, half(c.n.w.prices.other))
}
