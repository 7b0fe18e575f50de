package fleetsim_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

const interval = 30 * time.Second // the default of agent.yml

// door is one of GitLab's servers, each of which limits requests by itself.
type door int

const (
	doorGit door = iota
	doorAPI
)

// world is GitLab and its agents, in a bubble of synctest.
type world struct {
	t         *testing.T
	size      int
	prices    prices
	tokenFile string
	git       git
	gitlab    *gitlabtest.Server
	counts    counts
	nodes     []*node
	spares    bool // unchanged_statuses: false

	mu      sync.Mutex
	trouble string // what GitLab answers instead; "" for none
	apiOnly bool   // git is not affected
	early   int    // requests before the time that GitLab asked their sender to wait
}

// refuse gives what GitLab answers instead, and how long it asks the sender to wait.
func (w *world) refuse(n *node, at door) (answer string, after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, trouble := time.Now(), w.trouble
	if at == doorGit && w.apiOnly {
		trouble = ""
	}
	if now.Before(n.notBefore[at]) {
		w.early++
	}
	if trouble == tooMany {
		n.notBefore[at], after = now.Add(retryAfter), retryAfter
	}
	return trouble, after
}

// away has GitLab answer with an error; "" ends that.
func (w *world) away(trouble string, apiOnly bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble, w.apiOnly = trouble, apiOnly
}

// RoundTrip carries a request of the node to the simulated GitLab, and counts it.
func (n *node) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		body, _ = io.ReadAll(request.Body)
		_ = request.Body.Close()
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	sent := len(request.Method) + len(request.URL.RequestURI()) + 13 + headerBytes(request.Header) + len(body)
	recorder := httptest.NewRecorder()
	trouble, after := n.w.refuse(n, doorAPI)
	switch trouble {
	case "":
		n.w.gitlab.ServeHTTP(recorder, request)
	case refused:
		n.w.counts.add(n.number, kindOf(request.URL.Path), cost{1, 0})
		return nil, errors.New(refused)
	case tooMany:
		recorder.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
		recorder.WriteHeader(http.StatusTooManyRequests)
	default:
		recorder.WriteHeader(http.StatusBadGateway)
	}
	response := recorder.Result()
	n.w.counts.add(n.number, kindOf(request.URL.Path), cost{1, sent + 17 + headerBytes(response.Header) + recorder.Body.Len()})
	return response, nil
}

// What GitLab answers instead.
const (
	refused    = "connection refused"
	badGateway = "502 Bad Gateway"
	tooMany    = "429 Too Many Requests"

	retryAfter = time.Minute // of tooMany
)

func headerBytes(header http.Header) (sum int) {
	for name, values := range header {
		for _, value := range values {
			sum += len(name) + len(value) + 4
		}
	}
	return sum
}

// inWorld runs a test with so many agents, which have all been switched on at the same moment.
func inWorld(t *testing.T, size int, test func(w *world)) {
	t.Helper()
	costs, tokenFile := measure(t), gitlabtest.TokenFile(t, gitlabtest.Secret)
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		w := &world{t: t, size: size, prices: costs, tokenFile: tokenFile, gitlab: gitlabtest.NewServer(gitlabtest.Config{})}
		w.gitlab.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}})
		w.counts.reset()
		w.commit(func(int) bool { return true })
		deployed := w.git.head.hash
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		for number := range size {
			n := newNode(w, number)
			n.last = syncOf(deployed, 1)
			w.nodes = append(w.nodes, n)
			for _, service := range n.services() {
				running.Go(func() { service(ctx) })
			}
		}
		test(w)
	})
}

// commit pushes a commit that concerns some nodes.
func (w *world) commit(concerns func(node int) bool) {
	made := w.git.add(concerns)
	w.gitlab.AddCommit(made.hash, branch)
	w.git.push(made)
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// mean is how many requests a second an idle fleet makes.
func (w *world) mean() float64 { return float64(w.size) / interval.Seconds() }

// random gives numbers for one node.
func random(node int) func(int64) int64 {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(uint64(node), 1)) //nolint:gosec // numbers of nodes
	return func(n int64) int64 {
		mu.Lock()
		defer mu.Unlock()
		return dice.Int64N(n)
	}
}
