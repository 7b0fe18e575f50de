package anchor_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/waitfor"
)

func TestSyslogAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"udp://log.example.com:514": "syslog log.example.com:514",
		"udp://[::1]:514":           "syslog [::1]:514",
		"unix:///dev/log":           "syslog /dev/log",
		"udp://log.example.com":     "", "udp://:514": "", "udp://log:514/x": "", "tcp://log:514": "", "unix://dev/log": "",
		"unix:///": "syslog /", "/dev/log": "", "udp://u:p@log:514": "", "udp://log:514?x=1": "", "%": "",
	} {
		got, err := anchor.ParseSyslog(text)
		if want == "" && (err == nil || !strings.Contains(fault.Hint(err), "unix:///dev/log")) || want != "" && (err != nil || got.String() != want) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

// received reads the next message of a real listener.
func received(t *testing.T, listener net.PacketConn) string {
	t.Helper()
	if err := listener.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, _, err := listener.ReadFrom(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func listen(t *testing.T, network, address string) net.PacketConn {
	t.Helper()
	listener, err := (&net.ListenConfig{}).ListenPacket(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func TestSyslog(t *testing.T) {
	udp := listen(t, "udp", "127.0.0.1:0")
	socket := filepath.Join(t.TempDir(), "log")
	local := listen(t, "unixgram", socket)
	text := "Audit log of sandbox/node3: entry 7, hash " + hashOf(7) + ", after the anchor of entry 4"
	for address, test := range map[string]struct {
		listener net.PacketConn
		form     string
	}{
		"udp://" + udp.LocalAddr().String(): {udp, `^<85>1 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ coin-agent \d+ audit - ` + text + "$"},
		"unix://" + socket:                  {local, `^<85>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d coin-agent\[\d+\]: ` + text + "$"},
	} {
		syslog, err := anchor.ParseSyslog(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := syslog.Put(t.Context(), anchor.Anchor{Node: "sandbox/node3", Seq: 7, Hash: hashOf(7), After: 4}, false); err != nil {
			t.Fatal(err)
		}
		if got := received(t, test.listener); !regexp.MustCompile(test.form).MatchString(got) {
			t.Errorf("%s: %q", address, got)
		}
		if err := syslog.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A syslog that does not listen is shown, and gets the head once it does.
func TestSyslogThatComesLater(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	syslog, err := anchor.ParseSyslog("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	outbox, err := anchor.NewOutbox(anchor.Options{
		Node: "sandbox/node3", Places: []anchor.Place{syslog}, Store: &memory{}, Log: slog.New(slog.DiscardHandler),
		Head: func() audit.Head { return audit.Head{Seq: 3, Hash: hashOf(3)} },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = outbox.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	failing := func(want bool) {
		t.Helper()
		waitfor.NoError(t, 5*time.Minute, func() error {
			if one := outbox.Health()[0]; (one.Error != "") != want {
				return fmt.Errorf("health %+v", one)
			}
			return nil
		})
	}
	failing(true)
	if one := outbox.Health()[0]; !strings.Contains(one.Error, "send to syslog") || !strings.Contains(one.Hint, "audit_syslog") || one.Left != 3 {
		t.Errorf("%+v", one)
	}
	listener := listen(t, "unixgram", socket)
	if got := received(t, listener); !strings.HasSuffix(got, "entry 3, hash "+hashOf(3)) {
		t.Errorf("%q", got)
	}
	failing(false)
}
