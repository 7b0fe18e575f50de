package fleet

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/selection"
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
	URL     string            `json:"url,omitempty"`    // nodes[].url of config.yml
	Commit  string            `json:"commit,omitempty"` // that the state is about
	Tag     string            `json:"tag,omitempty"`    // of the commit, where tags are followed
	Release string            `json:"release,omitempty"`
	Source  string            `json:"source"`          // gitlab, or api for the agent itself
	Error   string            `json:"error,omitempty"` // why the agent itself did not answer

	named bool // a user named the agent's address
}

// Line gives the state in words, without the node's name.
func (m Member) Line() string {
	return Node{m.Name, m.State, m.Gates, m.Text, m.Since, m.Ignored}.Line()
}

// Troubled reports whether a user has to look after the node. At the url of config.yml there
// may be no agent's API: without an answer from there the statuses count.
func (m Member) Troubled() bool {
	return m.State == Failed || m.State == Held || m.State == Silent || m.named && m.Error != "" || m.Health != "" && m.Health != health.Healthy
}

// lister lists the tags, beside what Source does.
type lister interface {
	Source
	Tags(ctx context.Context, most int64) ([]gitlab.Tag, error)
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
	Depth       int            // commits that are searched for a status of each node; 0: 20
	Tags        *regexp.Regexp // the nodes follow the tags that match; nil: they follow Branch

	Agents map[string]Agent                // by node, where a user named the address of its API
	Dial   func(url string) (Agent, error) // gives the API at nodes[].url of config.yml; nil: it is not asked

	// Same reports whether a node reads the same in two commits: with unchanged_statuses: false
	// it posts no status of the later one. An error means that it is not known; nil: it never is.
	Same func(node, earlier, commit string) (bool, error)
}

// The verdicts on a node that has succeeded. The later ones are on one that has no status of the
// newest commit.
const (
	inSync  = "in sync"
	behind  = "behind"          // its files are others there
	unknown = "no newer status" // it is behind, or posts none of a commit that does not concern it
)

const (
	depth    = 20              // commits that are searched, unless Depth says otherwise
	mostTags = 300             // that are read, those of the newest commits
	answerIn = 6 * time.Second // how long an agent is asked; the page of the nodes waits longer

	atOnce = 8                // agents that are asked at the same time: their answers are in memory
	askIn  = 30 * time.Second // how long all of them are asked
)

