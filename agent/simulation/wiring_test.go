package simulation_test

import (
	"context"
	"errors"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desk"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/secrets"
)

// All that is known of how an agent is made and asked is in this file.

// parts is one agent and what it is made of.
type parts struct {
	agent  *agent.Agent
	desk   *desk.Desk
	store  *store.Store
	audit  *audit.Log
	outbox *gitlab.Outbox
	mail   *notify.Outbox

	anchors *anchor.Outbox
}

// auditIssue gets the heads of the audit log.
const auditIssue = 17

// ada is the user who asks.
var ada = audit.Actor{By: audit.ByUser, Name: "ada", UID: "1000"}

// assemble makes an agent on the world's files. Its side effects pass the process.
func (p *process) assemble() (*parts, error) {
	w := p.w
	made := &parts{}
	var err error
	if made.store, err = store.Open(w.dir, owner, w.log); err == nil {
		err = errors.Join(made.store.SaveReading(record.Reading{}), forgive(made.store)) // no kill of this world is the revision's doing
	}
	if err != nil {
		return nil, err
	}
	made.store.Around = p.around("state file")
	made.audit, err = journal.Open(w.dir, made.store, audit.Options{Environment: "sandbox", Node: "node3", Version: "simulated", Log: w.log})
	if err != nil {
		return nil, errors.Join(err, made.store.Close())
	}
	made.audit.Around = p.around("audit log")
	if w.log1.key, err = made.store.AuditKey(); err != nil {
		return nil, errors.Join(err, made.close())
	}
	client, err := gitlab.New(gitlab.Options{URL: "http://localhost", Project: "coin/coin-gitops", TokenFile: w.tokenFile, Transport: p})
	if err != nil {
		return nil, errors.Join(err, made.close())
	}
	made.outbox = gitlab.NewOutbox(client, made.store.Outbox(), w.log)
	made.anchors, err = anchor.NewOutbox(anchor.Options{
		Node: owner, Places: []anchor.Place{anchor.Issue{Notes: client, Number: auditIssue}}, Store: made.store, Head: made.audit.Head, Log: w.log, Random: w.jitter,
	})
	if err != nil {
		return nil, errors.Join(err, made.close())
	}
	made.mail, err = notify.NewOutbox(notify.Options{
		Senders: map[notify.Kind]notify.Sender{notify.KindEmail: postman{p}}, Store: made.store, Log: w.log, Random: w.jitter,
	})
	if err != nil {
		return nil, errors.Join(err, made.close())
	}
	requests := gitlab.NewRequests(client)
	engine := deploy.New(w.engine.Client(p.hooks()))
	chosen := settings.Default()
	chosen.Environment, chosen.Node, chosen.Branch, chosen.Interval = "sandbox", "node3", branch, interval
	chosen.StateDir, chosen.CheckDir, chosen.AllowRewrite = w.dir, w.dir, w.rewrites
	made.agent = agent.New(agent.Parts{
		Settings: chosen, Version: "simulated", Log: w.log, Source: w.git, Engine: engine, Tasks: deploy.TasksOf(engine), Exec: deploy.ContainersOf(engine),
		Keys: func() (*secrets.Keyring, error) { return w.keys, nil }, Store: made.store, Audit: made.audit,
		Reports: made.outbox, Anchors: made.anchors, Notices: publish.Notices{Outbox: made.mail}, GitLab: client,
		Metrics: metrics.New("sandbox", "node3", "simulated"), Random: w.jitter,
		Render: w.render(), Previews: &agent.Previews{Branch: branch, Heads: w.git.Heads, Requests: requests, Approvals: client, Notes: requests},
	})
	if w.layered {
		return made, nil
	}
	if made.desk, err = made.agent.Desk(""); err != nil {
		return nil, errors.Join(err, made.close())
	}
	return made, nil
}

// forgive forgets over which merge request the agent died.
func forgive(state *store.Store) error {
	previews := state.Previews(record.OnlyStack)
	book, err := previews.Previews()
	if err != nil || !book.Mark.Reading {
		return err
	}
	book.Mark.Reading = false
	return previews.SavePreviewMark(book.Mark)
}

