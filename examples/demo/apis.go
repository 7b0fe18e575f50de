package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"coin.internal/coin-agent/examples/local"
)

// The files of the APIs: the certificate, which Ada trusts, its key, and the tokens.
const (
	apiCert      = "api.pem"
	apiKey       = "api.key"
	readToken    = "read-token"
	operateToken = "operate-token"
)

// writeAPIs writes the certificate of the production agents' APIs and their tokens.
func (e *estate) writeAPIs() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	block := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	return errors.Join(
		e.world.write(apiCert, block("CERTIFICATE", cert)), e.world.write(apiKey, block("PRIVATE KEY", private)),
		e.world.write(readToken, rand.Text()+rand.Text()), e.world.write(operateToken, rand.Text()+rand.Text()),
	)
}

// apiSettings are the settings of a node's API.
func (e *estate) apiSettings(name string) (string, error) {
	address, err := local.FreeAddress()
	if err != nil {
		return "", err
	}
	e.apis[name] = "https://" + address
	return fmt.Sprintf("api_listen: %s\napi_cert_file: %s\napi_key_file: %s\napi_tokens: [{name: ci, file: %s}, {name: ada, file: %s, scope: operate}]\n",
		address, e.world.path(apiCert), e.world.path(apiKey), e.world.path(readToken), e.world.path(operateToken)), nil
}

// rollbackGroup gives the command that rolls back all nodes of production.
func (e *estate) rollbackGroup(token string, more ...string) []string {
	args := []string{"rollback", "--group", "--environment", prodEnv, "--token-file", e.world.path(token), "--reason", "payments are slow", "--yes"}
	for _, name := range productionNodes {
		args = append(args, "--api", name+"="+e.apis[name])
	}
	return append(args, more...)
}
