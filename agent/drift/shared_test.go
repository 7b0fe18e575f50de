package drift_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/deploy"
)

// lister notes which stacks it read, and fails while it is away.
type lister struct {
	reads []string
	away  bool
}

func (l *lister) read(stacks ...string) error {
	l.reads = append(l.reads, strings.Join(stacks, "+"))
	if l.away {
		return errors.New("the engine does not answer")
	}
	return nil
}

func (l *lister) ObserveServices(_ context.Context, stack string) (deploy.LiveServices, error) {
	return deploy.LiveServices{stack: {}}, l.read(stack)
}

func (l *lister) ObserveStacks(_ context.Context, stacks []string) (map[string]deploy.LiveServices, error) {
	live := map[string]deploy.LiveServices{}
	for _, stack := range stacks {
		live[stack] = deploy.LiveServices{stack: {}}
	}
	return live, l.read(stacks...)
}

// TestShared says what is read when stacks are asked for in turn.
func TestShared(t *testing.T) {
	for name, test := range map[string]struct {
		stacks string // that have run
		do     string // what happens: a stack that is asked for, or a step
		reads  string
	}{
		"one turn":            {"a b c", "begin a b c", "a+b+c"},
		"two turns":           {"a b", "begin a b end begin a b", "a+b a+b"},
		"outside of a turn":   {"a b", "a b", "a b"},
		"after a turn":        {"a b", "begin a end b", "a+b b"},
		"after a write":       {"a b c", "begin a !a a b c", "a+b+c a"},
		"after two writes":    {"a b c", "begin a !b b !c c b", "a+b+c b c b"},
		"a write comes first": {"a b c", "begin !a a b a c", "a a+b+c a"},
		"a write, then late":  {"a b c", "begin a !a a late b c", "a+b+c a b c"},
		"a write of old":      {"a b", "begin !a a end begin a b", "a a+b"},
		"a write at no turn":  {"a b", "!a a", "a"},
		"asked twice":         {"a b", "begin a a b", "a+b a"},
		"too late":            {"a b", "begin a late b", "a+b b"},
		"one stack":           {"a", "begin a", "a"},
		"a stack that is new": {"a b", "begin a c b", "a+b c"},
		"a read that fails":   {"a b", "begin away a back b a", "a+b b a"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := &lister{}
				shared := drift.Shared{Engine: engine, Stacks: func() []string { return strings.Fields(test.stacks) }}
				for _, step := range strings.Fields(test.do) {
					switch step {
					case "begin":
						shared.Begin()
					case "end":
						shared.End()
					case "late":
						time.Sleep(6 * time.Second)
					case "away", "back":
						engine.away = step == "away"
					default:
						if name, written := strings.CutPrefix(step, "!"); written {
							shared.Write(name)
							continue
						}
						live, err := shared.ObserveServices(t.Context(), step)
						if _, there := live[step]; (err != nil) != engine.away || err == nil && (!there || len(live) != 1) {
							t.Errorf("%s: %v, %v", step, live, err)
						}
					}
				}
				if diff := cmp.Diff(strings.Fields(test.reads), engine.reads); diff != "" {
					t.Errorf("reads (-want +got):\n%s", diff)
				}
			})
		})
	}
}
