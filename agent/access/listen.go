package access

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/privatefile"
)

// Certificate is the certificate of an address and its key, which can be replaced at run time.
type Certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

// ReadCertificate reads a certificate, with those of its issuers, and its key.
func ReadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	return c, c.Reload()
}

// Reload reads the files again. An error changes nothing.
func (c *Certificate) Reload() error {
	key, err := privatefile.Read(c.keyFile, "the key of the certificate", nil)
	if err != nil {
		return err
	}
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return fault.New(fault.Place{File: c.certFile}, "correct the name of the file in agent.yml", "read the certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fault.New(fault.Place{File: c.certFile}, "write both in PEM form, the certificate before those of its issuers", "the certificate and its key do not fit: %w", err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return fmt.Errorf("read the certificate: %w", err)
		}
	}
	c.current.Store(&pair)
	return nil
}

// Expires gives the end of the certificate's time.
func (c *Certificate) Expires() time.Time { return c.current.Load().Leaf.NotAfter.UTC() }

// names reports whether the certificate is for a host.
func (c *Certificate) names(host string) bool {
	return host != "" && c.current.Load().Leaf.VerifyHostname(host) == nil
}

const (
	// connections bounds those that are open at the same time; fromOne those of one address.
	connections = 256
	fromOne     = 64
)

// Listen opens the API's address, with TLS if there is a certificate.
func Listen(address string, cert *Certificate) (net.Listener, error) {
	if err := RefuseOpen(address, cert != nil); err != nil {
		return nil, err
	}
	listener, err := open(address, cert)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("listen for the API: %w", err), "correct api_listen, or end what listens there")
	}
	return listener, nil
}

// open opens an address with bounded connections, with TLS if there is a certificate.
func open(address string, cert *Certificate) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	listener = &bounded{Listener: listener, open: map[netip.Prefix]int{}}
	if cert == nil {
		return listener, nil
	}
	return tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.current.Load(), nil },
	}), nil
}

// bounded is a listener that keeps no more connections open than it may, so that no sender
// takes the places of all others.
type bounded struct {
	net.Listener

	mu   sync.Mutex
	all  int
	open map[netip.Prefix]int // by the address that they come from
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := place(conn.RemoteAddr().String())
		if b.count(from, 1) {
			return &counted{Conn: conn, end: sync.OnceFunc(func() { b.count(from, -1) })}, nil
		}
		_ = conn.Close() // those that are open go on
	}
}

// count notes that connections are opened or closed, unless there are too many.
func (b *bounded) count(from netip.Prefix, more int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if more > 0 && (b.all >= connections || b.open[from] >= fromOne) {
		return false
	}
	b.all += more
	if b.open[from] += more; b.open[from] == 0 {
		delete(b.open, from)
	}
	return true
}

// counted is a connection that frees its place when it is closed.
type counted struct {
	net.Conn
	end func()
}

func (c *counted) Close() error {
	defer c.end()
	return c.Conn.Close()
}
