package record

import (
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
)

// Gate is the last answer of one gate about a plan.
type Gate struct {
	Name    GateName  `json:"name"`
	Waiting string    `json:"waiting,omitempty"` // what it waits for; "" when the plan passed
	Passed  string    `json:"passed,omitempty"`  // why it passed, where that is worth knowing
	Since   time.Time `json:"since,omitzero"`    // start of the waiting
	Until   time.Time `json:"until,omitzero"`    // when it opens by itself, where that is known
	About   string    `json:"about,omitempty"`   // what it waits for, as a keyword; Since counts from its last change

	Unattended bool `json:"unattended,omitempty"` // it opens without a user's action
}

// Unattended reports whether a sync waits only for gates that open without a user's
// action, such as the node before this one.
func Unattended(s *Sync) bool {
	unattended := func(g Gate) bool { return g.Unattended }
	needed := func(g Gate) bool { return g.Waiting != "" && !g.Unattended }
	return s.State == Waiting && slices.ContainsFunc(s.Gates, unattended) && !slices.ContainsFunc(s.Gates, needed)
}

// Observed reports whether a sync waits because the agent only observes, or did so until
// another one took its place: its plan was made and reported, and not applied.
func Observed(s *Sync) bool {
	observes := func(g Gate) bool { return g.Waiting != "" && g.Name == GateObserve }
	return (s.State == Waiting || s.State == Superseded && !s.Wrote) && slices.ContainsFunc(s.Gates, observes)
}

// The sources of an approval.
const (
	FromGitLab = "gitlab" // approvals of the merge request
	FromNode   = "node"   // `agent approve` on the node
)

// Approval is the approval of a plan.
type Approval struct {
	PlanDigest   string       `json:"plan_digest"`
	Source       string       `json:"source"` // FromGitLab or FromNode
	By           []string     `json:"by"`
	MergeRequest int64        `json:"merge_request,omitempty"` // of the newest commit
	Earlier      []int64      `json:"earlier,omitempty"`       // the merge requests of the commits below it
	Reason       string       `json:"reason,omitempty"`
	Actor        *audit.Actor `json:"actor,omitempty"` // who approved on the node
	At           time.Time    `json:"at"`
}

// People names those who approved, marked with who vouches for the name. Records of older
// agents have names without marks.
func (a *Approval) People() []string {
	people := make([]string, 0, len(a.By))
	for _, name := range a.By {
		switch {
		case a.Source == FromNode:
			name = audit.NodeName(name)
		case !strings.Contains(name, " "): // not a username: the advisory board
			name = audit.GitLabName(name)
		}
		people = append(people, name)
	}
	return people
}

// Asked is what is remembered of a commit that needs approval.
type Asked struct {
	// PlanDigest is the digest of the first plan that was made for the commit. An approval
	// in GitLab, which does not know plans, counts for that plan.
	PlanDigest string    `json:"plan_digest"`
	Unresolved bool      `json:"unresolved,omitempty"` // an image's digest was not known at that time
	At         time.Time `json:"at"`
	Given      *Approval `json:"given,omitempty"` // the last approval on the node
}

// Override is a user's decision that a freeze does not hold for a sync.
type Override struct {
	Actor  audit.Actor `json:"actor"`
	Reason string      `json:"reason"`
	At     time.Time   `json:"at"`
}

// Chosen is a user's request for a tag, which need not be the newest one.
type Chosen struct {
	Actor audit.Actor `json:"actor"`
	At    time.Time   `json:"at"`
	Over  string      `json:"over,omitempty"` // the tag that was followed at that time: only newer ones replace the chosen one
}

// Pause keeps an agent from starting rollouts.
type Pause struct {
	Actor  audit.Actor `json:"actor"`
	Reason string      `json:"reason"`
	Since  time.Time   `json:"since"`
	Until  time.Time   `json:"until,omitzero"` // zero: until a user resumes
}

// Over reports whether a pause has ended by itself.
func (p *Pause) Over(now time.Time) bool { return !p.Until.IsZero() && !now.Before(p.Until) }

// Group is the other nodes of a blue-green rollout. The nodes of a group roll back
// together.
type Group struct {
	Nodes    []string             `json:"nodes"`              // besides this one
	Back     bool                 `json:"back,omitempty"`     // this node rolls back automatically when another one fails
	Base     uint64               `json:"base,omitempty"`     // the sync of the good state to return to; 0 for none
	Past     map[string]time.Time `json:"past,omitempty"`     // nodes that had failed before this one began, and when
	Complete bool                 `json:"complete,omitempty"` // all nodes have succeeded
	Failed   string               `json:"failed,omitempty"`   // the node that failed
}

// ScaledDown are the cron services that an apply scaled to 0 and that are not restored
// yet.
type ScaledDown struct {
	Stack    string            `json:"stack"`
	Services map[string]uint64 `json:"services"` // replicas of each before, by full name
}
