// Package local starts what the programs of the examples need on this machine: a git repository, a
// simulated GitLab, the built agent and other processes. All listen on loopback only, and a CleanUp
// ends them.
package local

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"time"
)

// Serve serves HTTP on a free port, and gives the URL and what ends it.
func Serve(handler http.Handler) (url string, end func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("serve HTTP: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String(), server.Close, nil
}

// Accepted gives the error of a hook that was sent, also if the agent does not take it.
func Accepted(code int, err error) error {
	if err == nil && code != http.StatusAccepted {
		err = fmt.Errorf("the agent answered %d %s", code, http.StatusText(code))
	}
	if err != nil {
		return fmt.Errorf("send a hook: %w", err)
	}
	return nil
}

// FreeAddress gives an address with an unused port.
func FreeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

// CleanUp has the steps that end and remove what was started.
type CleanUp struct{ steps []step }

type step struct {
	what string
	do   func() error
}

// Later adds a step.
func (c *CleanUp) Later(what string, do func() error) { c.steps = append(c.steps, step{what, do}) }

// Empty reports whether there is no step.
func (c *CleanUp) Empty() bool { return len(c.steps) == 0 }

// Run takes all steps, the last one first.
func (c *CleanUp) Run() error {
	return c.RunWith(func(_ string, do func() error) error { return do() })
}

// RunWith has each take the steps, the last one first.
func (c *CleanUp) RunWith(each func(what string, do func() error) error) error {
	var errs []error
	for _, one := range slices.Backward(c.steps) {
		errs = append(errs, each(one.what, one.do))
	}
	c.steps = nil
	return errors.Join(errs...)
}
