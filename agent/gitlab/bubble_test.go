package gitlab_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// world is a double, a store and outboxes in synctest: they use full HTTP over pipes, and
// time passes only when all wait.
type world struct {
	*gitlabtest.Server
	t         *testing.T
	store     *memory
	tokenFile string
	project   string // default coin/coin-gitops
	logs      *bytes.Buffer
	log       *slog.Logger // into logs
	listener  *pipes
	client    *gitlab.Client
	outbox    *gitlab.Outbox
	stop      func()
}

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		w := &world{
			Server:    gitlabtest.NewServer(gitlabtest.Config{}),
			t:         t,
			store:     &memory{trails: map[string][]byte{}},
			tokenFile: gitlabtest.TokenFile(t, gitlabtest.Secret),
			logs:      &bytes.Buffer{},
			listener:  &pipes{conns: make(chan net.Conn), closed: make(chan struct{})},
		}
		w.log = slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
		w.AddCommit(commit, "master")
		w.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}})
		server := &http.Server{Handler: w.Server, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
		go server.Serve(w.listener) //nolint:errcheck // ends by Close
		w.restart()
		defer func() { // also after a failure, because synctest requires that all goroutines end
			w.stop()
			w.client.CloseIdle()
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(w)
		w.stop()
		if bytes.Contains(w.logs.Bytes(), []byte(gitlabtest.Secret)) {
			t.Errorf("the logs contain the token: %s", w.logs)
		}
	})
}

// restart makes a new agent with the same store, as after a kill. It does not run it.
func (w *world) restart() {
	w.t.Helper()
	if w.stop != nil {
		w.stop()
		w.client.CloseIdle()
	}
	w.client = newClient(w.t, gitlab.Options{URL: "http://localhost", Project: cmp.Or(w.project, "coin/coin-gitops"), TokenFile: w.tokenFile})
	w.client.DialThrough(w.listener.dial)
	w.outbox = gitlab.NewOutbox(w.client, w.store, w.log)
	w.stop = func() {}
}

// run starts the delivery; stop ends it.
func (w *world) run() {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.outbox.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			w.t.Errorf("run ended with %v", err)
		}
		w.stop = func() {}
	}
}

func (w *world) enqueue(reports ...gitlab.Report) {
	w.t.Helper()
	for _, r := range reports {
		if err := w.outbox.Enqueue(r); err != nil {
			w.t.Fatal(err)
		}
	}
}

// settled runs the delivery for d, and checks that no report is left.
func (w *world) settled(d time.Duration) {
	w.t.Helper()
	time.Sleep(d) // in synctest
	synctest.Wait()
	if health := w.outbox.Health(); health.Undelivered != 0 {
		w.t.Fatalf("after %s: %+v\n%s", d, health, w.logs)
	}
}

// states checks the states of the commit's entries, including retried ones.
func (w *world) states() []string {
	var states []string
	for _, entry := range w.Statuses(commit).Entries {
		states = append(states, entry.Status)
	}
	return states
}

func (w *world) wantStates(want ...string) {
	w.t.Helper()
	if got := w.states(); !slices.Equal(got, want) {
		w.t.Errorf("entries %v, want %v\n%s", got, want, w.logs)
	}
}

// requests counts the requests for statuses by method.
func (w *world) requests(method string) int {
	n := 0
	for _, request := range w.Requests() {
		if request.Method == method && bytes.Contains([]byte(request.Path), []byte("statuses")) {
			n++
		}
	}
	return n
}

func (w *world) writeToken(secret string) {
	w.t.Helper()
	if err := os.WriteFile(w.tokenFile, []byte(secret), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// pipes is a network in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
	case <-ctx.Done():
	}
	return nil, errors.Join(errors.New("connection refused"), ours.Close(), theirs.Close())
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// memory is a store that keeps JSON, like the agent's state file, and that can fail.
type memory struct {
	mu      sync.Mutex
	last    uint64
	entries []gitlab.Entry
	trails  map[string][]byte
	fail    func(method string) error
}

func (m *memory) check(method string) error {
	if m.fail == nil {
		return nil
	}
	return m.fail(method)
}

func (m *memory) Entries() ([]gitlab.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries), m.check("Entries")
}

func (m *memory) Save(entry *gitlab.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check("Save"); err != nil {
		return err
	}
	if entry.Seq == 0 {
		m.last++
		entry.Seq = m.last
		m.entries = append(m.entries, *entry)
		return nil
	}
	for i := range m.entries {
		if m.entries[i].Seq == entry.Seq {
			m.entries[i] = *entry
		}
	}
	return nil
}

func (m *memory) Settle(seq uint64, of gitlab.Report, trail gitlab.Trail) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check("Settle"); err != nil {
		return err
	}
	content, err := json.Marshal(trail)
	m.trails[of.Commit+" "+of.Ref+" "+of.Name] = content
	m.entries = slices.DeleteFunc(m.entries, func(entry gitlab.Entry) bool { return entry.Seq == seq })
	return err
}

func (m *memory) Trail(of gitlab.Report) (gitlab.Trail, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var trail gitlab.Trail
	content, ok := m.trails[of.Commit+" "+of.Ref+" "+of.Name]
	if err := m.check("Trail"); err != nil || !ok {
		return trail, err
	}
	return trail, json.Unmarshal(content, &trail)
}
