// Package noanswer says why a server did not answer: from the error of a request it takes the
// cause, never with the request, whose address can contain a secret.
package noanswer

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
)

// Cause gives the error without the request.
func Cause(err error) error {
	for asked := (*url.Error)(nil); errors.As(err, &asked); {
		err = asked.Err
	}
	return err
}

// Untrusted reports whether the server has a certificate that is not trusted.
func Untrusted(err error) bool {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return untrusted
}

// Late reports whether the time for the answer was over.
func Late(err error) bool {
	timed, network := errors.AsType[net.Error](err)
	return network && timed.Timeout()
}
