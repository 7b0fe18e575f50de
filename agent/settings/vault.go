package settings

import (
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
	"coin.internal/coin-agent/vault"
)

// KeyFiles gives the files and services that decrypt the secrets. Those of Vault can be for
// references alone.
func (s *Settings) KeyFiles() secrets.KeyFiles {
	files := secrets.KeyFiles{
		Age: s.AgeKeyFiles, PGP: s.PGPKeyFiles, PGPPassphrase: s.PGPPassphraseFile, GnuPGHome: s.GnuPGHome,
		Services: s.KeyServices, VaultAddress: s.VaultAddress, VaultToken: s.VaultTokenFile, CAFile: s.CAFile,
		Limits: s.Limits,
	}
	if s.VaultMount != "" && !slices.Contains(s.KeyServices, secrets.KeyServiceVault) {
		files.VaultAddress, files.VaultToken = "", ""
	}
	return files
}

// Vault gives the server and the login for references to Vault. Without a mount there are none.
func (s *Settings) Vault() vault.Options {
	options := vault.Options{
		Address: s.VaultAddress, Namespace: s.VaultNamespace, CAFile: s.CAFile, Mount: s.VaultMount, TokenFile: s.VaultTokenFile,
		RoleIDFile: s.VaultRoleIDFile, SecretIDFile: s.VaultSecretIDFile, JWTFile: s.VaultJWTFile, Role: s.VaultRole, AuthMount: s.VaultAuthMount,
	}
	if options.RoleIDFile != "" || options.JWTFile != "" {
		options.TokenFile = ownVaultToken(s)
	}
	return options
}

// ownVaultToken gives vault_token_file, unless it is there for hc_vault.
func ownVaultToken(s *Settings) string {
	if s.KeyFiles().VaultToken != "" {
		return ""
	}
	return s.VaultTokenFile
}

// VaultBelow gives the path of the API that commits may read below if the policy does not say
// it; "" for none.
func (s *Settings) VaultBelow() string {
	prefix := strings.Trim(s.VaultPrefix, "/")
	if s.VaultMount == "" || prefix == "" {
		return ""
	}
	return s.VaultMount + "/data/" + prefix
}

// validateVault checks the settings for references to Vault.
func validateVault(s *Settings) error {
	if s.VaultMount != "" {
		return s.Vault().Validate()
	}
	for name, value := range map[string]string{
		"vault_prefix": s.VaultPrefix, "vault_namespace": s.VaultNamespace, "vault_role_id_file": s.VaultRoleIDFile, "vault_secret_id_file": s.VaultSecretIDFile,
		"vault_jwt_file": s.VaultJWTFile, "vault_role": s.VaultRole, "vault_auth_mount": s.VaultAuthMount,
	} {
		if value != "" {
			return fault.New(fault.Place{}, "set vault_mount to the KV version 2 engine, such as kv, or leave out the other settings", "%s is set, and vault_mount is not", name)
		}
	}
	return nil
}
