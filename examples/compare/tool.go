package main

import (
	"context"
	"time"

	"coin.internal/coin-agent/examples/local"
)

// change is what a tool has to bring to the engine. It is committed and published.
type change struct {
	commit string
	stacks []place // that it changes
	all    []place // of the node
}

// place is where the compose file of a stack is.
type place struct{ stack, dir string }

// tool is what is compared: something that brings compose files to an engine.
type tool interface {
	name() string
	// start makes the tool ready. Nothing is published, and nothing runs.
	start(ctx context.Context) error
	// deploy returns when the tool has done all its work, and gives the processor time that it took.
	deploy(ctx context.Context, what change) (time.Duration, error)
	// stop ends what start has started, and gives the memory of a daemon; nil for none.
	stop(ctx context.Context) (*local.Memory, error)
}
