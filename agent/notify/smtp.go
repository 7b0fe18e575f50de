package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/internal/noanswer"
	"coin.internal/coin-agent/internal/oneline"
)

// TLSMode is the TLS mode of the connection to a mail server.
type TLSMode string

// The modes. NoTLS is only allowed for a server on this machine.
const (
	StartTLS TLSMode = "starttls"
	TLS      TLSMode = "tls"
	NoTLS    TLSMode = "none"
)

// SMTPOptions has the address of a mail server and the login.
type SMTPOptions struct {
	Address      string // host:port
	User         string // empty means no login
	PasswordFile string // read for each message
	From         string
	TLS          TLSMode
	CAFile       string        // certificates that are trusted besides the system's; may be empty
	Limits       limits.Limits // zero means the default ones
}

// SMTP sends mail through one server.
type SMTP struct {
	options SMTPOptions
	host    string
	from    *mail.Address
	roots   *x509.CertPool
}

// NewSMTP checks the options. It does not connect.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	host, port, err := net.SplitHostPort(o.Address)
	if err != nil || host == "" || port == "" {
		return nil, fault.New(fault.Place{}, "write an address such as mail.example.com:587", "smtp_address %q is not host:port", o.Address)
	}
	from, err := mail.ParseAddress(o.From)
	if err != nil {
		return nil, fault.New(fault.Place{}, "write an address such as coin-agent@example.com", "smtp_from %q is not an e-mail address", o.From)
	}
	switch o.TLS {
	case StartTLS, TLS:
	case NoTLS:
		if !loopback.Is(host) {
			return nil, fault.New(fault.Place{}, "set smtp_tls to starttls or tls", "smtp_tls is none, but %s is not this machine", host)
		}
	default:
		return nil, fault.New(fault.Place{}, "use starttls, tls or none", "unknown smtp_tls %q", o.TLS)
	}
	if (o.User == "") != (o.PasswordFile == "") {
		return nil, fault.New(fault.Place{}, "set both, or none for a server without a login", "only one of smtp_user and smtp_password_file is set")
	}
	if o.PasswordFile != "" {
		if _, err := readSecret(o.PasswordFile, "the mail server's password"); err != nil {
			return nil, err
		}
	}
	roots, err := authorities.Load(o.CAFile)
	if err != nil {
		return nil, err
	}
	return &SMTP{options: o, host: host, from: from, roots: roots}, nil
}

// Validate checks the options, with the files that they name.
func (o SMTPOptions) Validate() error {
	_, err := NewSMTP(o)
	return err
}

// Check connects and logs in without sending a message.
func (s *SMTP) Check(ctx context.Context) error {
	return s.session(ctx, func(*smtp.Client) error { return nil })
}

// Send sends the message once.
func (s *SMTP) Send(ctx context.Context, to Receiver, m Message) error {
	recipient, err := mail.ParseAddress(to.Address)
	if err != nil {
		return permanent(fault.New(fault.Place{}, "correct notifications.email in config.yml", "%q is not an e-mail address", to.Address))
	}
	return s.session(ctx, func(client *smtp.Client) error {
		if err := client.Mail(s.from.Address); err != nil {
			return s.refusedMail("the sender "+s.from.Address, err)
		}
		if err := client.Rcpt(recipient.Address); err != nil {
			return s.refusedMail("the address "+recipient.Address, err)
		}
		w, err := client.Data()
		if err != nil {
			return s.refusedMail("the message", err)
		}
		if _, err := w.Write(s.letter(recipient, &m)); err != nil {
			return s.refusedMail("the message", err)
		}
		if err := w.Close(); err != nil {
			return s.refusedMessage(err)
		}
		return nil
	})
}

// session connects, logs in, calls talk, and ends the connection. It ignores an error at
// the end of the connection.
func (s *SMTP) session(ctx context.Context, talk func(*smtp.Client) error) error {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", s.options.Address)
	if err != nil {
		return fault.WithHint(fmt.Errorf("connect to the mail server: %w", err), "check smtp_address, and that this node can connect to it")
	}
	defer conn.Close() //nolint:errcheck // all data is sent
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("set the deadline of the connection to the mail server: %w", err)
		}
	}
	client, err := s.greet(bounded.Answers(s.options.Address, s.options.Limits.OrDefault().AnswerBytes).Conn(conn))
	if err != nil {
		return err
	}
	if err := s.login(client); err != nil {
		return err
	}
	if err := talk(client); err != nil {
		return err
	}
	_ = client.Quit()
	return nil
}

// greet starts the session with TLS according to the mode. It never falls back to no TLS.
func (s *SMTP) greet(conn net.Conn) (*smtp.Client, error) {
	config := &tls.Config{ServerName: s.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	if s.options.TLS == TLS {
		conn = tls.Client(conn, config)
	}
	client, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return nil, s.explain("greet the mail server", err)
	}
	name, err := os.Hostname()
	if err != nil || strings.ContainsAny(name, "\r\n ") || name == "" {
		name = "localhost"
	}
	if err := client.Hello(name); err != nil {
		return nil, s.explain("greet the mail server", err)
	}
	if s.options.TLS != StartTLS {
		return client, nil
	}
	if offered, _ := client.Extension("STARTTLS"); !offered {
		return nil, fault.New(fault.Place{}, "use a server that offers it, or set smtp_tls: tls and the port for it (usually 465)",
			"the mail server %s does not offer STARTTLS", s.options.Address)
	}
	if err := client.StartTLS(config); err != nil {
		return nil, s.explain("start TLS with the mail server", err)
	}
	return client, nil
}

