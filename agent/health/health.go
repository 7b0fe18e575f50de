// Package health takes what the looks see of a stack's services after their rollout, and
// gives whether they run what they declare. A state lasts: what is seen once changes
// nothing, and a service that crashes again and again stays degraded between its crashes.
package health

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/plural"
)

// State is how a stack or a service is.
type State string

// The states.
const (
	Healthy   State = "healthy"   // it runs what it declares
	Degraded  State = "degraded"  // some tasks are missing, or restart again and again
	Unhealthy State = "unhealthy" // a service has no running task, and none is restarted
)

const (
	// Window is how long an ended task counts as a restart.
	Window = 10 * time.Minute
	// restarts is how many restarts of one replica within the window make a service
	// degraded: when an engine restarts, each replica ends once.
	restarts = 3
	// looks is how many looks in a row must see the same before the state changes.
	looks = 2
)

// Service is a service that is not healthy, or whose tasks ended within the window.
type Service struct {
	Name     string `json:"name"`
	Short    string `json:"short"` // without the stack's name
	State    State  `json:"state"`
	Running  uint64 `json:"running"`
	Desired  uint64 `json:"desired"`
	Restarts int    `json:"restarts,omitempty"` // within the window
	ExitCode int    `json:"exit_code,omitempty"`
	Error    string `json:"error,omitempty"` // the engine's words about the last ended task
	Node     string `json:"node,omitempty"`  // that it ran on

	Since   time.Time `json:"since"`             // when it stopped being healthy; of a healthy one, when its last task ended
	Crashes bool      `json:"crashes,omitempty"` // a replica ends again and again: waiting does not help
	Taken   string    `json:"taken,omitempty"`   // what another process did to it, such as "scaled to 0": that is drift
}

// String gives the service as the first line of the status shows it, such as
// "pdf-renderer 0/1 (exit 3, 6 restarts in 10 min)".
func (s Service) String() string {
	var why []string
	if s.Taken != "" {
		why = append(why, s.Taken+" in the engine")
	}
	switch {
	case s.ExitCode != 0:
		why = append(why, fmt.Sprintf("exit %d", s.ExitCode))
	case s.Error != "":
		why = append(why, s.Error)
	}
	if s.Restarts > 0 {
		why = append(why, plural.Count(s.Restarts, "restart")+" in 10 min")
	}
	text := fmt.Sprintf("%s %d/%d", s.Short, s.Running, s.Desired)
	if len(why) == 0 {
		return text
	}
	return text + " (" + strings.Join(why, ", ") + ")"
}

// Verdict is how a stack is.
type Verdict struct {
	State    State     `json:"state"`
	Since    time.Time `json:"since"`
	Services []Service `json:"services,omitempty"` // those that are not healthy, the worst first
	Restored []Service `json:"restored,omitempty"` // healthy ones of which tasks ended within the window and were replaced, by name
	All      int       `json:"all"`                // how many services there are
	Run      int       `json:"run"`                // how many of them had all their tasks at the last look

	// Certain says that looks in a row saw each service as it is shown: it is false at first.
	Certain bool `json:"-"`
}

// OfRelease gives the verdict without the services that miss tasks because another process took
// them: that is drift, and says nothing about the release.
func (v Verdict) OfRelease() Verdict {
	all := v.Services
	v.State, v.Services = Healthy, nil
	for _, service := range all {
		if service.Taken == "" {
			v.State, v.Services = worse(v.State, service.State), append(v.Services, service)
		}
	}
	return v
}

