package swarmtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
)

// Restart ends the engine and starts it again on what it has, as a reboot of its
// machine does: containers are gone, Swarm makes new ones. It comes back when the
// engine manages its Swarm again.
func (p *Private) Restart(ctx context.Context) error {
	p.end()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	err := p.launch()
	if err == nil {
		err = p.manages(ctx)
	}
	if err != nil {
		return fmt.Errorf("restart the private engine: %w%s", err, p.logTail())
	}
	return nil
}

// manages waits until the engine answers as a manager.
func (p *Private) manages(ctx context.Context) error {
	api, err := client.NewClientWithOpts(client.WithHost(p.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer func() { _ = api.Close() }()
	return p.until(ctx, func() error {
		_, err := api.ServiceList(ctx, swarm.ServiceListOptions{})
		return err
	})
}

// Own gives the test an engine of its own, for what would disturb others.
func Own(tb testing.TB) *Swarm {
	tb.Helper()
	private, err := Start(context.WithoutCancel(tb.Context()), "")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := private.Stop(); err != nil {
			tb.Error(err)
		}
	})
	api, err := client.NewClientWithOpts(client.WithHost(private.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = api.Close() })
	return &Swarm{Host: private.Host, API: api, private: private}
}

// Restart restarts the engine, which must be the test's own.
func (s *Swarm) Restart(ctx context.Context) error {
	if s.private == nil {
		return errors.New("restart the engine: it is not private")
	}
	return s.private.Restart(ctx)
}
