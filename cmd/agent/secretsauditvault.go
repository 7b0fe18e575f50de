package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/provenance"
	"coin.internal/coin-agent/vault"
)

// vaultAuditTime is how long all questions to Vault may take.
const vaultAuditTime = time.Minute

// addVaultVersions adds the newest version that Vault has of each secret, and warns where that
// is newer than the one in git. Git says what runs: a newer version is not deployed by itself.
// No value is kept.
func addVaultVersions(ctx context.Context, s *settings.Settings, report *provenance.Report) error {
	var in []*provenance.Secret
	for _, secret := range report.Secrets {
		if secret.VaultPath != "" && !secret.Removed {
			in = append(in, secret)
		}
	}
	if s.VaultMount == "" || len(in) == 0 {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, vaultAuditTime)
	defer stop()
	client, err := vault.New(s.Vault())
	if err != nil {
		return err
	}
	defer client.Close(ctx)
	newest := map[string]int{}
	for _, secret := range in {
		path := secret.VaultPath
		if _, asked := newest[path]; !asked {
			if newest[path], err = newestInVault(ctx, s, client, path); fault.IsTransient(err) {
				return err
			}
			if err != nil {
				report.Warnings = append(report.Warnings, fmt.Sprintf("cannot read the newest version of %s: %v", path, err))
			}
		}
		secret.VaultNewest = newest[path]
		if now, err := strconv.Atoi(secret.Version); err == nil && secret.VaultNewest > now {
			report.Warnings = append(report.Warnings, fmt.Sprintf("%s on %s: newer version in Vault: %d; git says %d, which stays deployed until a commit says @%d", secret.Name, secret.Node, secret.VaultNewest, now, secret.VaultNewest))
		}
	}
	return nil
}

// newestInVault gives the newest version at a path that the node may read.
func newestInVault(ctx context.Context, s *settings.Settings, client *vault.Client, path string) (int, error) {
	if err := s.Policy.ReadVault(path, s.VaultBelow()); err != nil {
		return 0, err
	}
	newest, data, err := client.Read(ctx, path, 0)
	for _, value := range data {
		clear(value)
	}
	return newest, err
}