func (s *SMTP) explain(doing string, err error) error {
	hint := "check smtp_address and smtp_tls: port 587 usually needs starttls, port 465 tls"
	if noanswer.Untrusted(err) {
		hint = "set ca_file to the server's certificate authority, and smtp_address to the name in its certificate"
	}
	return fault.WithHint(fmt.Errorf("%s %s: %w", doing, s.options.Address, err), hint)
}

// login logs in. Its errors do not quote the server, which may echo the password.
func (s *SMTP) login(client *smtp.Client) error {
	if s.options.User == "" {
		return nil
	}
	password, err := readSecret(s.options.PasswordFile, "the mail server's password")
	if err != nil {
		return err
	}
	_, mechanisms := client.Extension("AUTH")
	var auth smtp.Auth
	switch methods := strings.Fields(strings.ToUpper(mechanisms)); {
	case slices.Contains(methods, "PLAIN"):
		auth = smtp.PlainAuth("", s.options.User, password, s.host)
	case slices.Contains(methods, "LOGIN"):
		auth = &loginAuth{user: s.options.User, password: password}
	default:
		return fault.New(fault.Place{}, "remove smtp_user for a server without a login, or use a server that offers PLAIN or LOGIN",
			"the mail server %s offers no supported login", s.options.Address)
	}
	if err := client.Auth(auth); err != nil {
		said := "the connection ended"
		if reply, ok := errors.AsType[*textproto.Error](err); ok {
			said = fmt.Sprintf("it answers %d", reply.Code)
		}
		return fault.New(fault.Place{}, "check smtp_user, and the password in "+s.options.PasswordFile,
			"log in to the mail server %s as %s: %s", s.options.Address, s.options.User, said)
	}
	return nil
}

// loginAuth is AUTH LOGIN, the only login of some servers. It is only used with TLS, or
// with a server on this machine.
type loginAuth struct{ user, password string }

// Start starts the login.
func (a *loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !loopback.Is(server.Name) {
		return "", nil, errors.New("the connection does not use TLS")
	}
	return "LOGIN", nil, nil
}

// Next answers the server's two questions.
func (a *loginAuth) Next(question []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch text := strings.ToLower(string(question)); {
	case strings.HasPrefix(text, "user"):
		return []byte(a.user), nil
	case strings.HasPrefix(text, "pass"):
		return []byte(a.password), nil
	}
	return nil, errors.New("the server asks an unknown question")
}

// refusedMail returns the error for a refusal that is not permanent: after a correction of
// config.yml, the settings or the server, a retry succeeds.
func (s *SMTP) refusedMail(what string, err error) error {
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return fmt.Errorf("send mail through %s: %w", s.options.Address, err)
	}
	hint := ""
	switch {
	case reply.Code == 530 || reply.Code == 538:
		hint = "set smtp_user and smtp_password_file"
	case reply.Code >= 500 && reply.Code != 521: // 521: the server accepts no mail
		hint = "check smtp_from, notifications.email in config.yml, and the rights of smtp_user on the server"
	}
	return fault.WithHint(fmt.Errorf("the mail server %s refuses %s: %d %s", s.options.Address, what, reply.Code, oneline.Cut(reply.Msg, 200)), hint)
}

// refusedMessage returns the error for a message that the server has read. A refusal with
// a code from 500 is permanent.
func (s *SMTP) refusedMessage(err error) error {
	refused := s.refusedMail("the message", err)
	if reply, ok := errors.AsType[*textproto.Error](err); ok && reply.Code >= 500 && reply.Code != 521 {
		return permanent(refused)
	}
	return refused
}

// letter returns the message as a mail. All texts of users are encoded or in the body, so
// that they cannot add a header.
func (s *SMTP) letter(to *mail.Address, m *Message) []byte {
	var b bytes.Buffer
	from := *s.from
	if from.Name == "" {
		from.Name = "coin-agent"
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	subject := strings.ReplaceAll(mime.QEncoding.Encode("utf-8", oneline.Join(m.Title)), "?= =?", "?=\r\n =?")
	for _, header := range [][2]string{
		{"From", from.String()},
		{"To", to.String()},
		{"Subject", subject},
		{"Date", m.Time.UTC().Format(time.RFC1123Z)},
		{"Message-ID", "<" + m.ID + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(header[0] + ": " + header[1] + "\r\n")
	}
	b.WriteString("\r\n")
	body := quotedprintable.NewWriter(&b)
	_, _ = body.Write([]byte(strings.ReplaceAll(m.Title+"\n\n"+m.Text, "\n", "\r\n"))) // writes to memory cannot fail
	_ = body.Close()
	return b.Bytes()
}
