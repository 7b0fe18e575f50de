package notify_test

import (
	"context"
	"encoding/base64"
	"io"
	"log"
	"mime"
	"mime/quotedprintable"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/notify/smtptest"
	"coin.internal/coin-agent/internal/fault"
)

const password = "pa55-canary-Qz81wPf"

var ops = notify.Receiver{Kind: notify.KindEmail, Address: "ops@example.com"}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// options returns the options for a server with a login.
func options(t *testing.T, server *smtptest.Server) notify.SMTPOptions {
	t.Helper()
	return notify.SMTPOptions{
		Address: server.Addr, From: "coin-agent@example.com", TLS: notify.StartTLS, CAFile: server.CAFile,
		User: "agent", PasswordFile: private(t, password+"\n"),
	}
}

func mailer(t *testing.T, o notify.SMTPOptions) *notify.SMTP {
	t.Helper()
	sender, err := notify.NewSMTP(o)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func TestMailArrives(t *testing.T) {
	for name, test := range map[string]struct {
		server smtptest.Options
		change func(*notify.SMTPOptions)
		want   smtptest.Message
	}{
		"starttls": {
			server: smtptest.Options{User: "agent", Password: password},
			want:   smtptest.Message{User: "agent", TLS: true},
		},
		"starttls, login": {
			server: smtptest.Options{User: "agent", Password: password, Mechanisms: []string{"LOGIN"}},
			want:   smtptest.Message{User: "agent", TLS: true},
		},
		"tls": {
			server: smtptest.Options{TLS: true, User: "agent", Password: password},
			change: func(o *notify.SMTPOptions) { o.TLS = notify.TLS },
			want:   smtptest.Message{User: "agent", TLS: true},
		},
		"this machine, no login": {
			server: smtptest.Options{Plain: true},
			change: func(o *notify.SMTPOptions) { o.TLS, o.User, o.PasswordFile = notify.NoTLS, "", "" },
		},
		"this machine": {
			server: smtptest.Options{Plain: true, User: "agent", Password: password, Mechanisms: []string{"LOGIN"}},
			change: func(o *notify.SMTPOptions) { o.TLS = notify.NoTLS },
			want:   smtptest.Message{User: "agent"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := smtptest.New(t, test.server)
			o := options(t, server)
			if test.change != nil {
				test.change(&o)
			}
			sender := mailer(t, o)
			if err := sender.Check(t.Context()); err != nil || len(server.Messages()) != 0 {
				t.Fatalf("check: %v, %d messages", err, len(server.Messages()))
			}
			if err := sender.Send(t.Context(), ops, notify.Compose(failed())); err != nil {
				t.Fatal(err)
			}
			taken := server.Messages()
			if len(taken) != 1 {
				t.Fatalf("%d messages", len(taken))
			}
			got := smtptest.Message{User: taken[0].User, TLS: taken[0].TLS}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if taken[0].From != "coin-agent@example.com" || taken[0].To != "ops@example.com" {
				t.Errorf("from %s to %s", taken[0].From, taken[0].To)
			}
		})
	}
}

// TestLetter checks the headers and the body of a mail with hostile texts.
func TestLetter(t *testing.T) {
	server := smtptest.New(t, smtptest.Options{Plain: true})
	sender := mailer(t, notify.SMTPOptions{Address: server.Addr, From: "Агент <coin-agent@example.com>", TLS: notify.NoTLS})
	notice := with(func(n *notify.Notice) {
		n.Title = "сбой выката\r\nBcc: all@example.com\r\n\r\n.\r\nMAIL FROM:<x> " + strings.Repeat("ж", 200)
		n.Subject = "Исправить\n.\n\nпул"
	})
	message := notify.Compose(notice)
	if err := sender.Send(t.Context(), ops, message); err != nil {
		t.Fatal(err)
	}
	got := server.Messages()[0]
	for name := range got.Header {
		if !strings.Contains(" From To Subject Date Message-Id Auto-Submitted Mime-Version Content-Type Content-Transfer-Encoding ", " "+name+" ") {
			t.Errorf("header %s: %q", name, got.Header[name])
		}
	}
	for row := range strings.SplitSeq(got.Raw, "\r\n") {
		if len(row) > 900 || strings.Contains(row, "\n") {
			t.Errorf("a line of %d bytes: %q", len(row), row)
		}
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || subject != message.Title || strings.Contains(subject, "\n") {
		t.Errorf("subject %q: %v", subject, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(got.Body)))
	if err != nil || !strings.Contains(string(body), "Исправить . пул") || !strings.Contains(string(body), "hint: see `docker service logs") {
		t.Errorf("%v: body %s", err, body)
	}
	if from, err := got.Header.AddressList("From"); err != nil || from[0].Name != "Агент" {
		t.Errorf("from %v: %v", from, err)
	}
	if id := got.Header.Get("Message-ID"); id != "<coin-agent.test@example.com>" {
		t.Errorf("message id %s", id)
	}
}

func TestMailRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		command   string
		code      int
		want      string
		permanent bool
	}{
		"greylisted":    {"RCPT", 451, "refuses the address ops@example.com: 451", false},
		"no such user":  {"RCPT", 550, "refuses the address ops@example.com: 550", false},
		"not our user":  {"MAIL", 553, "refuses the sender coin-agent@example.com: 553", false},
		"spam":          {"DATA", 554, "refuses the message: 554", true},
		"full":          {"DATA", 452, "refuses the message: 452", false},
		"wants a login": {"MAIL", 530, "530", false},
	} {
		t.Run(name, func(t *testing.T) {
			server := smtptest.New(t, smtptest.Options{User: "agent", Password: password, Refuse: func(command, _ string) error {
				if command == test.command {
					return smtptest.Reply(test.code, "no, thanks")
				}
				return nil
			}})
			err := mailer(t, options(t, server)).Send(t.Context(), ops, notify.Compose(failed()))
			if err == nil || !strings.Contains(err.Error(), test.want) || len(server.Messages()) != 0 {
				t.Fatalf("%v, %d messages", err, len(server.Messages()))
			}
			if permanent, _ := notify.Asks(err); permanent != test.permanent {
				t.Errorf("permanent %v: %v", permanent, err)
			}
		})
	}
}

