package anchor

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// Syslog sends each anchor as one message. Over UDP, syslog does not say whether it has
// arrived.
type Syslog struct {
	network string // udp or unixgram
	address string
}

// ParseSyslog reads udp://host:514 or unix:///dev/log.
func ParseSyslog(text string) (Syslog, error) {
	address, err := url.Parse(text)
	switch {
	case err != nil || address.User != nil || address.RawQuery != "" || address.Fragment != "":
	case address.Scheme == "udp" && address.Hostname() != "" && address.Port() != "" && address.Path == "":
		return Syslog{"udp", address.Host}, nil
	case address.Scheme == "unix" && address.Host == "" && filepath.IsAbs(address.Path):
		return Syslog{"unixgram", address.Path}, nil
	}
	return Syslog{}, fault.New(fault.Place{}, "write udp://host:514 or unix:///dev/log", "%q is not the address of a syslog", text)
}

// String names the syslog.
func (s Syslog) String() string { return "syslog " + s.address }

// Facility and severity of the messages: security (authpriv), notice.
const priority = 10<<3 | 5

// Put sends the anchor, also if it may have been sent before.
func (s Syslog) Put(ctx context.Context, a Anchor, _ bool) error {
	return s.send(ctx, s.message(strings.ReplaceAll(a.String(), "`", ""), time.Now()))
}

// message gives a message for the local socket in the form that local daemons read, and for
// the network as RFC 5424 says.
func (s Syslog) message(text string, now time.Time) string {
	if s.network == "unixgram" {
		return fmt.Sprintf("<%d>%s coin-agent[%d]: %s", priority, now.Format(time.Stamp), os.Getpid(), text)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	return fmt.Sprintf("<%d>1 %s %s coin-agent %d audit - %s", priority, now.UTC().Format("2006-01-02T15:04:05.000Z"), host, os.Getpid(), text)
}

// Check connects without a message.
func (s Syslog) Check(ctx context.Context) error { return s.send(ctx, "") }

// sendLimit bounds the name service and a full socket.
const sendLimit = 10 * time.Second

func (s Syslog) send(ctx context.Context, message string) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, s.network, s.address)
	if err == nil && message != "" {
		_ = conn.SetDeadline(time.Now().Add(sendLimit))
		_, err = conn.Write([]byte(message))
	}
	if conn != nil {
		_ = conn.Close()
	}
	if err != nil {
		return fault.WithHint(fmt.Errorf("send to syslog: %w", err), "check that a syslog listens at "+s.address+", or change audit_syslog")
	}
	return nil
}
