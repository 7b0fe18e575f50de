// Package fleet takes the commit statuses of an environment's nodes in GitLab, and the answers
// of their agents where those can be asked. It gives what each node does with a commit. It
// needs no node and no engine, and guarantees that a status of a user who is not an agent's
// does not count, where the agents' users are named.
package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing/fstest" // the standard library's file system in memory
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// State is what a node does with a commit.
type State string

// The states of a node, those that need a user first.
const (
	Failed  State = "failed"
	Held    State = "waiting for a user"
	Silent  State = "no status"
	Rolling State = "rolling out"
	Waiting State = "waiting" // at a gate that opens by itself
	Planned State = "planned" // the plan of a merge request, which no node has begun
	Done    State = "succeeded"
)

// order is the order of the states in lists: nodes in trouble first.
var order = []State{Failed, Held, Silent, Rolling, Waiting, Planned, Done} //nolint:gochecknoglobals // a constant list

// Node is what a node does with a commit.
type Node struct {
	Name  string            `json:"node"`
	State State             `json:"state"`
	Gates []record.GateName `json:"gates,omitempty"` // at which it waits
	Text  string            `json:"text,omitempty"`  // the node's own words
	Since time.Time         `json:"since,omitzero"`
	// Ignored says why a newer status of the node does not count; "" for none.
	Ignored string `json:"ignored,omitempty"`
}

// Line gives the node's state in words, without its name.
func (n Node) Line() string {
	text := string(n.State)
	if len(n.Gates) > 0 {
		names := make([]string, 0, len(n.Gates))
		for _, gate := range n.Gates {
			names = append(names, string(gate))
		}
		text += " (" + strings.Join(names, ", ") + ")"
	}
	if n.Text != "" && n.Text != text {
		text += ": " + n.Text
	}
	if n.Ignored != "" {
		text += "; " + n.Ignored
	}
	return text
}

// statuses reads the commit statuses of a commit.
type statuses interface {
	Statuses(ctx context.Context, commit string) ([]gitlab.CommitStatus, error)
}

// repository reads commits and their files.
type repository interface {
	Commit(ctx context.Context, revision string) (string, error)
	File(ctx context.Context, commit, path string) ([]byte, error)
}

// branches lists the newest commits of a branch, the newest first.
type branches interface {
	Commits(ctx context.Context, branch string, most int64) ([]string, error)
}

// Environment is an environment of the repository.
type Environment struct {
	Name   string
	Agents []string // usernames whose statuses count; none: those of all users
	Plans  bool     // the statuses of the plans of merge requests count, instead of those of rollouts
}

// Nodes lists the names of the environment's nodes, as config.yml of a commit has them.
func (e Environment) Nodes(ctx context.Context, from repository, commit string) ([]string, error) {
	nodes, err := e.entries(ctx, from, commit)
	names := make([]string, 0, len(nodes))
	for _, node := range nodes {
		names = append(names, node.Name)
	}
	return names, err
}

// entries reads the list of nodes in config.yml of a commit.
func (e Environment) entries(ctx context.Context, from repository, commit string) ([]manifests.NodeConfig, error) {
	file := manifests.ConfigFile(e.Name)
	content, err := from.File(ctx, commit, file)
	if err != nil {
		return nil, err
	}
	if content == nil {
		return nil, fault.New(fault.Place{File: file}, "check the name of the environment, or commit that file: its nodes are listed there",
			"commit %s has no config.yml of environment %q", record.Short(commit), e.Name)
	}
	// What the nodes refuse in it, their statuses say.
	config, err := manifests.RecallConfig(fstest.MapFS{file: &fstest.MapFile{Data: content}}, e.Name)
	if err != nil {
		return nil, err
	}
	return config.Nodes, nil
}

// read gives what nodes do with a commit.
func (e Environment) read(ctx context.Context, from statuses, commit string, names []string) ([]Node, error) {
	entries, err := from.Statuses(ctx, commit)
	if err != nil {
		return nil, err
	}
	nodes := make([]Node, 0, len(names))
	for _, name := range names {
		nodes = append(nodes, e.node(name, entries))
	}
	return nodes, nil
}

// node judges the newest status of a node that counts. Its plans before a merge have statuses
// of another name.
func (e Environment) node(name string, entries []gitlab.CommitStatus) Node {
	node, status := Node{Name: name, State: Silent}, gates.StatusName(e.Name, name)
	if e.Plans {
		status += "/plan"
	}
	for _, entry := range slices.Backward(entries) {
		switch {
		case entry.Name != status:
		case len(e.Agents) == 0 || slices.Contains(e.Agents, entry.Author):
			if node.judge(entry); e.Plans && node.State == Done {
				node.State = Planned
			}
			return node
		case node.Ignored == "":
			node.Ignored = fmt.Sprintf("the status %s of %s does not count: gitlab_agents does not name this user", entry.State, entry.Author)
		}
	}
	return node
}

// judge takes over what a status says.
func (n *Node) judge(status gitlab.CommitStatus) {
	n.Text, n.Since = strings.TrimSpace(status.Description), status.Created
	if !status.Finished.IsZero() {
		n.Since = status.Finished
	}
	switch status.State {
	case gitlab.Success:
		n.State = Done
	case gitlab.Running:
		n.State = Rolling
	case gitlab.Pending:
		n.State = Rolling // it is about to, or tries again
		if wait, waits := report.ParseWait(status.Description); waits {
			n.State, n.Gates, n.Text = Waiting, wait.Gates, wait.Text
			if wait.User {
				n.State = Held
			}
		}
	case gitlab.Skipped: // a user has decided that it only observes
		n.State, n.Gates = Held, []record.GateName{record.GateObserve}
	case gitlab.Failed, gitlab.Canceled:
		n.State = Failed
	default:
		n.State = Failed
	}
}
