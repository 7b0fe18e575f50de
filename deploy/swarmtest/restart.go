package swarmtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
)

// Restart stops the engine and starts it again with its data, like a reboot of its machine:
// the containers have ended, and Swarm creates new ones. Restart returns when the engine
// manages its Swarm again.
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

// Own gives the test its own engine, for changes that would disturb other tests.
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

// Restart restarts the engine, which must come from Own.
func (s *Swarm) Restart(ctx context.Context) error {
	if s.private == nil {
		return errors.New("restart the engine: it is not private")
	}
	return s.private.Restart(ctx)
}
