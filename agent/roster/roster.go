// Package roster has the stacks of a node: it takes config.yml of the fetched commits, and gives
// the state machine of each stack in the order of the list, and those of the stacks that were
// taken off it. It guarantees that a list is in the state file before it applies.
package roster

import (
	"log/slog"
	"slices"
	"strings"
	"sync"

	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/manifests"
)

// Stack is the state machine of one stack.
type Stack interface {
	Key() record.StackKey
	View() board.View
	Recall() error // from the state file
}

// lists keeps the list in the state file, and has the records of each stack.
type lists interface {
	StackList() (record.StackList, error)
	SaveStackList(list record.StackList, moved map[record.StackKey]record.StackKey) error
	Stacks() []record.StackKey
}

// Parts are what a roster works with.
type Parts[S Stack] struct {
	Settings *settings.Settings
	Store    lists
	Reading  reading
	Log      *slog.Logger

	Make   func(key record.StackKey) S // makes the state machine of a stack
	Joins  func(S)                     // begins what a stack does besides its looks
	Leaves func(S)                     // ends that
}

// Roster has the list of the node's stacks, and the state machines of those that are on record.
type Roster[S Stack] struct {
	use  Parts[S]
	edit sync.Mutex // held while the list is changed
	mu   sync.Mutex // held for a moment
	now  lineup[S]

	config *manifests.Config // that was read last
}

// lineup is a list with its state machines. Its slices are replaced, never changed in place.
type lineup[S Stack] struct {
	list   record.StackList
	stacks []S // in the order of the list
	left   []S // in that of list.Left
}

// New makes a roster without stacks. Begin has to follow.
func New[S Stack](parts Parts[S]) *Roster[S] { return &Roster[S]{use: parts} }

// Begin makes the state machines of the last known list.
func (r *Roster[S]) Begin() {
	list, err := r.use.Store.StackList()
	if err != nil {
		r.use.Log.Warn("cannot recall the list of stacks: it is read from config.yml", "error", err)
		list = record.OneStack()
	}
	next := lineup[S]{list: list}
	for _, one := range list.Stacks {
		next.stacks = append(next.stacks, r.use.Make(one.Key))
	}
	for _, one := range list.Left {
		next.left = append(next.left, r.makeLeft(one.Key))
	}
	r.become(next)
}

// makeLeft makes the state machine of a stack that was taken off the list.
func (r *Roster[S]) makeLeft(key record.StackKey) S {
	s := r.use.Make(key)
	r.use.Leaves(s)
	return s
}

func (r *Roster[S]) known() lineup[S] {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *Roster[S]) become(next lineup[S]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = next
}

// all gives the state machines that are on record: those of the list come first.
func (l lineup[S]) all() []S { return slices.Concat(l.stacks, l.left) }

// nameOf gives the name in Swarm of the stack whose records a key has; "" if it never ran.
func (l lineup[S]) nameOf(key record.StackKey) string {
	if s, found := find(l.all(), key); found {
		return s.View().Stack()
	}
	return ""
}

// find gives the state machine of a stack.
func find[S Stack](stacks []S, key record.StackKey) (found S, ok bool) {
	if i := slices.IndexFunc(stacks, func(s S) bool { return s.Key() == key }); i >= 0 {
		return stacks[i], true
	}
	return found, false
}

// Stacks gives the stacks of the list in their order.
func (r *Roster[S]) Stacks() []S { return r.known().stacks }

// Left gives the stacks that were taken off the list; the one to remove first comes first.
func (r *Roster[S]) Left() []S { return r.known().left }

// All gives the stacks of the list, and those that were taken off it.
func (r *Roster[S]) All() []S { return r.known().all() }

// Keys gives the keys of the stacks of the list in their order.
func (r *Roster[S]) Keys() (keys []record.StackKey) {
	for _, s := range r.Stacks() {
		keys = append(keys, s.Key())
	}
	return keys
}

// Named finds the stack that a user names; "" for the only one.
func (r *Roster[S]) Named(key record.StackKey) (named S, err error) {
	now := r.known()
	if key == "" && len(now.stacks) == 1 {
		return now.stacks[0], nil
	}
	if s, found := find(now.all(), key); found {
		return s, nil
	}
	if key == "" {
		return named, request.Refuse(request.Invalid, "name one of them with --stack: "+listNames(now.list), "this node has several stacks, and none is named")
	}
	return named, request.Refuse(request.NotFound, "the node has: "+listNames(now.list), "this node has no stack %q", key)
}

// listNames lists the stacks of the node for users.
func listNames(list record.StackList) string {
	var all []string
	for _, one := range list.Stacks {
		all = append(all, string(one.Key))
	}
	for _, one := range list.Left {
		all = append(all, string(one.Key))
	}
	return strings.Join(all, ", ")
}
