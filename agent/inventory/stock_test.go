package inventory_test

import (
	"context"
	"errors"
	"testing"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/deploy"
)

// shelf counts how often it is read.
type shelf struct {
	reads int
	away  bool
}

func (s *shelf) Inventory(context.Context) (*deploy.Inventory, error) {
	s.reads++
	if s.away {
		return nil, errors.New("the engine does not answer")
	}
	return &deploy.Inventory{}, nil
}

func (s *shelf) Collect(context.Context, []deploy.Version, deploy.Retention, func(deploy.Event) error) (removed, used []deploy.Version, err error) {
	return nil, nil, nil
}

// TestStock reads once, anew after a read that failed, and anew once something may be removed.
func TestStock(t *testing.T) {
	engine := &shelf{away: true}
	stock := inventory.Stock{Engine: engine}
	read := func(want int) {
		t.Helper()
		if got, err := stock.Inventory(t.Context()); (got == nil) != engine.away || (err != nil) != engine.away || engine.reads != want {
			t.Errorf("%v, %v after %d reads, want %d", got, err, engine.reads, want)
		}
	}
	collect := func(due ...deploy.Version) {
		t.Helper()
		if _, _, err := stock.Collect(t.Context(), due, deploy.Retention{}, nil); err != nil {
			t.Error(err)
		}
	}
	read(1)
	engine.away = false
	read(2)
	read(2)
	collect()
	read(2)
	collect(deploy.Version{ID: "a"})
	read(3)
}
