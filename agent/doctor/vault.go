package doctor

import (
	"context"
	"time"

	"coin.internal/coin-agent/vault"
)

// vaultTime is how long the login and its end may take.
const vaultTime = 30 * time.Second

// checkVault logs in to Vault. Whether the node's references can be read is seen with the
// manifests.
func (d *doctor) checkVault(ctx context.Context) (string, error) {
	if d.on.Settings.VaultMount == "" {
		return "not set: no secret may be in Vault", nil
	}
	ctx, stop := context.WithTimeout(ctx, vaultTime)
	defer stop()
	client, err := vault.New(d.on.Settings.Vault())
	if err != nil {
		return "", err
	}
	defer client.Close(ctx)
	text, err := client.Check(ctx)
	if below := d.on.Settings.VaultBelow(); below != "" && err == nil {
		text += "; commits may read below " + below
	}
	return text, err
}
