package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/agent/store"
	gitsync "coin.internal/coin-agent/sync"
)

// stack is the state machine of one stack: what is on record of it, what was observed, and
// what acts on it. The loop runs one stack at a time.
type stack struct {
	parts    *Parts
	key      record.StackKey
	node     desired.Options // whose files the stack is made of
	log      *slog.Logger
	remote   *remote
	board    *board
	publish  *publish.Publisher
	watch    *drift.Watch
	survey   *surveyor
	rollouts *rollout.Rollouts
	stops    chan struct{} // ends the wait of a rollout for a rollback
	failures int           // looks in a row that failed
}

// newStack makes the state machine of a stack.
func newStack(parts *Parts, of Stack, remote *remote, pulse *pulse) *stack {
	settings := &parts.Settings
	s := &stack{
		parts: parts, key: of.Key, log: parts.Log, remote: remote, stops: make(chan struct{}),
		node:  desired.Options{Environment: settings.Environment, Node: of.Node, Keys: parts.Keys, CheckDir: settings.CheckDir},
		watch: drift.New(parts.Engine, parts.Log),
	}
	var records *store.Stack
	if parts.Store != nil {
		records = parts.Store.Stack(of.Key)
	}
	s.board = &board{records: records, metrics: parts.Metrics, log: parts.Log, pulse: pulse}
	s.publish = &publish.Publisher{
		Node: s.reportNode(), Status: s.statusName(), Link: settings.CommitLink, Notices: parts.Notices,
	}
	if parts.Reports != nil {
		s.publish.Statuses = parts.Reports
	}
	notes := noter{parts.Audit, parts.Store}
	s.survey = &surveyor{
		board: s.board, sources: inventory.Sources{Engine: parts.Engine, Records: records, Usage: parts.Store},
		audit: notes, metrics: parts.Metrics, log: parts.Log,
	}
	s.rollouts = rollout.New(s.rolloutParts(records))
	return s
}

// rolloutParts gives what the attempts at the stack work with.
func (s *stack) rolloutParts(records *store.Stack) rollout.Parts {
	parts := s.parts
	made := rollout.Parts{
		Settings: &parts.Settings, Node: s.node, Version: parts.Version, Log: s.log,
		Remote: parts.Source, Engine: parts.Engine, Probe: parts.Release, Exec: parts.Exec,
		Gates: gates.Parts{
			Environment: s.node.Environment, Node: s.node.Node, Records: records, Approvals: parts.Approvals, Statuses: parts.Statuses,
			Paused: func() *record.Pause { return s.board.snapshot().paused() },
		},
		Records: records, Files: parts.Store, Fingerprints: parts.Store, Audit: parts.Audit, Ledger: s.board,
		Screen: s.board, Publish: s.publish, Receivers: parts.Notices, Delays: s.publish, Metrics: parts.Metrics, Stops: s.stops,
	}
	if parts.Reports != nil {
		made.Token = func() time.Time { return parts.Reports.Health().TokenExpires }
	}
	return made
}

// reportNode names the node in what is written about it.
func (s *stack) reportNode() report.Node {
	return report.Node{Environment: s.node.Environment, Name: s.node.Node}
}

// statusName is the name of the stack's commit status in GitLab.
func (s *stack) statusName() string { return "coin-agent/" + s.reportNode().String() }

// lookOn looks, and looks again at once while a newer commit supersedes the sync that it
// began.
func (s *stack) lookOn(ctx context.Context, why rollout.Cause, progress func(string)) rollout.Outcome {
	for {
		result := s.look(ctx, why, progress)
		if !errors.Is(result.Err, rollout.ErrSuperseded) || ctx.Err() != nil {
			return result
		}
		s.remote.forget()
	}
}

// looked counts failed looks in a row and logs the first of its kind.
func (s *stack) looked(err error) {
	if errors.As(err, new(pinnedError)) || errors.Is(err, rollout.ErrStopped) {
		err = nil // the look succeeded
	}
	previous := s.board.snapshot().lookError
	s.board.update(func(v *view) { v.lookError = err })
	if err == nil {
		s.failures = 0
		return
	}
	s.failures++
	s.parts.Metrics.PollFailed()
	if previous == nil || previous.Error() != err.Error() {
		s.log.Warn("cannot look at the repository or the engine", "error", err.Error())
	}
}

// recallWebhook looks for the webhook's URL in the node's secrets, if messages have waited
// for it over a restart and no sync is due.
func (s *stack) recallWebhook(ctx context.Context, revision gitsync.Revision) {
	err := s.parts.Notices.Recall(ctx, func(ctx context.Context) (fs.FS, error) {
		checkout, err := s.parts.Source.Fetch(ctx, revision, s.parts.Settings.Paths())
		if err != nil {
			return nil, err
		}
		return checkout.FS, nil
	}, s.node)
	if err != nil {
		s.log.Warn("cannot look for the webhook's URL", "revision", record.Short(revision.Commit), "error", err.Error())
	}
}

// noter appends entries that belong to no sync to the audit log, and has the state file
// remember them.
type noter struct {
	log   *audit.Log
	store *store.Store
}

func (n noter) note(entries ...audit.Entry) error {
	if err := n.log.Append(entries...); err != nil {
		return err
	}
	if err := n.store.SaveAuditHead(); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}
