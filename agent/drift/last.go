package drift

import (
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// asking is all that decides what a look sees, besides the engine's answer.
type asking struct {
	stack   string
	good    *record.GoodState
	moved   *compose.Stack // the digests that tags had
	ignores int            // how many rules about ignored fields are not over
	anew    bool           // the registries are asked, which takes the services
}

// asking gives what decides a look now.
func (w *Watch) asking(stack string, good *record.GoodState) asking {
	now := asking{stack: stack, good: good, moved: w.moved}
	if good == nil || good != w.good {
		return now // the last look was not of this good state
	}
	now.anew = w.asks(good)
	if w.stack == nil {
		return now // no field is ignored
	}
	for _, rules := range deploy.IgnoreAt(w.stack, time.Now()).Ignored {
		now.ignores += len(rules)
	}
	return now
}

// last is what a look saw.
type last struct {
	asking asking
	answer deploy.Answer
	seen   Seen
}

// answerTo gives the engine's answer at the last look if what decided it is as now.
func (l *last) answerTo(now asking) deploy.Answer {
	if l == nil || l.asking != now {
		return deploy.Answer{}
	}
	return l.answer
}
