package setup_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/setup"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/sync/gittest"
)

var errEnded = errors.New("the input has ended")

// leaver answers with the defaults, and leaves when asked for the policy.
type leaver struct {
	t     *testing.T
	asked int
}

func (l *leaver) Ask(ctx context.Context, q setup.Question) (string, error) {
	if _, limited := ctx.Deadline(); limited {
		l.t.Errorf("%q has to be answered in time", q.Text)
	}
	if q.Setting != "" {
		return q.Default, nil
	}
	l.asked++
	return "", errEnded
}

func (l *leaver) Secret(context.Context, string) (string, error) { return "", nil }

func (l *leaver) Again(failed error) bool {
	l.t.Errorf("%v is asked again", failed)
	return false
}

// TestQuestionsHaveNoLimit asks a person who thinks about each question for as long as it takes.
// Who leaves at the last one ends the setup.
func TestQuestionsHaveNoLimit(t *testing.T) {
	repo := gittest.New(t)
	repo.Commit("first", map[string]string{
		"environments/lab/config.yml":                    "environment: {name: lab, type: non-production}\nnodes:\n  - {name: lab1, context: c, stack: s}\n",
		"environments/lab/nodes/lab1/docker-compose.yml": "services: {}\n",
	})
	answers := settings.Default()
	answers.Repository, answers.StateDir = repo.Dir, t.TempDir()
	person := &leaver{t: t}
	s := &setup.Setup{
		Settings: &answers, Folder: filepath.Join(t.TempDir(), "agent"), Person: person,
		On: setup.Dependencies{
			Engine:  func(context.Context) (string, error) { return "", nil },
			Secrets: func(context.Context) error { return nil },
			Policy:  func(context.Context) (*policy.Policy, string, error) { return &policy.Policy{}, "all", nil },
		},
		Say: t.Logf, Warn: func(err error) { t.Error(err) }, Keep: func() error { return nil },
	}
	if err := s.Run(t.Context()); !errors.Is(err, errEnded) || person.asked != 1 {
		t.Errorf("asked %d times: %v", person.asked, err)
	}
}
