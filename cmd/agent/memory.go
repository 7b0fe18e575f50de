package main

import (
	"os"
	"runtime/debug"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/footprint"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// limitMemory has the garbage collector work harder near the limit of agent.yml.
func limitMemory(a *app) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(a.settings.Limits.OrDefault().MemoryBytes))
	}
}

// renderTrimmed gives compose.Render. Before and after it the process gives pages back that other work
// needs: it takes most of the memory of a sync.
func renderTrimmed(memory *footprint.Memory) func(*manifests.Node, *secrets.Set, compose.Options) (*compose.Stack, error) {
	return func(node *manifests.Node, set *secrets.Set, options compose.Options) (*compose.Stack, error) {
		memory.Trim()
		defer memory.Trim()
		return compose.Render(node, set, options)
	}
}