// TestMailServerTrouble checks failures that the operator can correct, which are never
// permanent.
func TestMailServerTrouble(t *testing.T) {
	withLogin, wrong := smtptest.Options{User: "agent", Password: password}, private(t, password+"-wrong")
	for name, test := range map[string]struct {
		server smtptest.Options
		change func(*notify.SMTPOptions)
		want   string
		hint   string
	}{
		"password":                     {withLogin, func(o *notify.SMTPOptions) { o.PasswordFile = wrong }, "as agent: it answers 535", "check smtp_user"},
		"authority":                    {withLogin, func(o *notify.SMTPOptions) { o.CAFile = "" }, "certificate", "ca_file"},
		"no starttls":                  {smtptest.Options{Plain: true, User: "agent", Password: password}, nil, "does not offer STARTTLS", "smtp_tls: tls"},
		"no login":                     {smtptest.Options{}, nil, "offers no supported login", "remove smtp_user"},
		"other login":                  {smtptest.Options{User: "agent", Password: password, Mechanisms: []string{"CRAM-MD5"}}, nil, "offers no supported login", "PLAIN or LOGIN"},
		"tls on the port for starttls": {withLogin, func(o *notify.SMTPOptions) { o.TLS = notify.TLS }, "greet the mail server", "smtp_tls"},
		"nobody":                       {withLogin, func(o *notify.SMTPOptions) { o.Address = "127.0.0.1:1" }, "connect to the mail server", "smtp_address"},
		"file gone":                    {withLogin, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := smtptest.New(t, test.server)
			o := options(t, server)
			if test.change != nil {
				test.change(&o)
			}
			sender := mailer(t, o)
			if test.want == "" {
				if err := os.Remove(o.PasswordFile); err != nil {
					t.Fatal(err)
				}
				test.want, test.hint = "read the file with the mail server's password", "mode 600"
			}
			err := sender.Send(t.Context(), ops, notify.Compose(failed()))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(fault.Hint(err), test.hint) {
				t.Fatalf("%v, hint %q", err, fault.Hint(err))
			}
			if permanent, _ := notify.Asks(err); permanent {
				t.Error("the refusal is permanent")
			}
			hides(t, err, password)
			hides(t, err, base64.StdEncoding.EncodeToString([]byte("\x00agent\x00"+password)))
			if checked := sender.Check(t.Context()); checked == nil || len(server.Messages()) != 0 {
				t.Errorf("check: %v, %d messages", checked, len(server.Messages()))
			}
		})
	}
}

// TestMailServerHangs checks that an attempt ends with its context.
func TestMailServerHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // the test is over
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	sender := mailer(t, notify.SMTPOptions{Address: listener.Addr().String(), From: "a@example.com", TLS: notify.StartTLS})
	if err := sender.Send(ctx, ops, notify.Compose(failed())); err == nil {
		t.Error("sent")
	}
}

func TestSMTPOptions(t *testing.T) {
	good := notify.SMTPOptions{Address: "mail.example.com:587", From: "a@example.com", TLS: notify.StartTLS}
	for want, change := range map[string]func(*notify.SMTPOptions){
		"":                               func(*notify.SMTPOptions) {},
		"is not host:port":               func(o *notify.SMTPOptions) { o.Address = "mail.example.com" },
		"is not an e-mail address":       func(o *notify.SMTPOptions) { o.From = "agent" },
		`smtp_from ""`:                   func(o *notify.SMTPOptions) { o.From = "" },
		"mail.example.com is not this":   func(o *notify.SMTPOptions) { o.TLS = notify.NoTLS },
		`unknown smtp_tls "ssl"`:         func(o *notify.SMTPOptions) { o.TLS = "ssl" },
		"only one of smtp_user and":      func(o *notify.SMTPOptions) { o.User = "agent" },
		"read the file with the mail":    func(o *notify.SMTPOptions) { o.User, o.PasswordFile = "agent", "/nowhere" },
		"read the certificate authority": func(o *notify.SMTPOptions) { o.CAFile = "/nowhere" },
	} {
		o := good
		change(&o)
		_, err := notify.NewSMTP(o)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