// Read gives the nodes of config.yml at the newest commit of the branch, or at the newest tag,
// those in trouble first. An error is one of GitLab: an agent that does not answer is in its row.
func (l List) Read(ctx context.Context) ([]Member, error) {
	commits, err := l.commits(ctx)
	if err != nil || len(commits) == 0 {
		return []Member{}, err
	}
	entries, err := l.Environment.entries(ctx, l.GitLab, commits[0].Commit)
	if err != nil {
		return nil, err
	}
	members := make([]Member, len(entries))
	for i, entry := range entries {
		members[i] = Member{Name: entry.Name, URL: entry.URL, State: Silent, Verdict: string(Silent), Source: "gitlab"}
	}
	if err := l.fromStatuses(ctx, commits, members); err != nil {
		return nil, err
	}
	l.askAgents(ctx, members)
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

// commits gives what the nodes may be at, the newest first: the commits of the branch, or the
// tags in the order in which a node follows them.
func (l List) commits(ctx context.Context) (commits []gitlab.Tag, err error) {
	most := cmp.Or(l.Depth, depth)
	if l.Tags == nil {
		hashes, err := l.GitLab.Commits(ctx, l.Branch, int64(most))
		for _, hash := range hashes {
			commits = append(commits, gitlab.Tag{Commit: hash})
		}
		return commits, err
	}
	tags, err := l.GitLab.Tags(ctx, mostTags)
	if err != nil {
		return nil, err
	}
	byName, names := map[string]gitlab.Tag{}, make([]string, 0, len(tags))
	for _, tag := range tags {
		byName[tag.Name], names = tag, append(names, tag.Name)
	}
	for _, name := range selection.Newest(l.Tags, names) {
		commits = append(commits, byName[name])
	}
	return commits[:min(len(commits), most)], nil
}

// fromStatuses takes each node's status of the newest commit that has one.
func (l List) fromStatuses(ctx context.Context, commits []gitlab.Tag, members []Member) error {
	for n, at := range commits {
		missing := map[string]*Member{}
		for i := range members {
			if members[i].Commit == "" {
				missing[members[i].Name] = &members[i]
			}
		}
		if len(missing) == 0 {
			break
		}
		nodes, err := l.Environment.read(ctx, l.GitLab, at.Commit, slices.Sorted(maps.Keys(missing)))
		if err != nil {
			return err
		}
		for _, node := range nodes {
			member := missing[node.Name]
			if node.State == Silent {
				member.Ignored = cmp.Or(member.Ignored, node.Ignored)
				continue
			}
			member.State, member.Gates, member.Text, member.Since, member.Ignored = node.State, node.Gates, node.Text, node.Since, node.Ignored
			member.Commit, member.Tag = at.Commit, at.Name
			member.judge()
			if n > 0 && member.Verdict == inSync {
				member.Verdict = l.later(*member, commits[0].Commit)
			}
		}
	}
	return nil
}

// askAgents asks the agents whose address is known, some at the same time. Those whose turn does
// not come in time, since others do not answer, are not asked.
func (l List) askAgents(ctx context.Context, members []Member) {
	ctx, cancel := context.WithTimeout(ctx, askIn)
	defer cancel()
	turns := make(chan struct{}, atOnce)
	var asking sync.WaitGroup
	for i := range members {
		member, agent := &members[i], l.Agents[members[i].Name]
		member.named = agent != nil
		if agent == nil && l.Dial != nil && member.URL != "" {
			var err error
			if agent, err = l.Dial(member.URL); err != nil {
				member.Error = err.Error()
				continue
			}
		}
		if agent == nil {
			continue
		}
		asking.Go(func() {
			select {
			case turns <- struct{}{}:
				defer func() { <-turns }()
				member.ask(ctx, agent, l.Environment.Name)
			case <-ctx.Done():
				member.Error = "it was not asked: too many others did not answer within " + askIn.String()
			}
		})
	}
	asking.Wait()
}

// later gives the verdict on a node in sync with an earlier commit, which has no status of the
// newest one.
func (l List) later(m Member, newest string) string {
	if l.Same == nil {
		return unknown
	}
	switch same, err := l.Same(m.Name, m.Commit, newest); {
	case err != nil:
		return unknown
	case same:
		return inSync
	}
	return behind
}

// judge gives the verdict of a status.
func (m *Member) judge() {
	switch m.Verdict = string(m.State); {
	case m.State == Done:
		m.Verdict = inSync
	case m.State == Failed && strings.HasPrefix(m.Text, report.DegradedSince):
		m.Verdict, m.Health = string(health.Degraded), health.Degraded
	}
}

// ask asks the node's agent, whose answer replaces what GitLab says. The answer of another node's
// does not count.
func (m *Member) ask(ctx context.Context, agent Agent, environment string) {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	status, err := agent.Status(ctx)
	if err != nil {
		m.Error = err.Error()
		return
	}
	if status.Environment != environment || status.Node != m.Name {
		m.Error = fmt.Sprintf("the agent there is that of %.100q", status.Environment+"/"+status.Node)
		return
	}
	m.Source, m.Health, m.Release = "api", "", ""
	m.Gates, m.Text, m.Ignored = nil, status.Next, ""
	if status.Health != nil {
		m.Health = status.Health.State
	}
	if applied := status.Applied; applied != nil {
		if m.Commit != applied.Commit {
			m.Tag = ""
		}
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
