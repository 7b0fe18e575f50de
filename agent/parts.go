package agent

import (
	"context"
	"log/slog"
	"time"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/newest"
	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/readiness"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/cosign"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/secrets"
)

// engine is the Swarm that the stacks run on.
type engine interface {
	rollout.Engine
	ObserveServices(ctx context.Context, stackName string) (deploy.LiveServices, error)
	ObserveChanged(ctx context.Context, stackName string, last deploy.Answer) (deploy.LiveServices, deploy.Answer, error)
	ObserveStacks(ctx context.Context, stackNames []string, last deploy.Answer) (map[string]deploy.LiveServices, deploy.Answer, error)
	Inventory(ctx context.Context) (*deploy.Inventory, error)
	RemoveStack(ctx context.Context, what deploy.Departure, note func(deploy.Event) error) (kept, busy []string, err error)
	Collect(ctx context.Context, due []deploy.Version, keep deploy.Retention, note func(deploy.Event) error) (removed, used []deploy.Version, err error)
}

// tasks are the tasks of that Swarm.
type tasks interface {
	health.Tasks
	FollowDeaths(ctx context.Context, died func(stack string))
}

// reports takes the commit statuses and deployments for GitLab.
type reports interface {
	Enqueue(report gitlab.Report) error
	Last(of gitlab.Report) (gitlab.State, error)
	Deploy(step gitlab.Deployment) error
	Health() gitlab.Health
}

// anchors takes the head of the audit log to places outside of the node.
type anchors interface {
	Moved()
	Health() []anchor.Health
}

// Parts are what an agent works with.
type Parts struct {
	Settings  settings.Settings
	Version   string
	Log       *slog.Logger
	Source    signing.Repository
	Engine    engine
	Tasks     tasks                            // nil: health is judged by the numbers of tasks
	Keys      func() (*secrets.Keyring, error) // called at each sync that decrypts
	KeyState  func() string                    // differs after the key files have changed; nil: there are none
	Vault     desired.Vault                    // where references to Vault are read; zero: nowhere
	Store     *store.Store
	Reports   reports               // nil: no statuses are sent to GitLab
	Tokens    func() []tokens.State // gives the state of each GitLab token; nil: there are none
	Newest    func() newest.Known   // versions of secrets in Vault; nil: it is not asked
	GitLab    *gitlab.Client        // nil: GitLab is not asked
	Statuses  gates.Statuses        // of the other nodes; nil: those from GitLab
	Approvals gates.Approvals       // of merge requests; nil: those from GitLab
	Previews  *Previews             // the plans of merge requests; nil: none are shown
	Exec      rollout.Execer        // runs the commands of checks; nil: they fail
	Release   readiness.Engine      // what the release gates ask of the engine; nil: nothing
	Notices   publish.Notices       // notices to users; without an outbox none are sent
	Metrics   *metrics.Metrics
	Audit     *audit.Log      // of Store's folder
	Policy    *policy.Current // in force; nil: the settings' policy, which stays
	Anchors   anchors         // of the audit log; nil: there are none
	Events    *events.Ring    // takes what happens; nil: it is not published

	// Render makes the stack of a node's files; nil: compose.Render does. A test that
	// renders the same files many times gives a function that remembers.
	Render func(*manifests.Node, *secrets.Set, compose.Options) (*compose.Stack, error)

	Rested func() // called when the loop begins to wait for the next look; nil: nothing is

	images *signing.Images // which the policy demands signatures of; New makes it

	FirstLook time.Duration       // how long Run waits before it looks
	Random    func(n int64) int64 // gives a number below n, for the jitter of waits; nil: math/rand does

	signed signing.Repository // Source behind the demand for signatures; what is read through it is not on record
	gate   *signing.Gate      // that demand
}

// Previews are what the plans of merge requests need besides what the stacks have.
type Previews struct {
	Branch    string        // that merge requests go into
	Heads     func() uint64 // of the followed repository: changes when a branch has moved
	Requests  preview.Requests
	Approvals preview.Approvals
	Notes     preview.Notes
}

// complete fills in what is not given, and puts the demand for signatures in front of the source.
func (p *Parts) complete() {
	if p.GitLab != nil && p.Statuses == nil {
		p.Statuses = p.GitLab
	}
	if p.GitLab != nil && p.Approvals == nil {
		p.Approvals = p.GitLab
	}
	if p.Policy == nil {
		p.Policy = policy.NewCurrent(p.Settings.Policy)
	}
	p.gate = signing.New(func() *policy.Signers { return p.Policy.Policy().Demands() }, p.Source)
	p.Source = signing.NewSource(p.Source, p.gate)
	p.signed = p.Source
	var login signing.Login // in registries; nil without an engine
	if p.Release != nil {
		login = p.Release.Login
	}
	p.images = signing.NewImages(cosign.Options{CAFile: p.Settings.CAFile, Bytes: p.Settings.Limits.OrDefault().AnswerBytes}, login)
	p.Notices.Bind(func(address string) error {
		return desired.Bounds{Policy: p.Policy.Policy()}.Webhook(address, fault.Place{})
	})
}

// auditMoved has the head of the audit log anchored, if it is a new one.
func (p *Parts) auditMoved() {
	if p.Anchors != nil {
		p.Anchors.Moved()
	}
}

// notes writes the entries to the audit log that belong to no running attempt at a stack; its
// name is "" for the only one, and for those of the node.
func (p *Parts) notes(stack string) *journal.Notes {
	return &journal.Notes{Stack: stack, Log: p.Audit, Heads: p.Store, Moved: p.auditMoved}
}
