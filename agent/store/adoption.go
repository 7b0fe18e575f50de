package store

import (
	"errors"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
)

// Adoption gives the stack that the node keeps; nil before its first rollout.
func (s *Stack) Adoption() (*record.Adoption, error) {
	return single[record.Adoption](s, adoptionKey)
}

// SaveAdoption records the stack that the node keeps. The consent to it is part of the record
// then, and does not count for a later rollout.
func (s *Stack) SaveAdoption(adopted *record.Adoption) error {
	return s.update(func(_ *bbolt.Tx, b *bbolt.Bucket) error {
		return errors.Join(putJSON(b, adoptionKey, adopted), deleteRecord(b, consentKey))
	})
}

// Consent gives a user's consent to an adoption whose rollout has not begun, or nil.
func (s *Stack) Consent() (*record.Consent, error) { return single[record.Consent](s, consentKey) }

// SaveConsent records a user's consent in place of an earlier one.
func (s *Stack) SaveConsent(given *record.Consent) error {
	return putSingle(s, consentKey, given, true)
}
