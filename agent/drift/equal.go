package drift

import (
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// equal is what a look found equal. The engine gives a service another version with each
// write, so services that have the same versions are not compared again.
type equal struct {
	good     *record.GoodState // that the services equal
	moved    *compose.Stack    // with these digests
	versions map[string]version
}

// version is one that a service had.
type version struct {
	id      string
	index   uint64
	updated time.Time
}

func versionOf(service swarm.Service) version {
	return version{id: service.ID, index: service.Version.Index, updated: service.UpdatedAt}
}

// still reports whether the services are those that were equal.
func (e *equal) still(live deploy.LiveServices, good *record.GoodState, moved *compose.Stack) bool {
	if e == nil || e.good != good || e.moved != moved || len(live) != len(e.versions) {
		return false
	}
	for name, service := range live {
		if e.versions[name] != versionOf(service) {
			return false
		}
	}
	return true
}

// found gives what a later look need not compare again; nil if there is a difference, or
// a field that is ignored for a time.
func found(seen Seen, live deploy.LiveServices, w *Watch) *equal {
	if len(seen.Drift)+len(seen.Ignored)+seen.Unowned+len(w.stack.Ignored) > 0 {
		return nil
	}
	versions := make(map[string]version, len(live))
	for _, status := range seen.Services { // its texts stay
		service := live[status.Name]
		if service.Version.Index == 0 {
			return nil // the engine does not tell it
		}
		version := versionOf(service)
		version.id = status.ID
		versions[status.Name] = version
	}
	return &equal{good: w.good, moved: w.moved, versions: versions}
}
