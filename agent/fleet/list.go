package fleet

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// Member is a node of an environment, with the commit that it is at.
type Member struct {
	Name    string            `json:"node"`
	State   State             `json:"state"`
	Gates   []record.GateName `json:"gates,omitempty"`
	Text    string            `json:"text,omitempty"` // what its status says, or what a user does next
	Since   time.Time         `json:"since,omitzero"`
	Ignored string            `json:"ignored,omitempty"`
	Verdict string            `json:"verdict"`
	Health  health.State      `json:"health,omitempty"` // "" if it is not known: statuses do not say it
	Commit  string            `json:"commit,omitempty"` // that the state is about
	Release string            `json:"release,omitempty"`
	Source  string            `json:"source"`          // gitlab, or api for the agent itself
	Error   string            `json:"error,omitempty"` // why the agent itself did not answer
}

// Line gives the state in words, without the node's name.
func (m Member) Line() string {
	return Node{m.Name, m.State, m.Gates, m.Text, m.Since, m.Ignored}.Line()
}

// Troubled reports whether a user has to look after the node.
func (m Member) Troubled() bool {
	return m.State == Failed || m.State == Held || m.State == Silent || m.Error != "" || m.Health != "" && m.Health != health.Healthy
}

// lister lists the commits of a branch, beside what Source does.
type lister interface {
	Source
	Commits(ctx context.Context, branch string, most int64) ([]string, error)
}

// Agent is the API of a node's agent.
type Agent interface {
	Status(ctx context.Context) (report.Status, error)
}

// List lists the nodes of an environment.
type List struct {
	GitLab      lister
	Environment Environment
	Branch      string
	Agents      map[string]Agent // by node, where its API is known
}

const (
	depth    = 20               // commits that are searched for a status of each node
	answerIn = 10 * time.Second // how long an agent is asked
)

// Read gives the nodes of config.yml at the newest commit of the branch, those in trouble
// first. An error is one of GitLab: an agent that does not answer is in its row.
func (l List) Read(ctx context.Context) ([]Member, error) {
	commits, err := l.GitLab.Commits(ctx, l.Branch, depth)
	if err != nil || len(commits) == 0 {
		return []Member{}, err
	}
	names, err := l.Environment.Nodes(ctx, l.GitLab, commits[0])
	if err != nil {
		return nil, err
	}
	members, err := l.fromStatuses(ctx, commits, names)
	if err != nil {
		return nil, err
	}
	var asking sync.WaitGroup
	for i := range members {
		if agent := l.Agents[members[i].Name]; agent != nil {
			asking.Go(func() { members[i].ask(ctx, agent) })
		}
	}
	asking.Wait()
	slices.SortStableFunc(members, func(a, b Member) int {
		return cmp.Or(rank(a.Troubled())-rank(b.Troubled()), slices.Index(order, a.State)-slices.Index(order, b.State))
	})
	return members, ctx.Err()
}

func rank(troubled bool) int {
	if troubled {
		return 0
	}
	return 1
}

// fromStatuses takes each node's status of the newest commit that has one.
func (l List) fromStatuses(ctx context.Context, commits, names []string) ([]Member, error) {
	members := make([]Member, len(names))
	for i, name := range names {
		members[i] = Member{Name: name, State: Silent, Verdict: string(Silent), Source: "gitlab"}
	}
	for n, commit := range commits {
		var missing []string
		for _, one := range members {
			if one.Commit == "" {
				missing = append(missing, one.Name)
			}
		}
		if len(missing) == 0 {
			break
		}
		nodes, err := l.Environment.read(ctx, l.GitLab, commit, missing)
		if err != nil {
			return nil, err
		}
		for _, node := range nodes {
			i := slices.Index(names, node.Name)
			if node.State != Silent {
				members[i] = Member{
					Name: node.Name, State: node.State, Gates: node.Gates, Text: node.Text, Since: node.Since, Ignored: node.Ignored,
					Commit: commit, Source: "gitlab",
				}
				members[i].judge(n > 0)
			} else {
				members[i].Ignored = cmp.Or(members[i].Ignored, node.Ignored)
			}
		}
	}
	return members, nil
}

// judge gives the verdict of a status; behind says that a newer commit has none of the node.
func (m *Member) judge(behind bool) {
	switch m.Verdict = string(m.State); {
	case m.State == Done && behind:
		m.Verdict = "behind"
	case m.State == Done:
		m.Verdict = "in sync"
	case m.State == Failed && strings.HasPrefix(m.Text, report.DegradedSince):
		m.Verdict, m.Health = string(health.Degraded), health.Degraded
	}
}

// ask asks the node's agent, whose answer replaces what GitLab says.
func (m *Member) ask(ctx context.Context, agent Agent) {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	status, err := agent.Status(ctx)
	if err != nil {
		m.Error = err.Error()
		return
	}
	m.Source, m.Health, m.Release = "api", "", ""
	m.Gates, m.Text, m.Ignored = nil, status.Next, ""
	if status.Health != nil {
		m.Health = status.Health.State
	}
	if applied := status.Applied; applied != nil {
		m.Commit, m.Release, m.Since = applied.Commit, applied.Release, applied.At
	}
	word, rest := report.Headline(&status)
	m.Verdict = strings.TrimSpace(word + " " + rest)
	m.State = stateOf(&status)
	if sync := status.Sync; sync != nil && sync.State == record.Waiting {
		m.Text = sync.Waiting
		if wait, waits := report.ParseWait(report.Description(sync, status.Environment+"/"+status.Node)); waits {
			m.Gates = wait.Gates
		}
	}
}

// stateOf gives the state of a node whose agent was asked.
func stateOf(status *report.Status) State {
	sync := status.Sync
	switch {
	case sync != nil && sync.State == record.Waiting:
		wait, _ := report.ParseWait(report.Description(sync, ""))
		if wait.User {
			return Held
		}
		return Waiting
	case sync != nil && !sync.State.Final():
		return Rolling
	case report.StateOf(status) == report.Alarm:
		return Failed
	case status.InSync && status.Pause == nil:
		return Done
	case status.Pause != nil || status.Pinned != nil || len(status.Drift) > 0:
		return Held
	}
	return Waiting
}
