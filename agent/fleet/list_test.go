package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// agentOf is the API of an agent that answers with a status, or with an error.
type agentOf struct {
	status report.Status
	err    error
}

func (a agentOf) Status(context.Context) (report.Status, error) { return a.status, a.err }

const newer = "abcdef7890abcdef1234567890abcdef12345678"

const sixNodes = `environment: {name: sandbox, type: non-production}
nodes:
  - {name: node1, context: c1, stack: s1}
  - {name: node2, context: c2, stack: s2}
  - {name: node3, context: c3, stack: s3}
  - {name: node4, context: c4, stack: s4}
  - {name: node5, context: c5, stack: s5}
  - {name: node6, context: c6, stack: s6}
`

// TestList lists the nodes by GitLab and by their agents, those in trouble first.
func TestList(t *testing.T) {
	inWorld(t, func(w *world) {
		w.post("node1", gitlab.Success, "1 service updated")
		w.post("node2", gitlab.Failed, report.DegradedSince+": web 1/2; see `agent status`")
		w.post("node3", gitlab.Pending, "waiting for a user (approval): approve")
		w.post("node4", gitlab.Running, "rolling out")
		w.AddCommit(newer, "master")
		w.SetFile(newer, "environments/sandbox/config.yml", sixNodes)
		_, err := w.client.Commit(w.t.Context(), newer[:10])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.as("glpat-test-double-Secret1").Post(w.t.Context(), gitlab.Report{
			Commit: newer, Ref: "master", Name: "coin-agent/sandbox/node5", State: gitlab.Success, Description: "unchanged",
		}, 0); err != nil {
			t.Fatal(err)
		}
		list := fleet.List{GitLab: w.client, Environment: fleet.Environment{Name: "sandbox"}, Branch: "master"}
		want := func(want ...string) {
			t.Helper()
			members, err := list.Read(w.t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range members {
				got = append(got, fmt.Sprintf("%s %.4s %s %v %s", m.Name, m.Commit, m.Verdict, m.Health, m.Source))
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
		}
		want("node2 1234 degraded degraded gitlab", "node3 1234 waiting for a user  gitlab", "node6  no status  gitlab",
			"node4 1234 rolling out  gitlab", "node1 1234 no newer status  gitlab", "node5 abcd in sync  gitlab")
		for verdict, same := range map[string]func(node, earlier, commit string) (bool, error){
			"in sync": func(node, earlier, now string) (bool, error) {
				return node == "node1" && earlier == commit && now == newer, nil
			},
			"behind":          func(string, string, string) (bool, error) { return false, nil },
			"no newer status": func(string, string, string) (bool, error) { return false, errors.New("the clone lacks it") },
		} {
			list.Same = same
			want("node2 1234 degraded degraded gitlab", "node3 1234 waiting for a user  gitlab", "node6  no status  gitlab",
				"node4 1234 rolling out  gitlab", "node1 1234 "+verdict+"  gitlab", "node5 abcd in sync  gitlab")
		}
		list.Same = nil

		healthy := &health.Verdict{State: health.Healthy}
		applied := &report.AppliedStatus{Commit: newer, Release: "r7", At: time.Now()}
		list.Agents = map[string]fleet.Agent{
			"node1": agentOf{err: errors.New("no answer")},
			"node2": agentOf{status: report.Status{Environment: "sandbox", Node: "node2", Running: true, InSync: true, Health: healthy, Applied: applied}},
			"node4": agentOf{status: report.Status{Environment: "sandbox", Node: "node4", Running: true, Health: healthy, Applied: applied, Sync: &record.Sync{
				Commit: newer, State: record.Waiting, Waiting: "frozen", Gates: []record.Gate{{Name: record.GateFreeze, Waiting: "frozen", Unattended: true}},
			}}},
		}
		members, err := list.Read(w.t.Context())
		if err != nil || members[0].State != fleet.Held {
			t.Errorf("%+v, %v", members, err)
		}
		for _, m := range members {
			switch {
			case m.Name == "node1" && (m.Error != "no answer" || m.Verdict != "no newer status" || !m.Troubled()),
				m.Name == "node2" && (m.State != fleet.Done || m.Troubled() || m.Release != "r7" || m.Source != "api"),
				m.Name == "node4" && (m.State != fleet.Held || m.Line() != "waiting for a user (freeze): frozen"):
				t.Errorf("%+v", m)
			}
		}
	})
}

// TestListByAddress asks the agents at nodes[].url of config.yml. Where no agent answers, what
// GitLab says counts, and the node is not in trouble for that.
func TestListByAddress(t *testing.T) {
	inWorld(t, func(w *world) {
		w.SetFile(commit, "environments/sandbox/config.yml", `environment: {name: sandbox, type: non-production}
nodes:
  - {name: node1, context: c1, stack: s1, url: "https://node1.example.com:9443"}
  - {name: node2, context: c2, stack: s2, url: "https://www.example.com"}
  - {name: node3, context: c3, stack: s3, url: "https://node3.example.com/path"}
  - {name: node4, context: c4, stack: s4}
`)
		for _, node := range []string{"node1", "node2", "node3", "node4"} {
			w.post(node, gitlab.Success, "1 service updated")
		}
		var dialed []string
		list := fleet.List{
			GitLab: w.client, Environment: fleet.Environment{Name: "sandbox"}, Branch: "master",
			Dial: func(url string) (fleet.Agent, error) {
				dialed = append(dialed, url)
				switch url {
				case "https://node1.example.com:9443":
					return agentOf{status: report.Status{Environment: "sandbox", Node: "node1", Running: true, InSync: true, Health: &health.Verdict{State: health.Healthy}}}, nil
				case "https://www.example.com":
					return agentOf{err: errors.New("it is not the API of an agent")}, nil
				}
				return nil, errors.New("the address is not valid")
			},
		}
		members, err := list.Read(w.t.Context())
		if err != nil || len(dialed) != 3 {
			t.Fatalf("%v, dialed %q", err, dialed)
		}
		var got []string
		for _, m := range members {
			got = append(got, fmt.Sprintf("%s %s %s %t %s %s", m.Name, m.State, m.Source, m.Troubled(), m.URL, m.Error))
		}
		want := []string{
			"node1 succeeded api false https://node1.example.com:9443 ",
			"node2 succeeded gitlab false https://www.example.com it is not the API of an agent",
			"node3 succeeded gitlab false https://node3.example.com/path the address is not valid",
			"node4 succeeded gitlab false  ",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
	})
}

// TestListOfTags lists nodes that follow tags: the newest tag is the one by the date in its
// name, and others do not count.
func TestListOfTags(t *testing.T) {
	inWorld(t, func(w *world) {
		w.SetFile(newer, "environments/sandbox/config.yml", config)
		w.AddCommit(newer)
		w.SetTag("2026-03-02-abcdef7890", newer)
		w.SetTag("2026-02-27-1234567890", commit)
		w.SetTag("nightly", "1111111111111111111111111111111111111111")
		w.post("node1", gitlab.Success, "1 service updated")
		w.post("node2", gitlab.Success, "1 service updated")
		if _, err := w.as("glpat-test-double-Secret1").Post(w.t.Context(), gitlab.Report{
			Commit: newer, Ref: "2026-03-02-abcdef7890", Name: "coin-agent/sandbox/node2", State: gitlab.Pending, Description: "waiting for a user (approval): approve",
		}, 0); err != nil {
			t.Fatal(err)
		}
		list := fleet.List{GitLab: w.client, Environment: fleet.Environment{Name: "sandbox"}, Tags: regexp.MustCompile(`^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`)}
		members, err := list.Read(w.t.Context())
		if err != nil || len(members) != 2 {
			t.Fatalf("%+v, %v", members, err)
		}
		for i, want := range []string{"node2 2026-03-02-abcdef7890 waiting for a user", "node1 2026-02-27-1234567890 no newer status"} {
			if got := members[i].Name + " " + members[i].Tag + " " + members[i].Verdict; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		list.Tags = regexp.MustCompile("^v")
		if members, err = list.Read(w.t.Context()); err != nil || len(members) != 0 {
			t.Errorf("without a tag: %+v, %v", members, err)
		}
	})
}

// TestListRefusesOtherNodes checks that the answer of another node's agent, or of another
// environment's, does not count.
func TestListRefusesOtherNodes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.SetFile(commit, "environments/sandbox/config.yml", sixNodes)
		w.post("node1", gitlab.Failed, "rollout failed at verify")
		list := fleet.List{GitLab: w.client, Environment: fleet.Environment{Name: "sandbox"}, Branch: "master"}
		for why, status := range map[string]report.Status{
			`the agent there is that of "sandbox/node2"`:    {Environment: "sandbox", Node: "node2"},
			`the agent there is that of "production/node1"`: {Environment: "production", Node: "node1"},
			`the agent there is that of "/"`:                {},
		} {
			status.Running, status.InSync, status.Health = true, true, &health.Verdict{State: health.Healthy}
			list.Agents = map[string]fleet.Agent{"node1": agentOf{status: status}}
			members, err := list.Read(w.t.Context())
			at := slices.IndexFunc(members, func(m fleet.Member) bool { return m.Name == "node1" })
			if err != nil || at < 0 {
				t.Fatalf("%+v, %v", members, err)
			}
			if m := members[at]; m.State != fleet.Failed || m.Source != "gitlab" || m.Error != why || !m.Troubled() {
				t.Errorf("%+v, want %s", m, why)
			}
		}
	})
}

// ofNode is an agent that many nodes share, as one of them.
type ofNode struct {
	agent *asked
	node  string
}

func (o ofNode) Status(ctx context.Context) (report.Status, error) {
	status, err := o.agent.Status(ctx)
	status.Environment, status.Node = "sandbox", o.node
	return status, err
}

// asked counts how many agents are asked at the same time. Each answers after a while.
type asked struct {
	mu        sync.Mutex
	now, most int
	takes     time.Duration
}

func (a *asked) Status(ctx context.Context) (report.Status, error) {
	a.mu.Lock()
	a.now++
	a.most = max(a.most, a.now)
	a.mu.Unlock()
	defer func() { a.mu.Lock(); a.now--; a.mu.Unlock() }()
	select {
	case <-time.After(a.takes):
		return report.Status{Running: true, InSync: true}, nil
	case <-ctx.Done():
		return report.Status{}, ctx.Err()
	}
}

// TestListAsksFewAtOnce asks some agents at the same time, and all of them within a limit: those
// that do not answer do not hold up the list.
func TestListAsksFewAtOnce(t *testing.T) {
	const nodes = 100
	text := "environment: {name: sandbox, type: non-production}\nnodes:\n"
	for i := range nodes {
		text += fmt.Sprintf("  - {name: n%d, context: c, stack: s}\n", i)
	}
	for name, test := range map[string]struct {
		takes, most time.Duration // of an answer, and of all
		answered    int
	}{
		"quick": {100 * time.Millisecond, 2 * time.Second, nodes},
		"slow":  {2 * time.Second, 30 * time.Second, nodes},
		"away":  {time.Hour, 31 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.SetFile(commit, "environments/sandbox/config.yml", text)
				agent := &asked{takes: test.takes}
				list := fleet.List{GitLab: w.client, Environment: fleet.Environment{Name: "sandbox"}, Branch: "master", Agents: map[string]fleet.Agent{}}
				for i := range nodes {
					name := fmt.Sprintf("n%d", i)
					list.Agents[name] = ofNode{agent, name}
				}
				begun := time.Now()
				members, err := list.Read(w.t.Context())
				answered, unasked := 0, 0
				for _, one := range members {
					if one.Source == "api" {
						answered++
					}
					if strings.HasPrefix(one.Error, "it was not asked: ") {
						unasked++
					}
				}
				if err != nil || len(members) != nodes || answered != test.answered || agent.most > 8 || time.Since(begun) > test.most {
					t.Errorf("%d of %d answered in %s, %d at the same time: %v", answered, len(members), time.Since(begun), agent.most, err)
				}
				if waits := answered == 0; waits != (unasked > 0) {
					t.Errorf("%d were not asked", unasked)
				}
			})
		})
	}
}
