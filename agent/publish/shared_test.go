package publish_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// book is the outbox of reports: it takes what has news, and remembers the last of each name.
type book struct{ told []gitlab.Report }

func (b *book) Enqueue(r gitlab.Report) error {
	b.told = append(b.told, r)
	return nil
}

func (b *book) Last(of gitlab.Report) (last gitlab.State, err error) {
	for _, one := range b.told {
		if one.Name == of.Name && one.Commit == of.Commit {
			last = one.State
		}
	}
	return last, nil
}

func syncOf(state record.State, unchanged bool) *record.Sync {
	return &record.Sync{ID: 4, Commit: strings.Repeat("1", 40), Ref: "master", State: state, Unchanged: unchanged, Started: time.Now(), Summary: "unchanged"}
}

func TestShared(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	for name, test := range map[string]struct {
		spares func() bool
		state  record.State
		want   []string
	}{
		"by default":              {nil, record.Succeeded, []string{"coin-agent/sandbox/node3 success"}},
		"spared":                  {yes, record.Succeeded, nil},
		"other nodes wait for it": {no, record.Succeeded, []string{"coin-agent/sandbox/node3 success"}},
		"the node has failed":     {yes, record.Failed, []string{"coin-agent/sandbox/node3 failed"}},
		"it was rolled back":      {yes, record.RolledBack, []string{"coin-agent/sandbox/node3 failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			told := &book{}
			p := &publish.Publisher{Node: report.Node{Environment: "sandbox", Name: "node3"}, Link: func(string) string { return "" }, Statuses: told, Spares: test.spares}
			if err := p.Sync(syncOf(test.state, true)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, lines(told)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A commit that the node refused first, such as one of a branch whose history was rewritten, does not
// keep that status: not even where statuses are spared.
func TestSharedAfterRefusal(t *testing.T) {
	told := &book{}
	p := &publish.Publisher{Node: report.Node{Environment: "sandbox", Name: "node3"}, Link: func(string) string { return "" }, Statuses: told, Spares: func() bool { return true }}
	for _, sync := range []*record.Sync{syncOf(record.Failed, false), syncOf(record.Succeeded, true)} {
		if err := p.Sync(sync); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"coin-agent/sandbox/node3 failed", "coin-agent/sandbox/node3 success"}, lines(told)); diff != "" {
		t.Error(diff)
	}
}

// Another attempt at a commit whose outcome is known, as when a drift is not put back because a newer
// commit comes, does not take the outcome from GitLab.
func TestNoOutcomeIsCanceled(t *testing.T) {
	for name, test := range map[string]struct{ states, want []string }{
		"never told":      {[]string{"superseded"}, []string{"canceled"}},
		"it waited":       {[]string{"waiting", "superseded"}, []string{"pending", "canceled"}},
		"it succeeded":    {[]string{"running", "succeeded", "superseded"}, []string{"running", "success"}},
		"it failed":       {[]string{"running", "failed", "superseded"}, []string{"running", "failed"}},
		"it wrote anew":   {[]string{"succeeded", "running", "superseded"}, []string{"success", "running", "canceled"}},
		"it waited again": {[]string{"failed", "waiting", "superseded"}, []string{"failed", "pending", "canceled"}},
	} {
		t.Run(name, func(t *testing.T) {
			told := &book{}
			p := &publish.Publisher{Node: report.Node{Environment: "sandbox", Name: "node3"}, Link: func(string) string { return "" }, Statuses: told}
			for _, state := range test.states {
				if err := p.Sync(syncOf(record.State(state), false)); err != nil {
					t.Fatal(err)
				}
			}
			var states []string
			for _, line := range lines(told) {
				states = append(states, strings.TrimPrefix(line, "coin-agent/sandbox/node3 "))
			}
			if diff := cmp.Diff(test.want, states); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Of a node with several stacks GitLab hears of the commit if it concerns one of them, whichever is
// first.
func TestSharedByStacks(t *testing.T) {
	const node, a, b = "coin-agent/sandbox/node3", "coin-agent/sandbox/node3/a", "coin-agent/sandbox/node3/b"
	for name, test := range map[string]struct {
		concerned string
		want      []string
	}{
		"none":       {"", nil},
		"the first":  {"a", []string{a + " success", node + " success"}},
		"the second": {"b", []string{b + " success", node + " success"}},
	} {
		t.Run(name, func(t *testing.T) {
			told := &book{}
			sum := &publish.Sum{Name: node, Statuses: told, Stacks: func() []string { return []string{"a", "b"} }}
			for _, stack := range []string{"a", "b"} {
				p := &publish.Publisher{
					Node: report.Node{Environment: "sandbox", Name: "node3"}, Stack: stack, Link: func(string) string { return "" },
					Statuses: told, Sum: sum, Spares: func() bool { return true },
				}
				if err := p.Sync(syncOf(record.Succeeded, stack != test.concerned)); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, lines(told)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// After a restart the node's status of a commit is that of before, whatever corrections of drift ran
// or were cut off since: these told GitLab nothing.
func TestSumAfterRestart(t *testing.T) {
	failed, cutOff, corrected := syncOf(record.Failed, false), syncOf(record.Running, false), syncOf(record.RolledBack, false)
	for _, one := range []*record.Sync{cutOff, corrected} {
		one.Trigger, one.Rollback = record.OnDrift, &record.Rollback{}
	}
	history := []record.Sync{*cutOff} // the newest first, as the state file gives it
	for range 2 * publish.Remembered {
		history = append(history, *corrected)
	}
	history = append(history, *failed)
	enough := publish.Enough()
	for i := range history {
		if enough(&history[i]) {
			t.Fatalf("sync %d of %d ends the history", i, len(history))
		}
	}
	told := &book{}
	sum := &publish.Sum{Name: "coin-agent/sandbox/node3", Statuses: told, Stacks: func() []string { return []string{"a", "b"} }}
	of := func(stack string) *publish.Publisher {
		return &publish.Publisher{
			Node: report.Node{Environment: "sandbox", Name: "node3"}, Stack: stack, Link: func(string) string { return "" },
			Statuses: told, Sum: sum,
		}
	}
	sum.Recall(of("a"), history)
	if err := of("b").Sync(syncOf(record.Succeeded, false)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"coin-agent/sandbox/node3/b success", "coin-agent/sandbox/node3 failed"}, lines(told)); diff != "" {
		t.Error(diff)
	}
}

// The node's status of an older commit never runs again because it is not remembered what another
// stack told of it.
func TestSumOfAnOlderCommit(t *testing.T) {
	told := &book{}
	sum := &publish.Sum{Name: "coin-agent/sandbox/node3", Statuses: told, Stacks: func() []string { return []string{"a", "b"} }}
	tell := func(stack string, sync *record.Sync) {
		t.Helper()
		p := &publish.Publisher{Node: report.Node{Environment: "sandbox", Name: "node3"}, Stack: stack, Link: func(string) string { return "" }, Statuses: told, Sum: sum}
		if err := p.Sync(sync); err != nil {
			t.Fatal(err)
		}
	}
	tell("a", syncOf(record.Succeeded, false))
	tell("b", syncOf(record.Succeeded, false))
	for i := range publish.Remembered {
		newer := syncOf(record.Succeeded, false)
		newer.Commit = strings.Repeat(string(rune('a'+i)), 40)
		tell("b", newer)
	}
	told.told = told.told[:3]
	degraded := syncOf(record.Succeeded, false)
	degraded.Degraded = "web"
	tell("a", degraded)
	tell("a", syncOf(record.Succeeded, false))
	want := []string{
		"coin-agent/sandbox/node3/a success", "coin-agent/sandbox/node3/b success", "coin-agent/sandbox/node3 success",
		"coin-agent/sandbox/node3/a failed", "coin-agent/sandbox/node3 failed", "coin-agent/sandbox/node3/a success",
	}
	if diff := cmp.Diff(want, lines(told)); diff != "" {
		t.Error(diff)
	}
}

func lines(told *book) (all []string) {
	for _, one := range told.told {
		all = append(all, one.Name+" "+string(one.State))
	}
	return all
}
