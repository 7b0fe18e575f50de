// Package enginetest gives tests a simulated Docker Swarm engine, and the contract
// that it keeps. Its input is the calls of docker's client, images whose behaviour
// the test sets, and the clock (time.Now, so a testing/synctest bubble drives it);
// its output is docker's own types, errors and events. It guarantees that the
// simulated engine passes the very suite, Contract, that a real engine passes.
//
// All state is in memory. Equal calls at equal times give equal answers, IDs
// included. No goroutine outlives the stream of events that it serves.
//
// Not simulated: volumes, resources of nodes, addresses and load balancing of
// networks, registry logins, plugins, drained nodes and lost quorums.
package enginetest

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say which engine is simulated. The zero value is the oldest that the agent
// serves, with one node.
type Options struct {
	Host          string   // the address that clients report; a socket of no engine by default
	EngineVersion string   // "20.10.24" by default; from 29 on images that are missing fail another way
	APIVersion    string   // "1.41" by default; fields that came later are dropped, as the engine drops them
	Nodes         []string // hostnames; the first is the manager that answers; "node1" alone by default
	Seed          uint64   // of the IDs
	Shared        bool     // lists give the same copies of specs each time, which costs less; the engine panics if a caller has changed one
}

// Engine is a simulated Docker Engine, the manager of a Swarm. It may be used
// concurrently. Within a synctest bubble it must be made there.
type Engine struct {
	options Options

	mu     sync.Mutex
	clock  time.Time // of the moment that is being simulated
	agenda agenda
	wake   wakeUp
	made   map[string]uint64 // how many objects there were, by kind and name
	index  uint64            // Swarm's version counter
	down   bool              // the engine's process does not run

	services map[string]*service // by ID
	tasks    map[string]*task    // by ID, those of removed services too
	networks map[string]*networkObject
	secrets  map[string]*secretObject
	configs  map[string]*configObject
	nodes    []*node
	pending  []*task // tasks that wait for a node that fits
	images   images
	commands commands
	streams  map[*stream]bool
	sharing  sharing
}

// New gives an engine that is the only manager of a new Swarm.
func New(options Options) *Engine {
	options.Host = cmp.Or(options.Host, "unix:///run/simulated-engine.sock")
	options.EngineVersion = cmp.Or(options.EngineVersion, "20.10.24")
	options.APIVersion = cmp.Or(options.APIVersion, "1.41")
	if len(options.Nodes) == 0 {
		options.Nodes = []string{"node1"}
	}
	e := &Engine{
		options: options, clock: time.Now(), made: map[string]uint64{}, index: 10,
		services: map[string]*service{}, tasks: map[string]*task{},
		networks: map[string]*networkObject{}, secrets: map[string]*secretObject{}, configs: map[string]*configObject{},
		images: newImages(), streams: map[*stream]bool{}, sharing: newSharing(options.Shared),
	}
	for _, hostname := range options.Nodes {
		e.nodes = append(e.nodes, &node{id: e.newID("node", hostname), hostname: hostname, created: e.clock, version: e.nextVersion()})
	}
	e.addBuiltInNetworks()
	return e
}

// do runs act at the present time, alone.
func (e *Engine) do(act func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advance(time.Now())
	act()
	e.advance(e.clock) // what follows at once
	e.arm()
}

// nextVersion gives the number of the next write to Swarm's store.
func (e *Engine) nextVersion() uint64 {
	e.index++
	return e.index
}

// newID gives an ID as Swarm's are: 25 digits to base 36, in no order. It depends on
// what it is of, and how many such there were before, so that calls at one time give
// the same IDs in whatever order they come.
func (e *Engine) newID(kind, name string) string { return e.digits(kind, name, 36, 25) }

// newContainerID gives 64 hexadecimal digits.
func (e *Engine) newContainerID(kind, name string) string { return e.digits(kind, name, 16, 64) }

func (e *Engine) digits(kind, name string, base, length int) string {
	key := kind + " " + name
	e.made[key]++
	random := rand.NewPCG(e.options.Seed+e.made[key], hash(key))
	digits := make([]byte, 0, length+13)
	for len(digits) < length {
		digits = strconv.AppendUint(digits, random.Uint64(), base)
	}
	return string(digits[:length])
}

// hash is FNV-1a.
func hash(text string) uint64 {
	sum := uint64(14695981039346656037)
	for i := range len(text) {
		sum = (sum ^ uint64(text[i])) * 1099511628211
	}
	return sum
}

// atLeast reports whether the engine's major version is n or later.
func (e *Engine) atLeast(n int) bool {
	major, _, _ := strings.Cut(e.options.EngineVersion, ".")
	version, err := strconv.Atoi(major)
	return err == nil && version >= n
}

// Stop ends the engine's process as a reboot of its machine does: calls fail, streams
// end, containers are gone. What Swarm has stored stays.
func (e *Engine) Stop() {
	e.do(func() {
		e.down = true
		e.agenda = nil
		for one := range e.streams {
			one.end(errStreamEnded)
		}
		clear(e.streams)
	})
}

// Start starts the engine again after Stop. Tasks that ran have failed, and Swarm
// carries on with what it was at.
func (e *Engine) Start() {
	e.do(func() {
		if !e.down {
			return
		}
		e.down = false
		for id, one := range e.networks {
			if one.allocate != nil {
				one.allocate()
			}
			if one.removed {
				delete(e.networks, id)
			}
		}
		for _, s := range sorted(e.services) {
			s.updater, s.planned, s.allocated = nil, false, s.spec.EndpointSpec
		}
		e.pending = nil
		for _, t := range sorted(e.tasks) {
			e.revive(t)
		}
		for _, s := range sorted(e.services) {
			e.reconcileSoon(s)
		}
	})
}

// sorted gives a map's values in the order of their keys.
func sorted[T any](all map[string]T) []T {
	keys := make([]string, 0, len(all))
	for key := range all {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	values := make([]T, len(keys))
	for i, key := range keys {
		values[i] = all[key]
	}
	return values
}
