// Package sdnotify takes what a daemon has to tell systemd, and sends it over the socket that
// systemd names. Without systemd it sends nothing. It guarantees that the programs that the
// daemon starts do not inherit the socket.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// The states that systemd knows (sd_notify(3)).
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Watchdog = "WATCHDOG=1"
)

// Service is the unit of this process; the zero value is that of a process without systemd.
type Service struct {
	socket string
	every  time.Duration
}

// Take reads the variables with which systemd started the process, and removes them.
func Take() (Service, error) {
	socket, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		if err := os.Unsetenv(name); err != nil {
			return Service{}, fmt.Errorf("remove the variable %s: %w", name, err)
		}
	}
	service := Service{socket: socket}
	if number, err := strconv.ParseInt(usec, 10, 64); err == nil && number > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		service.every = time.Duration(number) * time.Microsecond
	}
	return service, nil
}

// Every gives the time after which systemd ends a process that sends no Watchdog; 0 for never.
func (s Service) Every() time.Duration { return s.every }

// Tell sends states. A text after STATUS= must be on one line.
func (s Service) Tell(states ...string) error {
	if s.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(strings.Join(states, "\n"))); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}
