package board

import (
	"time"

	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// Sight says what is known of a stack's services now. What no recent look saw does not
// count.
type Sight struct {
	Board    *Board
	Interval time.Duration // between looks
	Started  time.Time     // when the agent started
	Working  func() string // names the stack that the agent works at now; "" for none
}

// recent is how old a look at the services may be for a verdict: three intervals, or a read
// that the engine answers at the last moment, which was followed by another one.
func (s *Sight) recent() time.Duration {
	return max(3*s.Interval, deploy.ReadLimit+5*time.Second)
}

// Unknown says why the state of the services is not known now; nil if a recent look saw them,
// or if there are none yet.
func (s *Sight) Unknown(v View, now time.Time) *report.Unknown {
	since := v.Observed
	if since.IsZero() {
		since = s.Started
	}
	if v.Stack() == "" || now.Sub(since) <= s.recent() {
		return nil
	}
	unknown := &report.Unknown{Since: since, Why: string(deploy.WhyUnusable(v.Unread)), Working: v.Working()}
	if !unknown.Working {
		unknown.Other = s.Working()
		unknown.Working = unknown.Other != ""
	}
	switch {
	case unknown.Why != "":
	case v.Reading:
		unknown.Why = string(deploy.Hangs)
	case v.Unread != nil:
		unknown.Why = "the services cannot be read"
	default:
		unknown.Why = "the agent has not looked at the services"
	}
	return unknown
}

// InSync reports whether a stack is in sync, as far as a look saw it that may count.
func (s *Sight) InSync(v View) bool {
	unknown := s.Unknown(v, time.Now())
	return v.InSync() && (unknown == nil || unknown.Working)
}

// Services gives what the metrics show of the services: nothing that a recent look did not
// see.
func (s *Sight) Services() metrics.Services {
	v := s.Board.Snapshot()
	if unknown := s.Unknown(v, time.Now()); unknown != nil && !unknown.Working {
		return metrics.Services{Observed: v.Observed, Unknown: unknown.Why}
	}
	return metrics.Services{Observed: v.Observed, Of: v.Services, Verdict: v.Health}
}
