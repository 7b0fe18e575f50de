package main

import (
	"net/http"

	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// hangs has the engine take calls and answer none: the last look is not a verdict then, and
// everybody hears why and since when.
func (p *payments) hangs() {
	p.t.Helper()
	p.swarm.Freeze(p.t)
	p.until("unknown", func(s report.Status) bool { return s.Unknown != nil && s.Unknown.Why == string(deploy.Hangs) })
	p.mustRun(exitDifferent, []string{"UNKNOWN for ", "the engine does not answer"}, "status")
	p.metric(`coin_agent_services_unknown{environment="sandbox",node="node3",reason="the engine does not answer"} 1`)
	if code, body := p.get("/readyz"); code == http.StatusOK {
		p.t.Errorf("/readyz answers %d: %s", code, body)
	}
	if code, body := p.get("/healthz"); code != http.StatusOK {
		p.t.Errorf("/healthz answers %d: %s", code, body)
	}
	p.mustRun(exitDifferent, []string{"did not answer in time", "journalctl -u docker"}, "doctor")
	p.swarm.Thaw(p.t)
	p.until("known again", func(s report.Status) bool { return s.Unknown == nil })
}
