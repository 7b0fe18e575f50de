package roster

import (
	"context"
	"errors"
	"sync"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/apart"
	gitsync "coin.internal/coin-agent/sync"
)

// Agreement judges whether the stacks of a commit claim one object. It remembers what each stack
// claims, so that only those whose files a commit changes are rendered for that, and none for
// each of the others.
type Agreement struct {
	Settings *settings.Settings

	mu     sync.Mutex
	commit string             // that was looked at last
	names  []string           // of the stacks that it lists
	claims map[string]claimed // by the names of the stacks
}

// claimsAtOnce is how many stacks are rendered at once for what they claim.
const claimsAtOnce = 2

// claimed is what a stack claims in files that read the same.
type claimed struct {
	inputs gitsync.Inputs
	claims compose.Claimant
}

// Of gives the judge of commits for one stack. It gets what the stack claims, which was rendered
// from the files that the checkout has read.
func (a *Agreement) Of(stack string) func(context.Context, *gitsync.Checkout, compose.Claimant) error {
	return func(ctx context.Context, checkout *gitsync.Checkout, claims compose.Claimant) error {
		return a.check(ctx, checkout, stack, claims)
	}
}

// check refuses a commit in which two stacks of the node claim one object or port.
func (a *Agreement) check(ctx context.Context, checkout *gitsync.Checkout, rendered string, claims compose.Claimant) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	options := desired.Options{Environment: a.Settings.Environment, Node: a.Settings.Node, Limits: a.Settings.Limits}
	names := a.names
	if a.commit != checkout.Revision.Commit {
		names = desired.Listed(checkout.Anew().FS, options)
	}
	if len(names) < 2 {
		return nil
	}
	known := map[string]claimed{rendered: {checkout.Inputs(), claims}}
	waits, slots := map[string]func() (claimed, error){}, make(chan struct{}, claimsAtOnce)
	for _, name := range names {
		if name != rendered {
			waits[name] = apart.Begin(func() (claimed, error) {
				slots <- struct{}{}
				defer func() { <-slots }()
				return a.claimedBy(ctx, checkout, options, name)
			})
		}
	}
	var all []compose.Claimant
	var errs []error
	for _, name := range names {
		if name != rendered {
			one, err := waits[name]()
			known[name], errs = one, append(errs, err)
		}
		all = append(all, known[name].claims)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	a.commit, a.names, a.claims = checkout.Revision.Commit, names, known
	return desired.Disputed(all)
}

// claimedBy gives what a stack claims: what is known of it, if it would read the same.
func (a *Agreement) claimedBy(ctx context.Context, checkout *gitsync.Checkout, options desired.Options, name string) (claimed, error) {
	known, there := a.claims[name]
	if there && (a.commit == checkout.Revision.Commit || len(known.inputs) > 0 && checkout.Same(known.inputs)) {
		return known, nil
	}
	options.Stack = name
	own := checkout.Anew()
	claims, err := desired.Claimed(ctx, own.FS, options)
	return claimed{own.Inputs(), claims}, err
}
