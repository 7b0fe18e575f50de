// Package smtptest is a mail server for tests: from options it makes a server on the
// loopback interface with STARTTLS or TLS, logins and refusals. It guarantees to record
// every accepted mail.
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

// Options are the options of the server.
type Options struct {
	TLS            bool // from the first byte
	Plain          bool // no TLS at all
	User, Password string
	Mechanisms     []string                             // of AUTH; default with a User: PLAIN
	Refuse         func(command, argument string) error // returns the answer to MAIL, RCPT and DATA; nil accepts all
}

// Message is an accepted mail.
type Message struct {
	From, To string // of the envelope
	User     string // of the login
	TLS      bool
	Raw      string
	Header   mail.Header
	Body     string // not decoded
}

// Server is a mail server that runs until the test ends.
type Server struct {
	Addr   string // host:port
	CAFile string // of its certificate authority

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
	server.ErrorLog = log.New(io.Discard, "", 0) //nolint:forbidigo // the library requires one
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

// Messages lists the accepted mails, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.taken...)
}

// Refuse sets the function that answers commands.
func (s *Server) Refuse(refuse func(command, argument string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.Refuse = refuse
}

// Reply returns the refusal of a mail server.
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

// AuthMechanisms lists the offered mechanisms.
func (s *session) AuthMechanisms() []string {
	if s.server.options.User == "" {
		return nil
	}
	if len(s.server.options.Mechanisms) > 0 {
		return s.server.options.Mechanisms
	}
	return []string{sasl.Plain}
}

// Auth starts a login.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != s.server.options.User || password != s.server.options.Password {
			// Like a careless server, it quotes the password.
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

// login is the server side of AUTH LOGIN.
type login struct {
	check func(user, password string) error
	step  int
	user  string
}

// Next reads an answer and returns the next question.
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

// Mail starts a mail.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.options.User != "" && s.user == "" {
		return Reply(530, "authentication required")
	}
	s.now = Message{From: from, User: s.user}
	return s.refuse("MAIL", from)
}

// Rcpt sets the recipient.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.now.To = to
	return s.refuse("RCPT", to)
}

// Data reads the mail.
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

// Reset drops an unfinished mail.
func (s *session) Reset() { s.now = Message{} }

// Logout ends the connection.
func (s *session) Logout() error { return nil }

// certificate makes a self-signed certificate for the loopback interface.
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
