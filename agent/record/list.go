package record

import "slices"

// StackList is the list of the node's stacks that config.yml of a commit has. The agent begins
// with it after a restart, without a fetch.
type StackList struct {
	Commit string        `json:"commit"` // whose config.yml it is
	Stacks []ListedStack `json:"stacks"` // in their order
	Left   []LeftStack   `json:"left,omitempty"`
}

// Keys gives the keys of all stacks that run: of the list, and of those that were taken off it.
func (l StackList) Keys() (keys []StackKey) {
	for _, one := range l.Stacks {
		keys = append(keys, one.Key)
	}
	for _, one := range l.Left {
		keys = append(keys, one.Key)
	}
	return keys
}

// ListedStack is a stack of the list.
type ListedStack struct {
	Key      StackKey   `json:"key"`
	WaitsFor []StackKey `json:"waits_for,omitempty"`
	Prune    bool       `json:"prune,omitempty"` // it may be removed once it is taken off the list
}

// LeftStack is a stack that was taken off the list. It runs on until it is removed.
type LeftStack struct {
	Key     StackKey  `json:"key"`
	Prune   bool      `json:"prune,omitempty"`    // its last entry allows its removal
	Commit  string    `json:"commit"`             // that took it off
	Stack   string    `json:"stack"`              // its name in Swarm
	Consent *Approval `json:"consent,omitempty"`  // to its removal, which has begun
	Freeze  *Override `json:"override,omitempty"` // of a freeze, for its removal
	Kept    []string  `json:"kept,omitempty"`     // why the removal is not complete
	Rest    bool      `json:"rest,omitempty"`     // all but Kept is removed: that goes once nothing uses it
}

// OneStack is the list of a node whose configuration lists no stacks.
func OneStack() StackList { return StackList{Stacks: []ListedStack{{Key: OnlyStack}}} }

// Same reports whether two lists have the same stacks in the same order.
func (l StackList) Same(stacks []ListedStack) bool {
	return slices.EqualFunc(l.Stacks, stacks, func(a, b ListedStack) bool {
		return a.Key == b.Key && a.Prune == b.Prune && slices.Equal(a.WaitsFor, b.WaitsFor)
	})
}

// Next gives the list that follows when a commit lists other stacks. named gives the name in
// Swarm of a stack's records. A stack that is listed again is no longer one that was left, and
// the last one of the list comes first among those that are left: it is removed first.
func (l StackList) Next(commit string, stacks []ListedStack, named func(StackKey) string) StackList {
	next := StackList{Commit: commit, Stacks: stacks}
	has := func(key StackKey) bool {
		return slices.ContainsFunc(stacks, func(s ListedStack) bool { return s.Key == key })
	}
	for _, one := range slices.Backward(l.Stacks) {
		if name := named(one.Key); !has(one.Key) && name != "" {
			next.Left = append(next.Left, LeftStack{Key: one.Key, Prune: one.Prune, Commit: commit, Stack: name})
		}
	}
	for _, left := range l.Left {
		if !has(left.Key) {
			next.Left = append(next.Left, left)
		}
	}
	return next
}
