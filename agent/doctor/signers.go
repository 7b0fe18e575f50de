package doctor

import (
	"context"
	"errors"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/signers"
)

// soon is how long before its end the doctor warns of a key.
const soon = 30 * 24 * time.Hour

// checkSigners reads the keys of those who may sign. A key that has expired, or soon will,
// needs a look: what it signed is refused then.
func (d *doctor) checkSigners(context.Context) (string, error) {
	demand := d.on.Settings.Policy.Demands()
	if demand == nil {
		return "not set: no signature is demanded", nil
	}
	ring, err := signers.Load(signers.Files{OpenPGP: demand.OpenPGP, SSH: demand.SSH})
	if err != nil {
		return "", err
	}
	now := time.Now()
	var doubts []error
	for _, key := range ring.Keys() {
		switch {
		case key.Expires.IsZero() || key.Expires.Sub(now) > soon:
		case key.Expires.After(now):
			doubts = append(doubts, doubt{fault.New(fault.Place{File: key.File}, "list a key that is valid longer, and sign the next commit or tag with it",
				"the key of %s expires %s: after that, what it signed is refused", key.Name, key.Expires.Format(time.DateOnly))})
		default:
			doubts = append(doubts, doubt{fault.New(fault.Place{File: key.File}, "remove it, or list a key that is valid longer",
				"the key of %s expired %s: what it signed is refused", key.Name, key.Expires.Format(time.DateOnly))})
		}
	}
	return plural.Count(len(ring.Keys()), "key") + " may sign", errors.Join(doubts...)
}
