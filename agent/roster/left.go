package roster

import (
	"fmt"
	"slices"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// LeftOf says of a stack that it was taken off the list; nil if it was not.
func (r *Roster[S]) LeftOf(key record.StackKey) *report.Left {
	now := r.known()
	one, found := now.leftOf(key)
	if !found {
		return nil
	}
	said := &report.Left{Commit: one.Commit, Prune: one.Prune, Removes: one.Consent != nil, Kept: one.Kept, Rest: one.Rest}
	if first := after(now.list, key); first != "" && said.Removes {
		said.Kept = []string{"waits until the stack " + string(first) + " is removed, which came later in the list"}
	}
	if said.Removes && now.lists(one.Stack) {
		said.Kept = []string{"stays: a stack of the list has its name in Swarm"}
	}
	return said
}

// Removable gives what is on record of a stack that was taken off the list, and whether it may be
// removed now: a user has approved that, no stack of the list has its name, and no stack that came
// later in the list is still there, also if its removal is not approved yet.
func (r *Roster[S]) Removable(key record.StackKey) (one record.LeftStack, may bool) {
	now := r.known()
	one, found := now.leftOf(key)
	return one, found && one.Consent != nil && !now.lists(one.Stack) && after(now.list, key) == ""
}

// Consents gives what records that a user has a stack removed that was taken off the list, or, of a
// removal that was approved before, that no freeze holds it.
func (r *Roster[S]) Consents(key record.StackKey) func(*record.Approval, *record.Override) error {
	return func(given *record.Approval, freeze *record.Override) error {
		return r.editLeft(key, func(one *record.LeftStack) {
			if one.Consent == nil {
				one.Consent = given
			}
			if freeze != nil {
				one.Freeze = freeze
			}
		})
	}
}

// Kept records why the removal of a stack is not complete. With rest, all else is removed.
func (r *Roster[S]) Kept(key record.StackKey, why []string, rest bool) error {
	return r.editLeft(key, func(one *record.LeftStack) { one.Kept, one.Rest = why, rest })
}

// Drop forgets a stack that was removed.
func (r *Roster[S]) Drop(key record.StackKey) error {
	r.edit.Lock()
	defer r.edit.Unlock()
	now := r.known()
	now.list.Left = slices.DeleteFunc(slices.Clone(now.list.Left), func(one record.LeftStack) bool { return one.Key == key })
	now.left = slices.DeleteFunc(slices.Clone(now.left), func(s S) bool { return s.Key() == key })
	return r.save(now)
}

// editLeft changes what is on record of a stack that was taken off the list.
func (r *Roster[S]) editLeft(key record.StackKey, change func(*record.LeftStack)) error {
	r.edit.Lock()
	defer r.edit.Unlock()
	now := r.known()
	now.list.Left = slices.Clone(now.list.Left)
	for i := range now.list.Left {
		if now.list.Left[i].Key == key {
			change(&now.list.Left[i])
		}
	}
	return r.save(now)
}

func (r *Roster[S]) save(next lineup[S]) error {
	if err := r.use.Store.SaveStackList(next.list, nil); err != nil {
		return fmt.Errorf("save the list of stacks: %w", err)
	}
	r.become(next)
	return nil
}

// leftOf gives what is on record of a stack that was taken off the list.
func (l lineup[S]) leftOf(key record.StackKey) (left record.LeftStack, found bool) {
	i := slices.IndexFunc(l.list.Left, func(one record.LeftStack) bool { return one.Key == key })
	if i < 0 {
		return left, false
	}
	return l.list.Left[i], true
}

// lists reports whether a stack of the list has a name in Swarm, or may have it: one that never
// ran has no name yet.
func (l lineup[S]) lists(name string) bool {
	return slices.ContainsFunc(l.stacks, func(s S) bool {
		if key := s.Key(); key != record.OnlyStack {
			return string(key) == name
		}
		v := s.View() // the commit can give the only stack another name than what runs
		return v.Last == nil || v.Last.Stack == "" || v.Last.Stack == name || v.Stack() == name
	})
}

// after names the stack that has to be removed before another one that the same commit took off
// the list: the one after it in the list, which may use what it makes. Once its services are
// removed, it does not.
func after(list record.StackList, key record.StackKey) record.StackKey {
	at := slices.IndexFunc(list.Left, func(one record.LeftStack) bool { return one.Key == key })
	for _, one := range list.Left[:max(at, 0)] {
		if one.Prune && one.Commit == list.Left[at].Commit && !one.Rest {
			return one.Key
		}
	}
	return ""
}
