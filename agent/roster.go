package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// roster has the list of the node's stacks, and the state machines of those that are on record.
// Its slices are replaced, never changed in place.
type roster struct {
	edit   sync.Mutex // held while the list is changed
	mu     sync.Mutex // held for a moment
	list   record.StackList
	stacks []*stack // in the order of the list
	left   []*stack // in that of list.Left
}

func (r *roster) known() (record.StackList, []*stack, []*stack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list, r.stacks, r.left
}

func (r *roster) become(list record.StackList, stacks, left []*stack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list, r.stacks, r.left = list, stacks, left
}

// begin makes the state machines of the last known list.
func (a *Agent) begin() {
	list, err := a.parts.Store.StackList()
	if err != nil {
		a.parts.Log.Warn("cannot recall the list of stacks: it is read from config.yml", "error", err.Error())
		list = record.OneStack()
	}
	var stacks, left []*stack
	for _, one := range list.Stacks {
		stacks = append(stacks, newStack(a, one.Key))
	}
	for _, one := range list.Left {
		s := newStack(a, one.Key)
		s.retire()
		left = append(left, s)
	}
	a.roster.become(list, stacks, left)
}

// earlier gives the stacks that one waits for.
func (a *Agent) earlier(key record.StackKey) (before []gates.Earlier) {
	list, stacks, _ := a.roster.known()
	for _, one := range list.Stacks {
		if one.Key != key {
			continue
		}
		for _, name := range one.WaitsFor {
			if s := find(stacks, name); s != nil {
				before = append(before, gates.Earlier{Name: string(name), Last: s.board.Snapshot().Last})
			}
		}
	}
	return before
}

// deployed gives the deployed good states of all stacks but one.
func (a *Agent) deployed(but record.StackKey) (states []*record.GoodState) {
	_, stacks, left := a.roster.known()
	for _, s := range slices.Concat(stacks, left) {
		if good := s.board.Snapshot().Deployed; good != nil && s.key != but {
			states = append(states, good)
		}
	}
	return states
}

// all gives the stacks of the list in their order.
func (a *Agent) all() []*stack {
	_, stacks, _ := a.roster.known()
	return stacks
}

// layered reports whether the node has several stacks.
func (a *Agent) layered() bool { return len(a.all()) > 1 }

