package desired

import (
	"context"
	"io/fs"
	"slices"
	"sync"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Rendered is one stack of a node, with what else its files say.
type Rendered struct {
	State *State
	Stack *compose.Stack
}

// RenderAll opens and renders each stack of a node in the order of config.yml, or the one that
// options name. Their SOPS files are decrypted once. A stack takes to be there what the earlier
// ones make (Stack.Given). An object or a port that two of them claim is an error.
func RenderAll(ctx context.Context, fsys fs.FS, options Options) ([]Rendered, error) {
	if options.Limits != (limits.Limits{}) {
		fsys = limits.On(fsys, options.Limits)
	}
	names, err := apart.Do(ctx, func() ([]string, error) { return stacksUpTo(fsys, options) }, nil)
	if err != nil {
		return nil, err
	}
	if options.Keys != nil {
		options.Keys = sync.OnceValues(options.Keys)
	}
	var states []*State
	for _, name := range names {
		of := options
		of.Stack = name
		state, err := Load(ctx, fsys, of)
		if err != nil {
			return nil, err
		}
		states = append(states, state)
	}
	if err := decryptAll(ctx, states); err != nil {
		return nil, err
	}
	var all []Rendered
	var claims []compose.Claimant
	var given compose.Given
	for _, state := range states {
		stack, err := state.Render(ctx)
		if err != nil {
			wipeAll(states)
			return nil, err
		}
		stack.Given, given = given, given.And(stack.Makes())
		all, claims = append(all, Rendered{state, stack}), append(claims, compose.Claimant{Stack: named(state.Node), Claims: stack.Claims()})
	}
	if err := Disputed(claims); err != nil {
		wipeAll(states)
		return nil, err
	}
	if options.Stack != "" {
		all = all[len(all)-1:]
	}
	return all, nil
}

// stacksUpTo lists the stacks of the node, up to the one that options name: what the earlier ones
// make counts for it. A node with one stack has "".
func stacksUpTo(fsys fs.FS, options Options) ([]string, error) {
	config, err := manifests.LoadConfig(fsys, options.Environment)
	if err != nil {
		return nil, err
	}
	names := config.StackNames(options.Node)
	switch index := slices.Index(names, options.Stack); {
	case index >= 0:
		return names[:index+1], nil
	case options.Stack != "":
		return []string{options.Stack}, nil // which is a fault of Load
	}
	return names, nil
}

// decryptAll decrypts the SOPS files of several stacks of a node, each file once.
func decryptAll(ctx context.Context, states []*State) error {
	var opened secrets.Memory
	opened.Begin()
	defer opened.Wipe()
	for _, state := range states {
		state.options.Opened = &opened
		if err := state.Decrypt(ctx); err != nil {
			wipeAll(states)
			return err
		}
	}
	return nil
}

// wipeAll wipes the secrets of all states.
func wipeAll(states []*State) {
	for _, state := range states {
		state.Wipe()
	}
}
