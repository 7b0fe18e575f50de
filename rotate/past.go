package rotate

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"

	"coin.internal/coin-agent/provenance"
	"coin.internal/coin-agent/secrets"
)

// past gives the highest number that a node's version had in any ancestor of HEAD. A
// reverted rotation has lowered it, but Swarm may still have a secret with the higher
// number and other content. It does not find the older commits of a shallow clone, nor a
// version in a file that no key opens any more.
type past func(node, variable string) (uint64, error)

// pastOf reads the history at the first use. It reads nothing from a clone without the
// objects of the history.
func pastOf(ctx context.Context, dir, environment string, keys *secrets.Keyring) past {
	read := sync.OnceValues(func() (*provenance.Report, error) {
		request := provenance.Request{Dir: dir, Environment: environment}
		report, err := provenance.Trace(ctx, request) // most versions are readable without a key
		if err == nil && slices.ContainsFunc(report.Secrets, isSealed) {
			request.Keys = keys
			report, err = provenance.Trace(ctx, request)
		}
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return &provenance.Report{}, nil
		}
		return report, err
	})
	return func(node, variable string) (uint64, error) {
		report, err := read()
		if err != nil {
			return 0, err
		}
		var highest uint64
		for _, secret := range report.Secrets {
			for _, entry := range secret.Entries {
				if secret.Node == node && secret.Variable == variable {
					number, _ := strconv.ParseUint(entry.Version, 10, 62)
					highest = max(highest, number)
				}
			}
		}
		return highest, nil
	}
}

func isSealed(secret *provenance.Secret) bool {
	return slices.ContainsFunc(secret.Entries, func(entry *provenance.Entry) bool { return entry.Sealed })
}
