package publish_test

import (
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// deployed takes the deployments, before the status of the same step.
type deployed struct{ *book }

func (d deployed) Deploy(step gitlab.Deployment) error {
	d.told = append(d.told, gitlab.Report{Name: step.Environment, State: step.State, Target: "its own"})
	return nil
}

// TestLinks wants each status to link to a page, that of the node with several stacks, too, however
// far the stacks are.
func TestLinks(t *testing.T) {
	states := []record.State{record.Pending, record.Waiting, record.Running, record.Succeeded, record.Failed, record.RolledBack, record.Superseded}
	for _, first := range states {
		for _, second := range states {
			told := &book{}
			sum := &publish.Sum{Name: "coin-agent/sandbox/node3", Statuses: told, Stacks: func() []string { return []string{"a", "b"} }}
			for i, state := range []record.State{first, second} {
				stack := []string{"a", "b"}[i]
				p := &publish.Publisher{
					Node: report.Node{Environment: "sandbox", Name: "node3"}, Stack: stack, Statuses: told, Sum: sum, Deployments: deployed{told},
					Link: func(string) string { return "" }, Page: func(uint64) string { return "https://gitlab/page" },
				}
				for _, sync := range []*record.Sync{syncOf(record.Running, false), syncOf(state, false)} {
					if err := p.Sync(sync); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, one := range told.told {
				if one.Target == "" {
					t.Errorf("%s, %s: the status %s %s has no link", first, second, one.Name, one.State)
				}
			}
		}
	}
}

// TestDeploymentFirst wants a deployment to be told before the status that may link to it.
func TestDeploymentFirst(t *testing.T) {
	told := &book{}
	p := &publish.Publisher{Node: report.Node{Environment: "sandbox", Name: "node3"}, Statuses: told, Deployments: deployed{told}, Link: func(string) string { return "" }}
	sync := syncOf(record.Running, false)
	sync.Wrote = true
	sync.Entered = map[record.Stage]time.Time{record.StageApply: sync.Started}
	if err := p.Sync(sync); err != nil {
		t.Fatal(err)
	}
	if got := lines(told); len(got) != 2 || got[0] != "sandbox/node3 running" || got[1] != "coin-agent/sandbox/node3 running" {
		t.Errorf("%q", got)
	}
}
