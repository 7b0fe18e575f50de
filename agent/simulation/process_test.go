package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/deploy/enginetest"
)

// errKilled is what a side effect of a killed process comes to.
var errKilled = errors.New("the process was killed")

// process is one run of the agent, from its start to its end or its kill. After a kill
// no side effect of it reaches the world: each is refused, and its context has ended.
type process struct {
	w      *world
	parts  *parts
	ctx    context.Context
	cancel context.CancelFunc
	ended  sync.WaitGroup // the agent, the outbox and the users' commands

	mu      sync.Mutex
	dead    bool
	effects int
}

// kill is a plan to kill the process at a side effect to come.
type kill struct {
	after int    // how many side effects from now
	at    string // which of them count, by the beginning of their text
	lost  bool   // the side effect happens, and the process does not learn of it
}

// isDead reports whether the process was killed.
func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// before is called before each side effect. Without an error the side effect may happen;
// doomed says that the process does not survive it.
func (p *process) before(what string) (doomed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return false, errKilled
	}
	p.effects++
	planned := p.w.takeKill(what)
	switch {
	case planned == nil:
		return false, nil
	case planned.lost:
		return true, nil
	}
	p.die(what, "before")
	return false, errKilled
}

// after ends the process when the side effect was its last.
func (p *process) after(what string, doomed bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if doomed && !p.dead {
		p.die(what, "after")
	}
	if p.dead {
		return errKilled
	}
	return nil
}

func (p *process) die(what, when string) {
	p.dead = true
	p.cancel()
	p.w.note("killed %s %s", when, what)
	p.w.count(&p.w.kills)
}

// around is for the writes of the state file and the audit log.
func (p *process) around(what string) func(func() error) error {
	return func(write func() error) error {
		doomed, err := p.before(what)
		if err != nil {
			if what == "audit log" {
				p.tear()
			}
			return err
		}
		if p.w.full(what) {
			return fmt.Errorf("write: %w", syscall.ENOSPC)
		}
		if err := write(); err != nil {
			return err
		}
		return p.after(what, doomed)
	}
}

// tear leaves the beginning of an entry in the audit log, as a kill in the middle of its
// write does.
func (p *process) tear() {
	if !p.w.torn() {
		return
	}
	file, err := os.OpenFile(filepath.Join(p.w.dir, audit.FileName), os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.WriteString(`{"seq":77,"time":"20`)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		p.w.note("cannot tear the audit log: %v", err)
	}
}

// doom is the key by which a call's hooks know that the process does not survive it.
type doom struct{}

// hooks stand at each call of the engine.
func (p *process) hooks() enginetest.Hooks {
	doomed := sync.Map{} // contexts of calls
	return enginetest.Hooks{
		Before: func(_ context.Context, call enginetest.Call) error {
			what := call.Method + " " + call.Name
			last, err := p.before(what)
			if err != nil {
				return err
			}
			if last {
				doomed.Store(call, doom{})
			}
			if call.Write {
				p.w.watchWrite(p, call)
			}
			return p.w.refuseCall(call)
		},
		After: func(_ context.Context, call enginetest.Call) error {
			_, last := doomed.LoadAndDelete(call)
			if err := p.after(call.Method+" "+call.Name, last); err != nil {
				return err
			}
			return p.w.loseAnswer(call)
		},
		Updates: p.w.watchUpdate,
	}
}

// RoundTrip carries a request to the simulated GitLab.
func (p *process) RoundTrip(request *http.Request) (response *http.Response, err error) {
	what := request.Method + " " + request.URL.Path
	doomed, err := p.before(what)
	if err != nil {
		return nil, err
	}
	if request.Body == nil {
		request.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	if cut := serve(p.w.gitlab, recorder, request); cut {
		err = io.ErrUnexpectedEOF
	}
	if killed := p.after(what, doomed); killed != nil {
		return nil, killed
	}
	if err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// serve has a handler answer, and reports whether it broke the connection.
func serve(handler http.Handler, w http.ResponseWriter, r *http.Request) (cut bool) {
	defer func() {
		if reason := recover(); reason != nil {
			if reason != http.ErrAbortHandler { //nolint:errorlint // a panic's value
				panic(reason)
			}
			cut = true
		}
	}()
	handler.ServeHTTP(w, r)
	return false
}
