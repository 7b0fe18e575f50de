package roster

import (
	"slices"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
)

// Several reports whether the node has several stacks.
func (r *Roster[S]) Several() bool { return len(r.Stacks()) > 1 }

// Earlier gives the stacks that one waits for, and also others of the list by their names.
func (r *Roster[S]) Earlier(key record.StackKey, also ...string) (before []gates.Earlier) {
	now := r.known()
	for _, one := range now.list.Stacks {
		if one.Key != key {
			continue
		}
		names := slices.Clone(one.WaitsFor)
		for _, other := range also {
			names = append(names, record.StackKey(other))
		}
		for _, name := range names {
			if s, found := find(now.stacks, name); found {
				before = append(before, gates.Earlier{Name: string(name), Last: s.View().Last})
			}
		}
	}
	return before
}

// Deployed gives the deployed good states of all stacks but one.
func (r *Roster[S]) Deployed(but record.StackKey) (states []*record.GoodState) {
	for _, s := range r.All() {
		if good := s.View().Deployed; good != nil && s.Key() != but {
			states = append(states, good)
		}
	}
	return states
}

// InSwarm gives the names in Swarm of the stacks of the list that have run.
func (r *Roster[S]) InSwarm() (names []string) {
	for _, s := range r.Stacks() {
		if name := s.View().Stack(); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Working names the stack that an attempt works at, which keeps the agent from the others; ""
// for none.
func (r *Roster[S]) Working() string {
	for _, s := range r.Stacks() {
		if s.View().Working() {
			return string(s.Key())
		}
	}
	return ""
}
