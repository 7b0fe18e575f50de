package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// Mismatched names the secrets that exist in Swarm with a different content than the
// wanted one, and gives a fault that says which version to raise. Known holds the keyed
// fingerprints of live secrets' contents by ID. A fingerprint that it does not have is
// found out with the engine, once, and returned in learned. Secrets whose value is not
// known are skipped.
//
// The engine never shows a content. But it accepts an update of a secret only with equal
// content, so the live spec is sent with the wanted content: either nothing changes, or
// the engine refuses.
func (e *Engine) Mismatched(ctx context.Context, live *Live, want *compose.Stack, known map[string]string, key []byte) (mismatched []string, learned map[string]string, err error) {
	learned = map[string]string{}
	var faults []error
	for _, secret := range want.Secrets {
		existing, ok := live.Secrets[secret.Spec.Name]
		if !ok || !secret.Value.Known() {
			continue
		}
		fingerprint := secret.Value.Fingerprint(key)
		same := known[existing.ID] == fingerprint
		if known[existing.ID] == "" {
			if same, err = sameSecret(ctx, e, existing, secret.Value.Reveal()); err != nil {
				return nil, learned, err
			}
			if same {
				learned[existing.ID] = fingerprint
			}
		}
		if !same {
			mismatched = append(mismatched, secret.Spec.Name)
			faults = append(faults, fault.New(fault.Place{}, raiseHint(secret.Variable),
				"secret %s exists with different content, and a secret cannot be changed", secret.Spec.Name))
		}
	}
	return mismatched, learned, errors.Join(faults...)
}

func sameSecret(ctx context.Context, e *Engine, existing swarm.Secret, content []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	for retried := false; ; retried = true {
		spec := existing.Spec
		spec.Data = content
		err := e.swarm.SecretUpdate(ctx, existing.ID, existing.Version, spec)
		switch {
		case err == nil:
			return true, nil
		case strings.Contains(err.Error(), "only updates to Labels are allowed"):
			return false, nil
		case !outOfSequence(err) || retried:
			return false, e.address.explain(fmt.Sprintf("compare secret %s", existing.Spec.Name), withhold(err, content))
		}
		if existing, _, err = e.swarm.SecretInspectWithRaw(ctx, existing.ID); err != nil {
			return false, e.address.explain(fmt.Sprintf("read secret %s", spec.Name), err)
		}
	}
}
