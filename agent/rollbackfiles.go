package agent

import (
	"fmt"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/secrets"
)

// noteFiles adds to the good state the files that it was made from, as git has them. It
// leaves out a plaintext secret, also under the name of a link to it: a rollback does not
// need the file as long as Swarm has the version.
func (r *reconcile) noteFiles(applied *record.GoodState) error {
	contents, links, err := r.checkout.Files()
	if err != nil {
		return fmt.Errorf("record files: %w", err)
	}
	files, err := desired.ReadSecretFiles(r.node)
	if err != nil {
		return err
	}
	plain := map[string]bool{}
	for _, file := range files {
		if len(file.Data) > 0 && !secrets.Encrypted(file, r.node.Config.AllowPlaintextSecrets) {
			plain[string(file.Data)] = true
		}
	}
	for path, content := range contents {
		if !plain[string(content)] {
			applied.Keep(path, content)
		}
	}
	for path, to := range links {
		applied.KeepLink(path, to)
	}
	return nil
}
