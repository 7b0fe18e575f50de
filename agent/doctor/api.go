package doctor

import (
	"context"
	"errors"
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
	text, err := certificate("the API's certificate", set.APICertFile, set.APIKeyFile)
	text = set.APIListen + text + ", " + plural.Count(len(set.APITokens), "token")
	return text, errors.Join(access.RefuseOpen(set.APIListen, set.APICertFile != ""), err, access.CheckTokens(set.APITokens))
}

// certificate says whether an address has TLS, and until when its certificate is valid.
func certificate(what, certFile, keyFile string) (string, error) {
	if certFile == "" {
		return " without TLS", nil
	}
	cert, err := access.ReadCertificate(certFile, keyFile)
	if err != nil {
		return " without TLS", err
	}
	return " with TLS until " + cert.Expires().Format(time.DateOnly), expiry(what, certFile, cert.Expires(), time.Now())
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
