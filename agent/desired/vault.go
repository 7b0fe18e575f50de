package desired

import (
	"context"
	"errors"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// Vault says what is read from Vault when the secrets are decrypted.
type Vault struct {
	// Open makes a client with a login of its own. Nil: no references are read, and their
	// values are unknown.
	Open  func() (VaultClient, error)
	Below string // the path that commits may read below, where the policy does not say it

	Settled []record.VaultRead // the versions of @auto references that are settled
	// Plan reads no values, only the newest versions of @auto references. What Vault does not
	// answer stays unknown.
	Plan bool
}

// VaultClient reads secrets with one login, which Close ends, also once the context is over.
type VaultClient interface {
	secrets.VaultReader
	Close(ctx context.Context)
}

// fromVault reads the references of the set. A node without them asks nothing.
func (s *State) fromVault(ctx context.Context, set *secrets.Set) error {
	from := s.options.Vault
	if len(set.References()) == 0 {
		return nil
	}
	rules := s.options.Bounds.Policy
	what := secrets.Resolving{Plan: from.Plan, Allowed: func(path string) error { return rules.ReadVault(path, from.Below) }}
	for _, one := range from.Settled {
		what.Settled = append(what.Settled, secrets.Reading(one))
	}
	if from.Open == nil {
		_, err := set.Resolve(ctx, nil, what)
		return err
	}
	client, err := from.Open()
	if err != nil {
		return err
	}
	defer client.Close(ctx)
	read, err := set.Resolve(ctx, client, what)
	for _, one := range read {
		s.Readings = append(s.Readings, record.VaultRead(one))
	}
	return err
}

// WithoutVault has the next Decrypt read nothing from Vault. The settled versions stay.
func (s *State) WithoutVault() { s.options.Vault.Open = nil }

// ErrUnread is the cause of errors about a value that was not read from Vault.
var ErrUnread = errors.New("it was not read from Vault")

// unread gives an error for a value that is in Vault and was not read; nil for every other.
func (s *State) unread(name, file string) error {
	reference, place, found := s.Secrets.Reference(name, file)
	if !found {
		return nil
	}
	return fault.WithCode(fault.New(place, "a sync reads it", "the secret %q at %s in Vault is not known: %w", name, reference.Path, ErrUnread), fault.CodeVault)
}
