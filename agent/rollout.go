package agent

import "coin.internal/coin-agent/agent/report"

// Rollout gives the state of the services that the agent waits for now; nil if it waits
// for none.
func (a *Agent) Rollout() *report.Rollout { return a.snapshot().rollout }
