package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// expiresSoon is how long before its end the API's certificate is to be renewed.
const expiresSoon = 14 * 24 * time.Hour

// checkAPI reads the API's certificate and the files of its tokens.
func (d *doctor) checkAPI(context.Context) (string, error) {
	set := d.on.Settings
	if set.APIListen == "" {
		return "not set: it is served on the control socket only", nil
	}
	text, faults := set.APIListen+" without TLS", []error{access.RefuseOpen(set.APIListen, set.APICertFile != "")}
	if set.APICertFile != "" {
		cert, err := access.ReadCertificate(set.APICertFile, set.APIKeyFile)
		if err == nil {
			text = fmt.Sprintf("%s with TLS until %s", set.APIListen, cert.Expires().Format(time.DateOnly))
			err = expiry("the API's certificate", set.APICertFile, cert.Expires(), time.Now())
		}
		faults = append(faults, err)
	}
	faults = append(faults, access.CheckTokens(set.APITokens))
	return text + ", " + plural.Count(len(set.APITokens), "token"), errors.Join(faults...)
}

// expiry refuses a certificate that has expired, and doubts one that soon will.
func expiry(what, file string, at, now time.Time) error {
	place, renew := fault.Place{File: file}, "renew it, and run systemctl reload coin-agent"
	switch left := at.Sub(now); {
	case left <= 0:
		return fault.New(place, renew, "%s expired %s", what, at.Format(time.RFC3339))
	case left < expiresSoon:
		return doubt{fault.New(place, renew, "%s expires %s", what, at.Format(time.RFC3339))}
	}
	return nil
}