// Names gives the services that are not healthy, with the exit codes of their tasks: the
// same text as long as the same is wrong. It is "" when all are healthy.
func (v Verdict) Names() string {
	var texts []string
	for _, service := range v.Services {
		text := service.Short
		if service.ExitCode != 0 {
			text += fmt.Sprintf(" (exit %d)", service.ExitCode)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

// Text sums the verdict up: the services that are not healthy, and how many are.
func (v Verdict) Text() string {
	sum := fmt.Sprintf("%d of %s run", v.Run, plural.Count(v.All, "service"))
	if len(v.Services) == 0 {
		return sum
	}
	return v.List() + " · " + sum
}

// List gives the services that are not healthy.
func (v Verdict) List() string {
	var texts []string
	for _, service := range v.Services {
		texts = append(texts, service.String())
	}
	return strings.Join(texts, " · ")
}

// Tasks reads the ended tasks of a stack's services.
type Tasks interface {
	Ended(ctx context.Context, stack string, services []deploy.ServiceStatus) (map[string][]deploy.EndedTask, error)
}

// Watch judges the services of one stack, and remembers what earlier looks saw. Only one
// goroutine may use it, but for Died.
type Watch struct {
	Tasks Tasks // nil: only the numbers of tasks are judged

	died     atomic.Bool
	read     time.Time            // when the ended tasks were read last; zero before
	ends     map[string]time.Time // when the tasks ended that Swarm listed then, by ID
	since    time.Time
	verdict  Verdict
	services map[string]*memory
}

// memory is what is remembered of one service.
type memory struct {
	state State     // as it is shown
	taken string    // likewise, what another process did to it
	seen  State     // what the last looks saw
	times int       // how many looks in a row saw it
	since time.Time // when it stopped being healthy

	missed string // what the last looks saw of another process
	ended  map[string]deploy.EndedTask
}

// Deployed notes that another good state is deployed since a time: what was seen before does
// not count.
func (w *Watch) Deployed(at time.Time) { w.since, w.verdict, w.services = at, Verdict{}, nil }

// Died notes that a container of the stack has died. It reports whether that is the first
// since the last look.
func (w *Watch) Died() bool { return !w.died.Swap(true) }

// Pending reports whether a container has died since the last look.
func (w *Watch) Pending() bool { return w.died.Load() }

// Look judges the services that a look saw. It reads their ended tasks if a service misses
// tasks, was not healthy at the last look, or if a container has died since, and at the first
// look: a crash loop that the process before saw goes on between its crashes.
func (w *Watch) Look(ctx context.Context, stack string, services []deploy.ServiceStatus) (Verdict, error) {
	suspect := w.died.Swap(false) || w.read.IsZero() || w.verdict.State != "" && w.verdict.State != Healthy || slices.ContainsFunc(services, deploy.ServiceStatus.MissesTasks)
	if !suspect || w.Tasks == nil {
		return w.see(time.Now(), stack, services, nil), nil
	}
	began := time.Now()
	ended, err := w.Tasks.Ended(ctx, stack, services)
	if err != nil {
		w.died.Store(true)
		return w.verdict, err
	}
	now := time.Now()
	ended = w.date(ended, now)
	w.read = began
	return w.see(now, stack, services, ended), nil
}

// date gives the ended tasks the times that count. No task ended after now, and none that the last
// read did not list ended before it: only what ended before the first read is dated by the clock of
// the Swarm's managers alone. A task keeps its time as long as Swarm lists it.
func (w *Watch) date(ended map[string][]deploy.EndedTask, now time.Time) map[string][]deploy.EndedTask {
	dated, ends := map[string][]deploy.EndedTask{}, map[string]time.Time{}
	for name, tasks := range ended {
		for _, task := range tasks {
			at, known := w.ends[task.ID]
			switch {
			case known:
				task.At = at
			case task.At.Before(w.read):
				task.At = w.read
			case task.At.After(now):
				task.At = now
			}
			ends[task.ID] = task.At
			dated[name] = append(dated[name], task)
		}
	}
	w.ends = ends
	return dated
}

// see judges the services of one look. ended has the tasks that ended, by service.
func (w *Watch) see(now time.Time, stack string, services []deploy.ServiceStatus, ended map[string][]deploy.EndedTask) Verdict {
	verdict, since := Verdict{State: Healthy, Since: now, All: len(services), Certain: true}, w.since
	if earliest := now.Add(-Window); since.Before(earliest) {
		since = earliest
	}
	known := map[string]*memory{}
	for _, service := range services {
		of := w.services[service.Name]
		if of == nil {
			of = &memory{state: Healthy, ended: map[string]deploy.EndedTask{}}
		}
		known[service.Name] = of
		one := of.see(now, service, since, ended[service.Name])
		if one.Short = strings.TrimPrefix(service.Name, stack+"_"); one.State != Healthy {
			verdict.Services = append(verdict.Services, one)
			verdict.State = worse(verdict.State, one.State)
		} else if one.Restarts > 0 {
			one.Since = of.last().At
			verdict.Restored = append(verdict.Restored, one)
		}
		verdict.Certain = verdict.Certain && of.times >= looks
		if !service.MissesTasks() {
			verdict.Run++
		}
	}
	slices.SortStableFunc(verdict.Services, func(a, b Service) int { return cmp.Compare(rank(b.State), rank(a.State)) })
	if verdict.State == w.verdict.State {
		verdict.Since = w.verdict.Since
	}
	w.services, w.verdict = known, verdict
	return verdict
}

// see takes what a look saw of the service. Its state changes at once where restarts prove
// it, and else when looks in a row saw the same.
func (m *memory) see(now time.Time, service deploy.ServiceStatus, since time.Time, ended []deploy.EndedTask) Service {
	one := Service{Name: service.Name, Running: service.Running, Desired: service.Wanted()}
	if !service.OneShot {
		last := m.remember(since, ended)
		one.Restarts, one.ExitCode, one.Error, one.Node = len(m.ended), last.ExitCode, last.Error, last.Node
	}
	worst := m.worstReplica()
	if state, taken := judge(service, worst), service.Taken(); state != m.seen || taken != m.missed {
		m.seen, m.missed, m.times = state, taken, 0
	}
	if m.times++; m.times >= looks || worst >= restarts {
		if m.state == Healthy {
			m.since = now
		}
		m.state, m.taken = m.seen, m.missed
	}
	one.State, one.Taken, one.Since, one.Crashes = m.state, m.taken, m.since, worst >= restarts
	return one
}

// worstReplica gives how many tasks of the replica ended that lost most.
func (m *memory) worstReplica() int {
	counts, worst := map[string]int{}, 0
	for _, task := range m.ended {
		counts[task.Replica]++
		worst = max(worst, counts[task.Replica])
	}
	return worst
}

// remember keeps the tasks that ended since a time, and gives the last one.
func (m *memory) remember(since time.Time, ended []deploy.EndedTask) deploy.EndedTask {
	for _, task := range ended {
		m.ended[task.ID] = task
	}
	maps.DeleteFunc(m.ended, func(_ string, task deploy.EndedTask) bool { return task.At.Before(since) })
	return m.last()
}

// last gives the task that ended last.
func (m *memory) last() (last deploy.EndedTask) {
	for _, task := range m.ended {
		if task.At.After(last.At) || task.At.Equal(last.At) && task.ID > last.ID {
			last = task
		}
	}
	return last
}

// judge gives the state of a service at one look. ended counts the ended tasks of one
// replica.
func judge(service deploy.ServiceStatus, ended int) State {
	switch {
	case ended >= restarts:
		return Degraded
	case !service.MissesTasks():
		return Healthy
	case service.Running == 0 && ended == 0:
		return Unhealthy
	}
	return Degraded
}

func rank(state State) int { return slices.Index([]State{Healthy, Degraded, Unhealthy}, state) }

func worse(a, b State) State {
	if rank(a) > rank(b) {
		return a
	}
	return b
}