func (m *parts) close() error { return errors.Join(m.audit.Close(), m.store.Close()) }

// services are what runs in an agent's process until its context ends.
func (m *parts) services() []func(context.Context) error {
	return []func(context.Context) error{m.agent.Run, m.outbox.Run, m.anchors.Run, m.mail.Run}
}

// runGranted does what was granted.
func runGranted(ctx context.Context, granted request.Run, err error) error {
	if err == nil {
		_, err = granted(ctx, func(string) {})
	}
	return err
}

// commands are what a user can ask of an agent, by name.
func (m *parts) commands() map[string]func(ctx context.Context, head string) error {
	return map[string]func(ctx context.Context, head string) error{
		"sync": func(ctx context.Context, _ string) error {
			granted, err := m.desk.GrantSync(ada, request.Sync{})
			return runGranted(ctx, granted, err)
		},
		"retry": func(ctx context.Context, _ string) error {
			granted, err := m.desk.GrantRetry(ada, request.Retry{})
			return runGranted(ctx, granted, err)
		},
		"pause": func(context.Context, string) error {
			_, err := m.desk.Pause(ada, request.Pause{For: "10m", Reason: "simulated"})
			return err
		},
		"resume": func(ctx context.Context, _ string) error {
			_, err := m.desk.Resume(ctx, ada, request.Resume{})
			return err
		},
		"approve": func(_ context.Context, head string) error {
			_, err := m.desk.Approve(ada, request.Approve{Commit: head, Reason: "simulated"})
			return err
		},
		"rollback": func(ctx context.Context, _ string) error {
			granted, err := m.desk.GrantRollback(ada, request.Rollback{Reason: "simulated"})
			return runGranted(ctx, granted, err)
		},
	}
}

// seen is what the agent's status says.
type seen struct {
	desired, commit, state string
	pollError              string
	busy                   bool // it is at something, or tries again
	undelivered            int  // statuses, and entries of the audit log without an anchor
	lastLook               time.Time
	drift, contested       []string // services
	paused                 bool
	unfit                  string // why no rollback returns to what is deployed
	text                   string // for people
}

// look asks the agent for its status.
func (m *parts) look() seen { return lookAt(m.desk) }

func lookAt(desk *desk.Desk) seen {
	status := desk.Status()
	s := seen{pollError: status.PollError, lastLook: status.LastLook, undelivered: status.GitLab.Undelivered, busy: status.Progress != "", paused: status.Pause != nil}
	for _, place := range status.Anchors {
		s.undelivered += place.Left
	}
	s.text = status.Next
	if status.Applied != nil {
		s.unfit = status.Applied.Unfit
	}
	if status.Desired != nil {
		s.desired = status.Desired.Commit
	}
	if sync := status.Sync; sync != nil {
		s.commit, s.state = sync.Commit, string(sync.State)
		s.busy = s.busy || sync.Transient || sync.RollingBack() || !sync.State.Final() && sync.State != record.Waiting
		s.text += "; " + sync.Error + sync.Waiting
	}
	for _, step := range status.Drift {
		s.drift = append(s.drift, step.Name)
	}
	for _, contest := range status.Contests {
		s.contested = append(s.contested, contest.Service)
	}
	return s
}

// recorded gives what the state file of a running agent has, now, of writes to services:
// the number of the last sync, whether its record announces writes, and whether a service
// is recorded as scaled down.
func (m *parts) recorded(of record.StackKey, service string) (sync uint64, announced, scaledDown bool) {
	records := m.store.Stack(of)
	if down, err := records.ScaledDown(); err == nil {
		_, scaledDown = down.Services[service]
	}
	last, err := records.LastSync()
	if err != nil || last == nil {
		return 0, false, scaledDown
	}
	rolling := last.RollingBack()
	return last.ID, rolling && last.Rollback.Wrote || !rolling && last.Wrote && last.State == record.Running, scaledDown
}
