package deploy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
)

// listing is an engine that answers calls that list services.
type listing struct {
	engine *deploy.Engine
	body   atomic.Pointer[func(call int64) (status int, body string)]
	calls  atomic.Int64
}

func (l *listing) says(body func(call int64) (int, string)) { l.body.Store(&body) }

func newListing(tb testing.TB) *listing {
	tb.Helper()
	l := &listing{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("API-Version", "1.47")
		if !strings.HasSuffix(r.URL.Path, "/services") {
			return
		}
		status, body := (*l.body.Load())(l.calls.Add(1))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	tb.Cleanup(server.Close)
	l.engine = connect(tb, strings.Replace(server.URL, "http://", "tcp://", 1))
	return l
}

// servicesOf gives what an engine says about services, as the engine sends it.
func servicesOf(count, running int) string {
	list := []swarm.Service{}
	stack := newStack("s")
	for i := range count {
		add(stack, fmt.Sprintf("app%d", i), func(s *swarm.ServiceSpec) {
			s.TaskTemplate.Networks = nil
			for j := range 30 {
				s.TaskTemplate.ContainerSpec.Env = append(s.TaskTemplate.ContainerSpec.Env, fmt.Sprintf("SOME_SETTING_%d=a value of some length", j))
			}
		})
	}
	for name, spec := range stack.Services {
		list = append(list, swarm.Service{ID: name, Spec: spec, PreviousSpec: &spec, ServiceStatus: &swarm.ServiceStatus{RunningTasks: uint64(running)}})
	}
	text, _ := json.Marshal(list)
	return string(text) + "\n"
}

// TestAnswers wants the Answer of the very bytes that were decoded, whatever the engine says in
// between, and the engine's errors.
func TestAnswers(t *testing.T) {
	l := newListing(t)
	one, two, big := servicesOf(1, 0), servicesOf(1, 1), servicesOf(200, 0)
	always := func(body string) { l.says(func(int64) (int, string) { return http.StatusOK, body }) }
	read := func(last deploy.Answer, services int, calls int64) deploy.Answer {
		t.Helper()
		l.calls.Store(0)
		live, answer, err := l.engine.ObserveChanged(t.Context(), "s", last)
		if err != nil || len(live) != services || l.calls.Load() != calls {
			t.Errorf("%d services, %d calls, %v; want %d, %d", len(live), l.calls.Load(), err, services, calls)
		}
		return answer
	}
	always(one)
	first := read(deploy.Answer{}, 1, 1)
	if read(first, 0, 1) != first {
		t.Error("the same bytes have another answer")
	}
	always(two)
	second := read(first, 1, 2)
	if second == first || read(second, 0, 1) != second {
		t.Error("other bytes have the same answer, or another one when they are read again")
	}
	l.says(func(call int64) (int, string) { // changed at the first call only
		return http.StatusOK, map[bool]string{true: one, false: two}[call == 1]
	})
	if read(second, 0, 2) != second {
		t.Error("the second call has the last answer, and it is not seen")
	}
	always(big)
	if third := read(second, 200, 2); read(third, 0, 1) != third {
		t.Error("a large answer is another one when it is read again")
	}
	always(one + strings.Repeat(" ", 100_000))
	if padded := read(first, 1, 2); padded == first || read(padded, 0, 1) != padded {
		t.Error("an answer with more after its list is the one without, or another one when it is read again")
	}
	for _, broken := range []string{"", big[:len(big)/2], `{"message": "a list?"}`, `[{"ID": 1}]`, "["} {
		always(broken)
		if live, answer, err := l.engine.ObserveChanged(t.Context(), "s", first); err == nil || live != nil || answer != (deploy.Answer{}) {
			t.Errorf("%.30q: %d services, answer known: %t, %v", broken, len(live), answer != deploy.Answer{}, err)
		}
	}
	always("null")
	read(first, 0, 2)
	for _, fails := range []int64{1, 2} {
		l.calls.Store(0)
		l.says(func(call int64) (int, string) {
			if call == fails {
				return http.StatusInternalServerError, `{"message":"raft: stopped"}`
			}
			return http.StatusOK, two
		})
		live, answer, err := l.engine.ObserveChanged(t.Context(), "s", first)
		if deploy.WhyUnusable(err) != deploy.Disagree || live != nil || answer != (deploy.Answer{}) {
			t.Errorf("call %d fails: %v, %v, %v", fails, live, answer, err)
		}
	}
}

// BenchmarkIdleRead reads services that have not changed, with and without the last answer.
func BenchmarkIdleRead(b *testing.B) {
	for _, count := range []int{20, 200} {
		l := newListing(b)
		body := servicesOf(count, 1)
		l.says(func(int64) (int, string) { return http.StatusOK, body })
		_, last, err := l.engine.ObserveChanged(b.Context(), "s", deploy.Answer{})
		if err != nil {
			b.Fatal(err)
		}
		for name, known := range map[string]deploy.Answer{"decoded": {}, "same": last} {
			b.Run(fmt.Sprintf("%s/services=%d", name, count), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					if live, _, err := l.engine.ObserveChanged(b.Context(), "s", known); err != nil || (live == nil) != (name == "same") {
						b.Fatal(len(live), err)
					}
				}
			})
		}
	}
}
