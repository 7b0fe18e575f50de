package roster

import (
	"context"
	"fmt"
	"slices"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// reading notes, durably, that a revision is read, so that one that ends the agent again and
// again is held.
type reading interface {
	Begin(commit string) error
	End() error
}

// Take takes the list of stacks from the config.yml of a fetched commit, unless it is that
// commit's already. It reports whether the list is another one. A config.yml that cannot be
// read leaves the list as it is: the load of each stack says why.
func (r *Roster[S]) Take(ctx context.Context, checkout *gitsync.Checkout) (changed bool, err error) {
	commit := checkout.Revision.Commit
	if r.known().list.Commit == commit && r.Config() != nil {
		return false, nil
	}
	config, err := r.read(ctx, checkout)
	var listed []record.ListedStack
	var only string
	if err == nil {
		learn(r, config)
		listed, only, err = listedIn(config, r.use.Settings)
	}
	if err != nil {
		r.use.Log.Debug("the list of stacks stays", "revision", record.Short(commit), "error", err)
		return false, nil
	}
	r.edit.Lock()
	defer r.edit.Unlock()
	now := r.known() // a user may have approved a removal
	if now.list.Same(listed) {
		now.list.Commit = commit
		r.become(now)
		return false, nil
	}
	moved := movedOf(r.use.Store.Stacks(), now, listed, only)
	next := now.list.Next(commit, listed, func(key record.StackKey) string {
		if _, moves := moved[key]; moves {
			return ""
		}
		return now.nameOf(key)
	})
	next.Left = slices.DeleteFunc(next.Left, func(one record.LeftStack) bool { return moved[one.Key] != "" })
	if err := r.use.Store.SaveStackList(next, moved); err != nil {
		return false, fmt.Errorf("save the list of stacks: %w", err)
	}
	if err := r.enlist(now, next); err != nil {
		return false, err
	}
	r.use.Log.Info("the list of stacks changed", "revision", record.Short(commit), "stacks", fmt.Sprint(r.Keys()))
	return true, nil
}

// Config gives the config.yml that was read last, which may be of a commit that is not rolled out
// yet; nil before the first one.
func (r *Roster[S]) Config() *manifests.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config
}

// Unread reports whether a stack waits, and no config.yml was read since the start of the agent, as
// while the remote is away.
func Unread[S Stack](r *Roster[S], waits func(S) bool) bool {
	return r.Config() == nil && slices.ContainsFunc(r.Stacks(), waits)
}

func learn[S Stack](r *Roster[S], config *manifests.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.config = config
}

// read reads the config.yml of a commit.
func (r *Roster[S]) read(ctx context.Context, checkout *gitsync.Checkout) (*manifests.Config, error) {
	if err := r.use.Reading.Begin(checkout.Revision.Commit); err != nil {
		return nil, err
	}
	settings := r.use.Settings
	most, files := settings.Limits.OrDefault(), checkout.Anew().FS
	limited, cancel := context.WithTimeout(ctx, most.LoadTime)
	defer cancel()
	config, err := apart.Do(limited, func() (*manifests.Config, error) {
		return manifests.LoadConfig(limits.On(files, most), settings.Environment)
	}, nil)
	if endErr := r.use.Reading.End(); endErr != nil {
		return nil, fmt.Errorf("save state: %w", endErr)
	}
	return config, err
}

// listedIn gives the list of the node in a config.yml. only is the name in Swarm of the stack of a
// node that lists none.
func listedIn(config *manifests.Config, settings *settings.Settings) (list []record.ListedStack, only string, err error) {
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

// movedOf says which records move to another key, so that nothing is adopted or restarted when a
// node with one stack lists it, or when the list goes away again.
func movedOf[S Stack](recorded []record.StackKey, now lineup[S], listed []record.ListedStack, only string) map[record.StackKey]record.StackKey {
	move := func(from, to record.StackKey) map[record.StackKey]record.StackKey {
		if from == "" || !slices.Contains(recorded, from) || slices.Contains(recorded, to) {
			return nil
		}
		return map[record.StackKey]record.StackKey{from: to}
	}
	lists := func(list []record.ListedStack, key record.StackKey) bool {
		return slices.ContainsFunc(list, func(s record.ListedStack) bool { return s.Key == key })
	}
	switch one := record.StackKey(now.nameOf(record.OnlyStack)); {
	case only != "":
		return move(record.StackKey(only), record.OnlyStack)
	case lists(now.list.Stacks, record.OnlyStack) && lists(listed, one):
		return move(record.OnlyStack, one)
	}
	return nil
}

// enlist has a state machine for each stack of a list. Those of the list before are kept.
func (r *Roster[S]) enlist(before lineup[S], list record.StackList) error {
	next := lineup[S]{list: list}
	var joined []S
	for _, one := range list.Stacks {
		s, found := find(before.stacks, one.Key)
		if !found {
			s = r.use.Make(one.Key)
			joined = append(joined, s)
			if err := s.Recall(); err != nil {
				for _, one := range joined {
					r.use.Leaves(one)
				}
				return err
			}
		}
		next.stacks = append(next.stacks, s)
	}
	for _, one := range list.Left {
		s, found := find(before.all(), one.Key)
		if !found {
			s = r.makeLeft(one.Key)
			if err := s.Recall(); err != nil {
				return err
			}
		}
		next.left = append(next.left, s)
	}
	for _, s := range before.stacks {
		if _, stays := find(next.stacks, s.Key()); !stays {
			r.use.Leaves(s)
		}
	}
	r.become(next)
	for _, s := range joined {
		r.use.Joins(s)
	}
	return nil
}
