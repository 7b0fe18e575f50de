package inventory

import (
	"context"

	"coin.internal/coin-agent/deploy"
)

// Stock reads the engine's secrets, configs and services once for the surveys of several stacks,
// which follow each other. After a removal it reads anew. Only one goroutine may use it.
type Stock struct {
	Engine engine

	read *deploy.Inventory
}

// Inventory gives what was read.
func (s *Stock) Inventory(ctx context.Context) (*deploy.Inventory, error) {
	if s.read != nil {
		return s.read, nil
	}
	read, err := s.Engine.Inventory(ctx)
	if err == nil {
		s.read = read
	}
	return read, err
}

// Collect removes versions. The engine's stock is read again before the first removal.
func (s *Stock) Collect(ctx context.Context, due []deploy.Version, keep deploy.Retention, note func(deploy.Event) error) (removed, used []deploy.Version, err error) {
	if len(due) > 0 {
		s.read = nil
	}
	return s.Engine.Collect(ctx, due, keep, note)
}
