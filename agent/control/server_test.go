package control_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// double is an agent whose run is what a test says.
type double struct {
	run   request.Run
	err   error // of every request
	actor audit.Actor
	over  request.Sync
	query record.Query
	takes time.Duration // how long the loop takes to collect
}

func (d *double) Status() report.Status         { return report.Status{Node: "node3"} }
func (d *double) Rollout() *report.Rollout      { return nil }
func (d *double) Verify() (audit.Report, error) { return audit.Report{}, nil }
func (d *double) Page(query record.Query) (record.Page, error) {
	d.query = query
	return record.Page{}, d.err
}

func (d *double) Survey(context.Context) (*inventory.Survey, error) {
	return &inventory.Survey{}, d.err
}

func (d *double) Read(_ context.Context, _ request.Logs, each func(deploy.LogLine) error) error {
	if d.err != nil {
		return d.err
	}
	return each(deploy.LogLine{Stream: "stdout", Text: "hello"})
}

func (d *double) Sync(id uint64) (*record.Sync, uint64, uint64, error) {
	if id != 2 {
		return nil, 1, 2, d.err
	}
	return &record.Sync{ID: id}, 1, 2, d.err
}

func (d *double) GrantSync(actor audit.Actor, asked request.Sync) (request.Run, error) {
	d.actor, d.over = actor, asked
	return d.run, d.err
}

func (d *double) GrantRetry(audit.Actor, request.Retry) (request.Run, error) { return d.run, d.err }
func (d *double) GrantRollback(audit.Actor, request.Rollback) (request.Run, error) {
	return d.run, d.err
}

func (d *double) PlanRollback(context.Context, audit.Actor, request.Rollback) (*request.RollbackPlan, error) {
	return &request.RollbackPlan{}, d.err
}

func (d *double) Pause(audit.Actor, request.Pause) (*record.Pause, error) {
	return &record.Pause{}, d.err
}

func (d *double) Resume(context.Context, audit.Actor, request.Resume) (request.Resumed, error) {
	return request.Resumed{}, d.err
}

func (d *double) Approve(audit.Actor, request.Approve) (*record.Approval, error) {
	return &record.Approval{}, d.err
}

func (d *double) Adopted() (consent.Record, error) { return consent.Record{}, d.err }

func (d *double) PlanAdoption() (*request.AdoptionPlan, error) {
	return &request.AdoptionPlan{}, d.err
}

func (d *double) Adopt(audit.Actor, request.Adopt) (*record.Consent, error) {
	return &record.Consent{}, d.err
}

func (d *double) Collect(context.Context, audit.Actor) (*inventory.Survey, error) {
	time.Sleep(d.takes)
	return &inventory.Survey{Stack: "s"}, d.err
}

// serving serves a double on a socket. stop ends the server and gives when it returned.
func serving(t *testing.T, d *double) (client *control.Client, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	listener, err := control.Socket{Path: socket}.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	handler, wait := server(d).Handler(ctx)
	go func() {
		err := control.Serve(ctx, listener, handler)
		wait()
		ended <- err
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	}
	t.Cleanup(stop)
	return control.NewClient(socket), stop
}

func server(d *double) *control.Server {
	return &control.Server{Desk: func(stack record.StackKey) (control.Desk, error) {
		if stack != "" {
			return nil, request.Refuse(request.NotFound, "", "no stack %q", stack)
		}
		return d, nil
	}, History: d, Audit: d, Events: events.New(), Logs: func(record.StackKey) (control.Logs, error) { return d, nil }, Node: report.Node{Environment: "sandbox", Name: "node3"}}
}

// A stream has all progress and the outcome, and the agent learns who asked.
func TestStream(t *testing.T) {
	d := &double{run: func(_ context.Context, progress func(string)) (*record.Sync, error) {
		progress("one")
		progress("two")
		return &record.Sync{ID: 7}, fault.New(fault.Place{}, "do", "no")
	}}
	client, _ := serving(t, d)
	var told []string
	sync, err := client.Sync(t.Context(), request.Sync{OverrideFreeze: true, Reason: "an outage"}, func(event control.Event) { told = append(told, event.Progress) })
	if sync == nil || sync.ID != 7 || err == nil || err.Error() != "no" || fault.Hint(err) != "do" || strings.Join(told, " ") != "one two" {
		t.Errorf("got %+v, %v, %q", sync, err, told)
	}
	if d.actor.UID == "" || d.over.Reason != "an outage" {
		t.Errorf("asked by %+v for %+v", d.actor, d.over)
	}
}

