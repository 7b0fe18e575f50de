package agent

import (
	"fmt"
	"slices"

	"coin.internal/coin-agent/agent/state"
	"coin.internal/coin-agent/secrets"
)

// noteFiles adds to what was applied the files that it was made of, as git has
// them. A secret that stands in the clear is left out: going back can do without,
// as long as Swarm has its version.
func (r *reconcile) noteFiles(applied *state.Applied) error {
	contents, links, err := r.checkout.Files()
	if err != nil {
		return fmt.Errorf("record files: %w", err)
	}
	for path, content := range contents {
		file := secrets.File{Path: path, Data: content}
		if slices.Contains(r.node.SecretFiles, path) && !secrets.Encrypted(file, r.node.Config.AllowPlaintextSecrets) {
			continue
		}
		applied.Keep(path, content)
	}
	for path, to := range links {
		applied.KeepLink(path, to)
	}
	return nil
}
