// Package authorities takes the name of a file with certificates and gives the
// pool of those to trust over TLS. It guarantees that the system's own stay
// trusted beside them.
package authorities

import (
	"crypto/x509"
	"errors"
	"os"

	"coin.internal/coin-agent/internal/fault"
)

// Load gives the system's certificate authorities and those of a file in PEM
// form; nil, which means the system's alone, for the file "". Errors name the
// file and the remedy.
func Load(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	const hint = "let ca_file name a file with the certificate authority in PEM form"
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New(fault.Place{File: file}, hint, "read the certificate authority: %w", errors.Unwrap(err))
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(content) {
		return nil, fault.New(fault.Place{File: file}, hint, "the file holds no certificates")
	}
	return pool, nil
}