// A request that names a stack that the node does not have is refused.
func TestUnknownStack(t *testing.T) {
	client, _ := serving(t, &double{})
	other := client.Of("other")
	_, statusErr := other.Status(t.Context())
	_, pauseErr := other.Pause(t.Context(), request.Pause{Reason: "why"})
	_, syncErr := other.Sync(t.Context(), request.Sync{}, func(control.Event) {})
	_, surveyErr := other.Survey(t.Context())
	_, collectErr := other.Collect(t.Context())
	for _, err := range []error{statusErr, pauseErr, syncErr, surveyErr, collectErr} {
		if err == nil || err.Error() != `no stack "other"` {
			t.Errorf("got %v", err)
		}
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// Every endpoint refuses in the same words, with the hint.
func TestRefusals(t *testing.T) {
	refusal := request.Refuse(request.Conflict, "do", "no")
	client, _ := serving(t, &double{err: refusal})
	ctx := t.Context()
	for name, ask := range map[string]func() error{
		"history": func() error { _, err := client.Page(ctx, record.Query{}); return err },
		"one":     func() error { _, err := client.Detail(ctx, "2"); return err },
		"sync":    func() error { _, err := client.Sync(ctx, request.Sync{}, func(control.Event) {}); return err },
		"detach":  func() error { _, err := client.Sync(ctx, request.Sync{}, nil); return err },
		"retry":   func() error { _, err := client.Retry(ctx, request.Retry{}, nil); return err },
		"back":    func() error { _, err := client.Rollback(ctx, request.Rollback{}, func(control.Event) {}); return err },
		"plan":    func() error { _, err := client.PlanRollback(ctx, request.Rollback{}); return err },
		"pause":   func() error { _, err := client.Pause(ctx, request.Pause{}); return err },
		"resume":  func() error { _, err := client.Resume(ctx, request.Resume{}); return err },
		"approve": func() error { _, err := client.Approve(ctx, request.Approve{}); return err },
		"survey":  func() error { _, err := client.Survey(ctx); return err },
		"collect": func() error {
			survey, err := client.Collect(ctx)
			if survey == nil || survey.Stack != "s" {
				t.Errorf("the survey of a failed collection: %+v", survey)
			}
			return err
		},
	} {
		if err := ask(); err == nil || !strings.HasSuffix(err.Error(), "no") || fault.Hint(err) != "do" {
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
	}
}

// A client that goes away does not end what it asked for; the end of the server does,
// and Serve waits for that.
func TestServeEndsWhatItStarted(t *testing.T) {
	for name, detached := range map[string]bool{"followed": false, "detached": true} {
		t.Run(name, func(t *testing.T) {
			begun, ended := make(chan struct{}), make(chan struct{})
			d := &double{run: func(ctx context.Context, progress func(string)) (*record.Sync, error) {
				progress("begun")
				close(begun)
				<-ctx.Done()
				progress("late")
				close(ended)
				return nil, ctx.Err()
			}}
			client, stop := serving(t, d)
			asked, leave := context.WithCancel(t.Context())
			left := make(chan error, 1)
			if detached {
				_, err := client.Sync(asked, request.Sync{}, nil)
				left <- err
			} else {
				go func() {
					_, err := client.Sync(asked, request.Sync{}, func(control.Event) { leave() })
					left <- err
				}()
			}
			<-begun
			if err := <-left; detached == errors.Is(err, context.Canceled) {
				t.Errorf("the client got %v", err)
			}
			leave()
			select {
			case <-ended:
				t.Error("the run ended with its client")
			default:
			}
			stop()
			select {
			case <-ended:
			default:
				t.Error("Serve returned while the run went on")
			}
		})
	}
}

// A client that waits learns that the agent stops.
func TestServeEndsStreams(t *testing.T) {
	begun := make(chan struct{})
	client, stop := serving(t, &double{run: func(ctx context.Context, _ func(string)) (*record.Sync, error) {
		close(begun)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	left := make(chan error, 1)
	go func() {
		_, err := client.Sync(t.Context(), request.Sync{}, func(control.Event) {})
		left <- err
	}()
	<-begun
	stop()
	if err := <-left; err == nil || !strings.HasPrefix(fault.Hint(err), "the agent stopped meanwhile") {
		t.Errorf("got %v", err)
	}
}

// A user who ends the command that waits is not told that the agent stopped: the sync goes on.
func TestInterruptedSync(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	client, _ := serving(t, &double{run: func(ctx context.Context, _ func(string)) (*record.Sync, error) {
		close(begun)
		<-ended
		return nil, ctx.Err()
	}})
	defer close(ended)
	ctx, interrupt := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := client.Sync(ctx, request.Sync{}, func(control.Event) {})
		left <- err
	}()
	<-begun
	interrupt()
	if err := <-left; !errors.Is(err, context.Canceled) || fault.Hint(err) != "what the agent has begun goes on: see `agent status`" {
		t.Errorf("got %v, hint %q", err, fault.Hint(err))
	}
}

// as has a caller send what a handler gets.
func as(caller control.Caller, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(control.WithCaller(r.Context(), caller)))
	})
}

// The endpoints are served on other listeners, too.
func TestHandler(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	run := make(chan struct{})
	handler, wait := server(&double{run: func(ctx context.Context, _ func(string)) (*record.Sync, error) {
		<-ctx.Done()
		close(run)
		return nil, ctx.Err()
	}}).Handler(ctx)
	over := httptest.NewServer(as(control.Caller{Scope: control.ScopeOperate}, handler))
	defer over.Close()
	response, err := http.Post(over.URL+"/v1/sync?detach=1", "", nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%+v, %v", response, err)
	}
	_ = response.Body.Close()
	cancel()
	wait()
	select {
	case <-run:
	default:
		t.Error("wait returned while the run went on")
	}
}