// inSwarm gives the names in Swarm of the stacks of the list that have run.
func (a *Agent) inSwarm() (names []string) {
	for _, s := range a.all() {
		if name := s.board.Snapshot().Stack(); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// find gives the state machine of a stack that is on record; nil if there is none.
func find(stacks []*stack, key record.StackKey) *stack {
	if i := slices.IndexFunc(stacks, func(s *stack) bool { return s.key == key }); i >= 0 {
		return stacks[i]
	}
	return nil
}

// errAnew ends a look because the turn begins anew: the commit lists other stacks than the one
// before, or is newer than the one that the stacks before this one have taken.
var errAnew = errors.New("the turn begins anew")

// takeList takes the list of stacks from the config.yml of a fetched commit, unless it is that
// commit's already. It gives errAnew if the list is another one. A config.yml that cannot be
// read leaves the list as it is: the load of each stack says why.
func (a *Agent) takeList(ctx context.Context, checkout *gitsync.Checkout) error {
	if list, _, _ := a.roster.known(); list.Commit == checkout.Revision.Commit {
		return nil
	}
	listed, only, err := a.listed(ctx, checkout)
	if err != nil {
		a.parts.Log.Debug("the list of stacks stays", "revision", record.Short(checkout.Revision.Commit), "error", err.Error())
		return nil
	}
	a.roster.edit.Lock()
	defer a.roster.edit.Unlock()
	list, stacks, left := a.roster.known() // a user may have approved a removal
	if list.Same(listed) {
		list.Commit = checkout.Revision.Commit
		a.roster.become(list, stacks, left)
		return nil
	}
	moved := a.moved(list, listed, only)
	next := list.Next(checkout.Revision.Commit, listed, func(key record.StackKey) string {
		if _, moves := moved[key]; moves {
			return ""
		}
		return a.nameOf(key)
	})
	next.Left = slices.DeleteFunc(next.Left, func(one record.LeftStack) bool { return moved[one.Key] != "" })
	if err := a.parts.Store.SaveStackList(next, moved); err != nil {
		return fmt.Errorf("save the list of stacks: %w", err)
	}
	if err := a.enlist(next); err != nil {
		return err
	}
	a.parts.Log.Info("the list of stacks changed", "revision", record.Short(next.Commit), "stacks", fmt.Sprint(a.Stacks()))
	return errAnew
}

// listed reads the list of a commit. only is the name in Swarm of the stack of a node that lists
// none.
func (a *Agent) listed(ctx context.Context, checkout *gitsync.Checkout) (list []record.ListedStack, only string, err error) {
	if err := a.readings.Begin(checkout.Revision.Commit); err != nil {
		return nil, "", err
	}
	settings := &a.parts.Settings
	most, files := settings.Limits.OrDefault(), checkout.Anew().FS
	limited, cancel := context.WithTimeout(ctx, most.LoadTime)
	defer cancel()
	config, err := apart.Do(limited, func() (*manifests.Config, error) {
		return manifests.LoadConfig(limits.On(files, most), settings.Environment)
	}, nil)
	if endErr := a.readings.End(); endErr != nil {
		return nil, "", fmt.Errorf("save state: %w", endErr)
	}
	if err != nil {
		return nil, "", err
	}
	stacks := config.StacksOf(settings.Node)
	if len(stacks) == 0 {
		return nil, "", fmt.Errorf("config.yml has no node %s", settings.Node)
	}
	if !config.Layered(settings.Node) {
		return record.OneStack().Stacks, stacks[0].Name, nil
	}
	for _, one := range stacks {
		entry := record.ListedStack{Key: record.StackKey(one.Name), Prune: one.Prune}
		for _, earlier := range one.WaitsFor {
			entry.WaitsFor = append(entry.WaitsFor, record.StackKey(earlier))
		}
		list = append(list, entry)
	}
	return list, "", nil
}

// moved says which records move to another key, so that nothing is adopted or restarted when a
// node with one stack lists it, or when the list goes away again.
func (a *Agent) moved(list record.StackList, listed []record.ListedStack, only string) map[record.StackKey]record.StackKey {
	recorded := a.parts.Store.Stacks()
	move := func(from, to record.StackKey) map[record.StackKey]record.StackKey {
		if from == "" || !slices.Contains(recorded, from) || slices.Contains(recorded, to) {
			return nil
		}
		return map[record.StackKey]record.StackKey{from: to}
	}
	lists := func(key record.StackKey) bool {
		return slices.ContainsFunc(listed, func(s record.ListedStack) bool { return s.Key == key })
	}
	switch one := record.StackKey(a.nameOf(record.OnlyStack)); {
	case only != "":
		return move(record.StackKey(only), record.OnlyStack)
	case slices.ContainsFunc(list.Stacks, func(s record.ListedStack) bool { return s.Key == record.OnlyStack }) && lists(one):
		return move(record.OnlyStack, one)
	}
	return nil
}

// nameOf gives the name in Swarm of the stack whose records a key has; "" if it never ran.
func (a *Agent) nameOf(key record.StackKey) string {
	_, stacks, left := a.roster.known()
	if s := find(slices.Concat(stacks, left), key); s != nil {
		return s.board.Snapshot().Stack()
	}
	return ""
}

// enlist has a state machine for each stack of a list. Those of the list before are kept.
func (a *Agent) enlist(list record.StackList) error {
	_, before, gone := a.roster.known()
	var stacks, left, made []*stack
	for _, one := range list.Stacks {
		s := find(before, one.Key)
		if s == nil {
			s = newStack(a, one.Key)
			made = append(made, s)
			if err := s.recall(); err != nil {
				for _, one := range made {
					one.metrics.Drop()
				}
				return err
			}
		}
		stacks = append(stacks, s)
	}
	for _, one := range list.Left {
		s := find(slices.Concat(before, gone), one.Key)
		if s == nil {
			s = newStack(a, one.Key)
			s.retire()
			if err := s.recall(); err != nil {
				return err
			}
		}
		left = append(left, s)
	}
	for _, s := range before {
		if find(stacks, s.key) == nil {
			s.retire()
		}
	}
	a.roster.become(list, stacks, left)
	for _, s := range made {
		a.follow(s)
	}
	return nil
}

// retire ends what a stack does besides its looks: it was taken off the list.
func (s *stack) retire() {
	s.metrics.Drop()
	s.leave()
}

// follow has a stack show the plans of merge requests, until it leaves the list or the loop
// ends.
func (a *Agent) follow(s *stack) {
	if a.running == nil {
		return // Run does it
	}
	ctx, leave := context.WithCancel(a.running)
	s.leave = leave
	a.followers.Go(func() { s.plans.Run(ctx) })
}

// recall fills the board from the state file.
func (s *stack) recall() error {
	if err := s.board.Recall(); err != nil {
		return fmt.Errorf("stack %s: %w", s.key, err)
	}
	if deployed := s.board.Snapshot().Deployed; deployed != nil {
		s.health.Deployed(deployed.At)
	}
	if s.publish.Sum == nil {
		return nil
	}
	syncs, err := s.records.Syncs(publish.Remembered)
	if err != nil {
		return fmt.Errorf("stack %s: recall its statuses: %w", s.key, err)
	}
	s.publish.Sum.Recall(s.publish, syncs)
	return nil
}
