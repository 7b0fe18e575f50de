package simulation_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/deploy/enginetest"
)

// takeKill gives the planned kill when its side effect has come.
func (w *world) takeKill(what string) *kill {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plan == nil || !strings.HasPrefix(what, w.plan.at) {
		return nil
	}
	if w.plan.after--; w.plan.after > 0 {
		return nil
	}
	planned := w.plan
	w.plan = nil
	return planned
}

// torn reports, once, whether a kill at the audit log leaves half a line.
func (w *world) torn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	torn := w.torn1
	w.torn1 = false
	return torn
}

// full reports whether the disk is full, or is so for this write.
func (w *world) full(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	full := w.diskFull
	if w.fails > 0 {
		if w.fails--; w.fails == 0 {
			w.fails, full = failed, true
		}
	}
	if full {
		fmt.Fprintf(&w.trace, "          disk full: %s\n", what)
	}
	return full
}

// anyFault reports whether the disk is full or a fault of the engine is to come.
func (w *world) anyFault() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.diskFull || w.fails != 0 || w.refuse > 0 || w.lose > 0
}

// refuseCall gives the error of a call that does not reach the engine.
func (w *world) refuseCall(call enginetest.Call) error {
	w.mu.Lock()
	rival := w.rival && call.Method == "ServiceUpdate"
	if rival {
		w.rival = false
	}
	var err error
	if w.refuse > 0 {
		if w.refuse--; w.refuse == 0 {
			err = w.refusal
		}
	}
	w.mu.Unlock()
	if rival {
		w.meddle(call.Name, "another writer", func(spec *swarm.ServiceSpec) {
			spec.TaskTemplate.ContainerSpec.Env = append(spec.TaskTemplate.ContainerSpec.Env, "RIVAL=1")
		})
	}
	if err != nil {
		w.note("refused %s %s: %v", call.Method, call.Name, err)
	}
	return err
}

// loseAnswer gives the error of a write that the engine has done.
func (w *world) loseAnswer(call enginetest.Call) error {
	if !call.Write {
		return nil
	}
	w.mu.Lock()
	lost := false
	if w.lose > 0 {
		w.lose--
		lost = w.lose == 0
	}
	w.mu.Unlock()
	if lost {
		w.note("lost the answer of %s %s", call.Method, call.Name)
		return enginetest.ErrLost
	}
	return nil
}

// meddle changes a service as a user does by hand.
func (w *world) meddle(service, how string, change func(*swarm.ServiceSpec)) {
	err := w.engine.UpdateService(context.Background(), service, change)
	w.note("by hand: %s of %s: %v", how, service, err)
	if err == nil {
		w.setMeddled()
	}
}

func (w *world) setMeddled() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.meddled = true
}

// heal ends all faults.
func (w *world) heal() {
	w.gitlab.Heal()
	w.git.set(func(g *git) { g.away, g.stale = false, nil })
	w.engine.Start()
	for _, image := range w.unreachable {
		w.engine.Alter(image, enginetest.DemoApp())
	}
	w.unreachable = nil
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plan, w.refuse, w.lose, w.fails, w.diskFull, w.torn1, w.rival = nil, 0, 0, 0, false, false, false
	w.mailbox.away, w.mailbox.lose = false, 0
}

// planKill kills the agent at one of the next side effects.
func (w *world) planKill() {
	planned := &kill{after: 1 + w.random.IntN([]int{5, 20, 60, 120}[w.random.IntN(4)]), lost: w.random.IntN(2) == 0}
	w.note("plan: kill at side effect %d, lost %v", planned.after, planned.lost)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plan, w.torn1 = planned, w.random.IntN(2) == 0
}

// fault starts one trouble of the surroundings.
func (w *world) fault() {
	w.faults++
	switch w.random.IntN(10) {
	case 9:
		w.mu.Lock()
		w.fails = 1 + w.random.IntN(16)
		w.mu.Unlock()
	case 8:
		w.mu.Lock()
		w.mailbox.away, w.mailbox.lose = w.random.IntN(2) == 0, w.random.IntN(3)
		w.mu.Unlock()
	case 0:
		w.note("fault: git is away")
		w.git.set(func(g *git) { g.away = true })
	case 1:
		w.note("fault: the engine is away")
		w.engine.Stop()
	case 2:
		w.note("fault: the disk is full")
		w.mu.Lock()
		w.diskFull = true
		w.mu.Unlock()
	case 3:
		w.armEngine()
	case 4:
		w.mu.Lock()
		w.lose = 1 + w.random.IntN(4)
		w.mu.Unlock()
	case 5:
		w.mu.Lock()
		w.rival = true
		w.mu.Unlock()
	default:
		w.gitlabFault()
	}
}

func (w *world) armEngine() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = 1 + w.random.IntN(25)
	w.refusal = []error{enginetest.ErrUnavailable, enginetest.ErrLost, context.DeadlineExceeded, io.ErrUnexpectedEOF}[w.random.IntN(4)]
}

// gitlabFault has GitLab refuse, cut or lose some of the next requests.
func (w *world) gitlabFault() {
	times := 1 + w.random.IntN(4)
	faults := []gitlabtest.Fault{
		{Cut: true},
		{Lost: true},
		{Lost: true, Method: "POST"},
		{Status: 429, RetryAfter: 20 * time.Second},
		{Status: 503},
		{Status: 409},
		{Status: 500},
		{Hang: true},
		{Lost: true, Hang: true},
	}
	chosen := faults[w.random.IntN(len(faults))]
	chosen.Times = times
	w.note("fault: GitLab %+v", chosen)
	w.gitlab.Inject(chosen)
}
