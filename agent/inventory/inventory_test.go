package inventory_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

const owner = "sandbox/node3"

// stock is an engine with one secret of each of two stacks that no service uses.
type stock struct{}

func (stock) Inventory(context.Context) (*deploy.Inventory, error) {
	all := map[string]swarm.Secret{}
	for _, stack := range []string{"platform", "business"} {
		name := stack + "_key_v1"
		all[name] = swarm.Secret{ID: stack, Spec: swarm.SecretSpec{Annotations: swarm.Annotations{
			Name: name, Labels: map[string]string{compose.LabelOwner: owner, compose.LabelStack: stack},
		}}}
	}
	return &deploy.Inventory{Secrets: all}, nil
}

func (stock) Collect(context.Context, []deploy.Version, deploy.Retention, func(deploy.Event) error) (removed, used []deploy.Version, err error) {
	return nil, nil, nil
}

// records are those of a stack.
type records string

func (r records) Deployed() (*record.GoodState, error) {
	return &record.GoodState{Owner: owner, StackName: string(r), Retention: record.Retention{Versions: 3}}, nil
}
func (r records) BriefGood(time.Time) ([]record.GoodState, error) { return nil, nil }
func (r records) PruneGood(time.Time) error                       { return nil }

// The survey of one stack leaves the times of the others' unused versions, so that old ones are
// removed in the end.
func TestUnusedOfSeveralStacks(t *testing.T) {
	opened, err := store.Open(t.TempDir(), owner, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close() //nolint:errcheck // only a test's
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for hour, stack := range []records{"platform", "business", "platform"} {
		from := inventory.Sources{Engine: stock{}, Records: stack, Usage: opened.Objects()}
		survey, err := inventory.Look(t.Context(), from, began.Add(time.Duration(hour)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := survey.Collect(t.Context(), func(deploy.Event) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	since, err := opened.Objects().Unused()
	if err != nil || !since["platform"].Equal(began) || !since["business"].Equal(began.Add(time.Hour)) {
		t.Errorf("unused since %v, %v", since, err)
	}
}

// A version that another stack of the node uses as an external one stays while a rollback of that stack
// may need it, also after that stack was taken off the list. It goes once the stack is removed.
func TestGoodStatesOfOtherStacks(t *testing.T) {
	opened, err := store.Open(t.TempDir(), owner, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close() //nolint:errcheck // only a test's
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	list := record.StackList{Stacks: []record.ListedStack{{Key: "platform"}}, Left: []record.LeftStack{{Key: "business", Stack: "business"}}}
	if err := opened.Lists().SaveStackList(list, nil); err != nil {
		t.Fatal(err)
	}
	for stack, secrets := range map[record.StackKey][]record.Object{"platform": nil, "business": {{Name: "platform_key_v1"}}, "gone": {{Name: "platform_key_v1"}}} {
		good := &record.GoodState{
			Owner: owner, StackName: string(stack), Commit: "79f141c9f3aa", At: now, Secrets: secrets, Retention: record.Retention{Versions: 1},
			Services: json.RawMessage("{}"),
		}
		if err := opened.Stack(stack).SaveOutcome(&record.Sync{State: record.Succeeded}, good); err != nil {
			t.Fatal(err)
		}
	}
	kept := func() string {
		t.Helper()
		own := opened.Stack("platform")
		survey, err := inventory.Look(t.Context(), inventory.Sources{Engine: stock{}, Records: own, Usage: opened.Objects(), Others: opened.Lists().GoodBut("platform")}, now)
		if err != nil || len(survey.Versions) != 1 {
			t.Fatalf("%+v, %v", survey, err)
		}
		return strings.Join(survey.Versions[0].Kept, "; ")
	}
	if got := kept(); !strings.Contains(got, "good state of the stack business of 2026-01-01 00:00 79f141c9f3") {
		t.Errorf("stays: %q", got)
	}
	if err := opened.Stack("business").SaveRemoved(&record.Sync{}); err != nil {
		t.Fatal(err)
	}
	if got := kept(); got != "" {
		t.Errorf("then it stays: %q", got)
	}
}
