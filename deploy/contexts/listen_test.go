package contexts_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coin.internal/coin-agent/sync/gittest"
)

// forward listens on the loopback, with TLS where it is given, and passes each connection to
// the engine's socket.
func forward(t *testing.T, socket string, secured *tls.Config) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	if secured != nil {
		listener = tls.NewListener(listener, secured)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { pass(from, socket) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return address
}

// pass copies both ways until one side closes.
func pass(from net.Conn, socket string) {
	defer func() { _ = from.Close() }()
	if secured, ok := from.(*tls.Conn); ok && secured.Handshake() != nil {
		return
	}
	to, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
	_ = to.Close()
}

// pairs is an authority in a folder, with a certificate and key of a client that it vouches for,
// and the configuration of a server that demands it.
type pairs struct {
	folder string
	server *tls.Config
}

func (p pairs) file(name string) string { return filepath.Join(p.folder, name) }

func keys(t *testing.T) pairs {
	t.Helper()
	p := pairs{folder: t.TempDir()}
	authority, key := certificate(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	server, serverKey := certificate(t, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, key)
	client, clientKey := certificate(t, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, authority, key)
	private, err := x509.MarshalECPrivateKey(clientKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.file("ca.pem"), block("CERTIFICATE", authority.Raw))
	write(t, p.file("cert.pem"), block("CERTIFICATE", client.Raw))
	write(t, p.file("key.pem"), block("EC PRIVATE KEY", private))
	p.server = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}
	return p
}

// certificate makes one by a parent; without one it vouches for itself.
func certificate(t *testing.T, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, by = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func block(kind string, bytes []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
}

// sshWith gives a folder with a program ssh, which is the real one with the server's key.
func sshWith(t *testing.T, server *gittest.Server) string {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexec /usr/bin/ssh -F none -i %q -o UserKnownHostsFile=%q \"$@\"\n", server.KeyFile, server.KnownHostsFile)
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
