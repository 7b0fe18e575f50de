package doctor

import (
	"context"
	"errors"
	"time"

	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/cosign"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/policy"
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

// checkSignatures reads the keys of those who may sign images, and looks for the signatures of
// the stack's images, as a rollout does.
func (d *doctor) checkSignatures(ctx context.Context) (string, error) {
	rules := d.on.Settings.Policy
	var keys int
	for _, rule := range rules.Signatures() {
		read, err := cosign.Load(rule.Keys)
		if err != nil {
			return "", err
		}
		keys += len(read)
	}
	switch {
	case keys == 0:
		return "not set: no signature of an image is demanded", nil
	case d.engine == nil || d.stack == nil:
		return "", errSkipped("the engine and the manifests")
	}
	live, err := d.engine.ObserveServices(ctx, d.stack.Name)
	if err != nil {
		return "", err
	}
	resolved, err := d.engine.Resolve(ctx, live, d.stack)
	if err != nil {
		return "", err
	}
	images := signing.NewImages(cosign.Options{CAFile: d.on.Settings.CAFile, Bytes: d.on.Settings.Limits.OrDefault().AnswerBytes}, d.engine.Login)
	verdict, err := images.Judge(ctx, rules, resolved.Stack, deploy.Images(resolved.Stack, live))
	faults := []error{policy.Err(verdict.Refusals), err}
	for _, text := range verdict.Warnings {
		faults = append(faults, doubt{errors.New(text)})
	}
	return plural.Count(verdict.Signed, "image") + " signed; " + plural.Count(keys, "key") + " may sign", errors.Join(faults...)
}
