package drift_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/deploy"
)

// lister notes which stacks it read, and fails while it is away. The bytes of its answers are
// those of its revision, or unknown if it has none.
type lister struct {
	reads    []string
	away     bool
	revision string
}

func (l *lister) read(stacks ...string) error {
	l.reads = append(l.reads, strings.Join(stacks, "+"))
	if l.away {
		return errors.New("the engine does not answer")
	}
	return nil
}

func (l *lister) answer(stacks ...string) deploy.Answer {
	if l.revision == "" {
		return deploy.Answer{}
	}
	return sha256.Sum256([]byte(l.revision + strings.Join(stacks, "+")))
}

func (l *lister) ObserveChanged(_ context.Context, stack string, last deploy.Answer) (deploy.LiveServices, deploy.Answer, error) {
	answer := l.answer(stack)
	if last == answer && l.revision != "" {
		return nil, answer, l.read("same:" + stack)
	}
	return deploy.LiveServices{stack: {}}, answer, l.read(stack)
}

func (l *lister) ObserveStacks(_ context.Context, stacks []string, last deploy.Answer) (map[string]deploy.LiveServices, deploy.Answer, error) {
	answer := l.answer(stacks...)
	if last == answer && l.revision != "" {
		return nil, answer, l.read("same:" + strings.Join(stacks, "+"))
	}
	live := map[string]deploy.LiveServices{}
	for _, stack := range stacks {
		live[stack] = deploy.LiveServices{stack: {}}
	}
	return live, answer, l.read(stacks...)
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
		"a rollout read it":   {"a b", "begin a b !a +a a", "a+b"},
		"… asked twice":       {"a b", "begin !a +a a a", "a"},
		"… of another":        {"a b", "+a b a", "b"},
		"… and wrote again":   {"a b", "+a !a a", "a"},
		"… too late":          {"a b", "+a late a", "a"},
		"… before the turn":   {"a b", "+a begin a b", "a+b"},
		"… nothing":           {"a b", "+ a", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := &lister{}
				shared := drift.Shared{Engine: engine, Stacks: func() []string { return strings.Fields(test.stacks) }}
				for step := range strings.FieldsSeq(test.do) {
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
						if name, taken := strings.CutPrefix(step, "+"); taken {
							shared.Take("a", deploy.Observed{Services: map[string]deploy.LiveServices{"a": {"a": {}}}[name]})
							continue
						}
						live, _, err := shared.ObserveChanged(t.Context(), step, deploy.Answer{})
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

// TestSharedAnswers says what is read, and which stacks get services, while each stack keeps the
// Answer that it got last.
func TestSharedAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		do    string // a stack that is asked for, or a step; "~a" has a forget its Answer
		reads string
		gets  string // the stacks that got services
	}{
		"the same":               {"turn a b turn a b turn a b", "a+b same:a+b same:a+b", "a b"},
		"changed":                {"turn a b change turn a b turn a b", "a+b a+b same:a+b", "a b a b"},
		"a stack that forgot":    {"turn a b ~a turn a b turn a b turn a b", "a+b same:a+b a a+b same:a+b", "a b a a b"},
		"both forgot":            {"turn a b ~a ~b turn a b turn a b", "a+b same:a+b a b a+b", "a b a b a b"},
		"a write":                {"turn a b turn !a change a b turn a b turn a b", "a+b a a+b same:a+b same:a a+b", "a b a b a b"},
		"asked twice in a turn":  {"turn a a b turn a b turn a b", "a+b a same:a+b same:a a+b", "a a b a b"},
		"alone, outside a turn":  {"turn a b end a a", "a+b a same:a", "a b a"},
		"a read that fails":      {"turn a b away turn a back b a turn a b turn a b", "a+b same:a+b b a same:a+b same:a same:b a+b", "a b b a a b"},
		"the bytes are unknown":  {"unknown turn a b turn a b", "a+b a+b", "a b a b"},
		"they are unknown later": {"turn a b unknown turn a b turn a b", "a+b a+b a+b", "a b a b a b"},
	} {
		t.Run(name, func(t *testing.T) {
			engine, answers, gets := &lister{revision: "1"}, map[string]deploy.Answer{}, []string{}
			shared := drift.Shared{Engine: engine, Stacks: func() []string { return []string{"a", "b"} }}
			for step := range strings.FieldsSeq(test.do) {
				switch step {
				case "turn":
					shared.Begin()
				case "end":
					shared.End()
				case "change":
					engine.revision += "1"
				case "unknown":
					engine.revision = ""
				case "away", "back":
					engine.away = step == "away"
				default:
					if name, forgets := strings.CutPrefix(step, "~"); forgets {
						delete(answers, name)
						continue
					}
					if name, written := strings.CutPrefix(step, "!"); written {
						shared.Write(name)
						continue
					}
					live, answer, err := shared.ObserveChanged(t.Context(), step, answers[step])
					if err != nil {
						continue
					}
					if live != nil {
						gets = append(gets, step)
					} else if answer != answers[step] {
						t.Errorf("%s: neither services nor the last answer", step)
					}
					answers[step] = answer
				}
			}
			if diff := cmp.Diff([][]string{strings.Fields(test.reads), strings.Fields(test.gets)}, [][]string{engine.reads, gets}); diff != "" {
				t.Errorf("reads and services (-want +got):\n%s", diff)
			}
		})
	}
}
