// Package smtptest serves mail on the loopback, with STARTTLS or TLS, logins and
// refusals, and keeps what it takes.
package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Options say how the server behaves.
type Options struct {
	TLS            bool // from the first byte
	Plain          bool // no TLS at all
	User, Password string
	Mechanisms     []string                             // of AUTH; without any and with a User: PLAIN
	Refuse         func(command, argument string) error // what MAIL, RCPT and DATA answer; nil takes all
}

// Message is a mail that was taken.
type Message struct {
	From, To string // of the envelope
	User     string // who was logged in
	TLS      bool
	Raw      string
	Header   mail.Header
	Body     string // as it was sent
}

// Server is a mail server that runs until the test ends.
type Server struct {
	Addr   string // host:port
	CAFile string // of the authority that signed its certificate

	options Options
	mu      sync.Mutex
	taken   []Message
}

// New starts a server.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := &Server{options: o}
	server := smtp.NewServer(backend{s})
	server.Domain = "mail.test"
	server.AllowInsecureAuth = o.Plain
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	server.ErrorLog = log.New(io.Discard, "", 0) //nolint:forbidigo // the library asks for one
	if !o.Plain {
		server.TLSConfig, s.CAFile = certificate(tb)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.Addr = listener.Addr().String()
	if o.TLS {
		listener = tls.NewListener(listener, server.TLSConfig)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	tb.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			tb.Errorf("mail server: %v", err)
		}
	})
	return s
}

// Messages lists what was taken, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.taken...)
}

// Refuse sets what commands are answered from now on.
func (s *Server) Refuse(refuse func(command, argument string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.Refuse = refuse
}

// Reply is an answer of a mail server that refuses.
func Reply(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: text}
}

type backend struct{ *Server }

// NewSession is called for each connection.
func (b backend) NewSession(conn *smtp.Conn) (smtp.Session, error) {
	return &session{server: b.Server, conn: conn}, nil
}

type session struct {
	server *Server
	conn   *smtp.Conn
	user   string
	now    Message
}

// AuthMechanisms lists what is offered.
func (s *session) AuthMechanisms() []string {
	if s.server.options.User == "" {
		return nil
	}
	if len(s.server.options.Mechanisms) > 0 {
		return s.server.options.Mechanisms
	}
	return []string{sasl.Plain}
}

// Auth begins a login.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != s.server.options.User || password != s.server.options.Password {
			// As a careless server: it quotes what it got.
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "bad login " + user + " " + password}
		}
		s.user = user
		return nil
	}
	if strings.EqualFold(mechanism, "LOGIN") {
		return &login{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
}

// login is the server's side of AUTH LOGIN.
type login struct {
	check func(user, password string) error
	step  int
	user  string
}

// Next takes an answer and asks the next question.
func (l *login) Next(response []byte) ([]byte, bool, error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

func (s *session) refuse(command, argument string) error {
	s.server.mu.Lock()
	refuse := s.server.options.Refuse
	s.server.mu.Unlock()
	if refuse == nil {
		return nil
	}
	return refuse(command, argument)
}

// Mail begins a mail.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.options.User != "" && s.user == "" {
		return Reply(530, "authentication required")
	}
	s.now = Message{From: from, User: s.user}
	return s.refuse("MAIL", from)
}

// Rcpt names who gets it.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.now.To = to
	return s.refuse("RCPT", to)
}

// Data takes it.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.refuse("DATA", string(raw)); err != nil {
		return err
	}
	parsed, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		return Reply(554, "malformed: "+err.Error())
	}
	body, err := io.ReadAll(parsed.Body)
	if err != nil {
		return err
	}
	s.now.Raw, s.now.Header, s.now.Body = string(raw), parsed.Header, string(body)
	_, s.now.TLS = s.conn.TLSConnectionState()
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.taken = append(s.server.taken, s.now)
	return nil
}

// Reset forgets a mail that was begun.
func (s *session) Reset() { s.now = Message{} }

// Logout ends the connection.
func (s *session) Logout() error { return nil }

// certificate makes a certificate for the loopback, which is its own authority.
func certificate(tb testing.TB) (*tls.Config, string) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, path
}
