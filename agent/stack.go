package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/board"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/desk"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/group"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/reading"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
	"coin.internal/coin-agent/agent/selection"
	"coin.internal/coin-agent/agent/services"
	"coin.internal/coin-agent/agent/soak"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
	gitsync "coin.internal/coin-agent/sync"
)

// stack is the state machine of one stack: what is on record of it, what was observed, and
// what acts on it. The loop runs one stack at a time.
type stack struct {
	parts    *Parts
	key      record.StackKey
	name     string          // the key; "" for the only stack
	node     desired.Options // whose files the stack is made of
	log      *slog.Logger
	remote   *selection.Shared
	records  *store.Stack
	readings *reading.Counter
	notes    *journal.Notes
	board    *board.Board
	sight    *board.Sight
	metrics  *metrics.Stack
	publish  *publish.Publisher
	live     *drift.Shared
	services *services.Watch
	soak     *soak.Judge
	group    *group.Watch
	keeper   *inventory.Keeper
	rollouts *rollout.Rollouts
	plans    preview.Plans // of merge requests
	stops    chan struct{} // ends the wait of a rollout for a rollback
	desk     *desk.Desk
	leave    context.CancelFunc                             // ends what runs beside the loop
	fetched  func(context.Context, *gitsync.Checkout) error // takes each fetched commit; an error ends the look
	several  func() bool                                    // whether the node has other stacks
	listed   func() []*stack                                // all stacks of the list
	failures int                                            // looks in a row that failed
	again    backoff.Wait                                   // until the removal is tried again
}

// newStack makes the state machine of a stack.
func newStack(a *Agent, key record.StackKey) *stack {
	parts, settings := a.parts, &a.parts.Settings
	s := &stack{
		parts: parts, key: key, log: parts.Log, remote: a.remote, stops: make(chan struct{}),
		records: parts.Store.Stack(key), readings: a.readings, live: a.live, leave: func() {}, fetched: a.takeList,
		several: a.roster.Several, listed: a.roster.Stacks, node: desired.Options{Environment: settings.Environment, Node: settings.Node, Keys: parts.Keys, Opened: &a.opened, CheckDir: settings.CheckDir, Vault: parts.Vault, Limits: settings.Limits, Render: parts.Render},
	}
	if key != record.OnlyStack {
		s.name, s.log, s.node.Stack = string(key), parts.Log.With("of", key), string(key)
	}
	s.metrics = parts.Metrics.Stack(s.name, metrics.Source{
		InSync:    func() bool { return s.sight.InSync(s.board.Snapshot()) },
		Contested: func() int { return len(drift.Contested(s.board.Snapshot().Contests)) },
		Gates:     func() (bool, []record.Gate) { return s.board.Snapshot().Gates() },
		Rotations: func() []inventory.Rotation { return s.board.Snapshot().Rotations },
		Ages:      func() []inventory.Age { return s.board.Snapshot().Ages },
		Totals:    func() (record.Totals, error) { return store.TotalsOf(s.records) },
		Started:   func() (time.Time, bool) { return s.board.Snapshot().Started() },
		Services:  func() metrics.Services { return s.sight.Services() },
		Soaking:   func() bool { return s.board.Snapshot().Deployed.Soaks(time.Now()) },
		Observes:  settings.Observes(),
	})
	s.board = &board.Board{Name: s.name, Records: s.records, Metrics: s.metrics, Log: s.log, Pulse: a.pulse, Events: parts.Events}
	s.sight = &board.Sight{Board: s.board, Interval: settings.Interval, Started: a.started, Working: a.roster.Working}
	s.notes = parts.notes(s.name)
	s.equip(a)
	return s
}

// equip makes what acts on the stack.
func (s *stack) equip(a *Agent) {
	parts, settings := s.parts, &s.parts.Settings
	s.publish = &publish.Publisher{
		Node: report.Node{Environment: settings.Environment, Name: settings.Node}, Stack: s.name, Link: settings.CommitLink, Page: settings.StatusLink, SyncPage: settings.SyncPage, Notices: parts.Notices,
		ByTags: settings.TagPattern != "", Spares: s.spares,
	}
	if parts.Reports != nil {
		s.publish.Statuses, s.publish.Deployments = parts.Reports, parts.Reports
		if s.name != "" {
			s.publish.Sum = a.sum
		}
	}
	s.keeper = &inventory.Keeper{
		Sources:   inventory.Sources{Engine: parts.Engine, Records: s.records, Usage: parts.Store.Objects(), Others: parts.Store.Lists().GoodBut(s.key), Newest: parts.Newest},
		Uncertain: s.uncertain, Note: s.notes.Add, Log: s.log,
		Seen: func(survey *inventory.Survey) {
			s.metrics.Surveyed(survey)
			s.board.Update(func(v *board.View) { v.Rotations, v.Ages = survey.Rotations(), survey.Ages() })
		},
	}
	s.rollouts = rollout.New(s.rolloutParts(a))
	healthy := &health.Watch{Tasks: parts.Tasks}
	s.soak = &soak.Judge{
		Services: healthy, Board: s.board, Records: s.records, Rollouts: s.rollouts, Publish: s.publish,
		Note: s.notes.Add, Nudge: a.Look, Log: s.log,
	}
	s.services = &services.Watch{
		Board: s.board, Sight: s.sight, Live: drift.New(a.live, parts.Engine, s.log), Corrections: drift.Corrections{Records: s.records},
		Health: healthy, Soak: s.soak, Rollouts: s.rollouts, Metrics: s.metrics, Publish: s.publish, Log: s.log,
	}
	s.group = &group.Watch{Environment: settings.Environment, Statuses: parts.Statuses, Board: s.board, Rollouts: s.rollouts, Publish: s.publish, Log: s.log}
	s.plans = newPlans(s)
	s.desk = newDesk(a, s)
}

// rolloutParts gives what the attempts at the stack work with.
func (s *stack) rolloutParts(a *Agent) rollout.Parts {
	parts := s.parts
	made := rollout.Parts{
		Settings: &parts.Settings, Node: s.node, Stack: s.name, Version: parts.Version, Log: s.log,
		Remote: parts.Source, Select: s.selects, Engine: parts.Engine, Probe: parts.Release, Exec: parts.Exec,
		Gates: gates.Parts{
			Environment: s.node.Environment, Node: s.node.Node, Observe: parts.Settings.Observes(), Records: s.records, Approvals: parts.Approvals, Statuses: parts.Statuses,
			Paused: func() *record.Pause { return s.board.Snapshot().Paused() },
		},
		Reading: s.readings, Records: s.records, Files: s.recorded(), Fingerprints: parts.Store.Objects(), Audit: parts.Audit, Ledger: s.board,
		Screen: s.board, Publish: s.publish, Deploys: s.publish, Receivers: parts.Notices, Delays: s.publish, Metrics: s.metrics, Events: parts.Events, Stops: s.stops,
		Policy: parts.Policy.Policy, Images: parts.images, KeyState: parts.KeyState,
	}
	made.Others = func() []*record.GoodState { return a.roster.Deployed(s.key) }
	if s.name != "" {
		made.Agrees = a.agreed.Of(s.name)
	}
	made.Gates.Stack = s.name
	made.Gates.Earlier = func(also ...string) []gates.Earlier { return a.roster.Earlier(s.key, also...) }
	if parts.Tokens != nil {
		made.Tokens = func() []error { return tokens.Errors(parts.Tokens()) }
	}
	return made
}

// newPlans makes what shows the plans of merge requests for a stack.
func newPlans(s *stack) preview.Plans {
	parts := s.parts
	if parts.Previews == nil || parts.Reports == nil {
		return preview.Plans{}
	}
	node := s.node.Node
	if s.name != "" {
		node += "/" + s.name
	}
	return preview.Plans{Worker: preview.New(preview.Options{
		Environment: s.node.Environment, Node: node, Status: "coin-agent/" + s.node.Environment + "/" + node + "/plan",
		Branch: parts.Previews.Branch, Paths: parts.Settings.Paths(), Heads: parts.Previews.Heads,
		Requests: parts.Previews.Requests, Approvals: parts.Previews.Approvals, Notes: parts.Previews.Notes, Source: parts.signed, Signer: parts.gate.Check, Planner: planner{s},
		Last: func() *record.Sync { return s.board.Snapshot().Last }, Syncs: s.records,
		Reports: parts.Reports, Store: parts.Store.Previews(s.key), Log: s.log, Random: parts.Random,
	})}
}

// planner makes plans by the stages of a rollout.
type planner struct{ s *stack }

func (p planner) Preview(ctx context.Context, checkout *gitsync.Checkout, concerned func() (bool, error)) (*rollout.Preview, error) {
	return p.s.rollouts.Preview(ctx, p.s.board.Snapshot().Base(), checkout, concerned)
}

// Key gives the key of the stack's records.
func (s *stack) Key() record.StackKey { return s.key }

// View gives what is known of the stack.
func (s *stack) View() board.View { return s.board.Snapshot() }

// Recall fills the board from the state file.
func (s *stack) Recall() error {
	if err := s.board.Recall(); err != nil {
		return fmt.Errorf("stack %s: %w", s.key, err)
	}
	if deployed := s.board.Snapshot().Deployed; deployed != nil {
		s.services.Health.Deployed(deployed.At)
	}
	if s.publish.Sum == nil {
		return nil
	}
	syncs, err := s.records.SyncsUntil(publish.Enough())
	if err != nil {
		return fmt.Errorf("stack %s: recall its statuses: %w", s.key, err)
	}
	s.publish.Sum.Recall(s.publish, syncs)
	return nil
}

// retire ends what a stack does besides its looks: it was taken off the list.
func (s *stack) retire() {
	s.metrics.Drop()
	s.leave()
}

// uncertain says why no version of a secret or config may be removed now; "" if it may.
func (s *stack) uncertain() string {
	if s.parts.Settings.Observes() {
		return "the agent only observes (mode: observe)"
	}
	return s.board.Snapshot().Uncertain()
}

// selects gives the revision that the stack would follow now. It may be called while the loop
// is busy.
func (s *stack) selects(ctx context.Context) (gitsync.Revision, error) {
	revision, _, err := s.remote.Remote.Now(ctx, s.onRecord())
	return revision, err
}

// onRecord gives what is on record of the stack, and of the others of the list.
func (s *stack) onRecord() selection.Record {
	v := s.board.Snapshot()
	on := selection.NewRecord(v.Last, v.Deployed)
	for _, other := range s.listed() {
		if other != s {
			v := other.board.Snapshot()
			on.Others = append(on.Others, selection.NewRecord(v.Last, v.Deployed))
		}
	}
	return on
}

// lookOn looks, and looks again at once while a newer commit supersedes the sync that it
// began.
func (s *stack) lookOn(ctx context.Context, why rollout.Cause, progress func(string)) rollout.Outcome {
	for {
		result := s.look(ctx, why, progress)
		if !errors.Is(result.Err, rollout.ErrSuperseded) || ctx.Err() != nil {
			return result
		}
		s.remote.Forget()
		if s.name != "" {
			return rollout.Outcome{Err: errAnew} // the stacks before it take the newer commit first
		}
	}
}

// looked counts failed looks in a row and logs the first of its kind.
func (s *stack) looked(err error) {
	if errors.As(err, new(refusal)) || errors.Is(err, errAnew) || errors.Is(err, rollout.ErrStopped) {
		err = nil // the look succeeded
	}
	previous := s.board.Snapshot().LookError
	s.board.Update(func(v *board.View) { v.LookError = err })
	s.parts.Events.Publish(board.LookEvent(s.name, s.board.Snapshot()))
	if err == nil {
		s.failures = 0
		return
	}
	s.failures++
	s.parts.Metrics.PollFailed()
	if previous == nil || previous.Error() != err.Error() {
		s.log.Warn("cannot look at the repository or the engine", "error", err, "hint", fault.Hint(err))
	}
}

// recallWebhook looks for the webhook's URL in the node's secrets, if messages have waited
// for it over a restart and no sync is due. They are those of the deployed good state: a
// commit that is refused or waits names no receiver. Before the first good state they are
// those of the selected revision, if the remote has answered.
func (s *stack) recallWebhook(ctx context.Context, revision gitsync.Revision) {
	good, options := s.board.Snapshot().Deployed, s.node
	options.Bounds.Policy = s.parts.Policy.Policy()
	read := func() (fs.FS, error) { return s.recorded().Files(good) }
	if good != nil {
		options.Vault.Settled = good.Vault
	} else {
		if revision.Commit == "" {
			return
		}
		read = func() (fs.FS, error) {
			checkout, err := s.parts.Source.Fetch(ctx, revision, s.parts.Settings.Paths())
			if err != nil {
				return nil, err
			}
			return checkout.FS, nil
		}
	}
	if err := s.parts.Notices.Recall(ctx, read, options); err != nil {
		s.log.Warn("cannot look for the webhook's URL", "error", err)
	}
}

// Collect removes the versions of secrets and configs that may go, for a user. It looks at
// the services first, as each look does.
func (s *stack) Collect(ctx context.Context, actor audit.Actor) (*inventory.Survey, error) {
	if err := s.board.Snapshot().LookError; err != nil {
		return nil, fault.WithHint(fmt.Errorf("nothing was removed: the last look failed: %w", err), fault.Hint(err))
	}
	if _, err := s.services.Look(ctx); err != nil {
		return nil, err
	}
	survey, err := s.keeper.Collect(ctx, actor)
	if err == nil && survey.Uncertain != "" {
		err = fault.New(fault.Place{}, "see `agent status`", "nothing was removed: %s", survey.Uncertain)
	}
	return survey, err
}

// recorded gives the files of the stack's good states.
func (s *stack) recorded() rollout.Recorded {
	return rollout.Recorded{Store: s.parts.Store, Limits: s.parts.Settings.Limits}
}

// spares reports whether a commit that changes nothing which this node reads gets no status of it:
// the settings say so, and no other node waits for this one, as the deployed config.yml has it.
func (s *stack) spares() bool {
	return !s.parts.Settings.UnchangedStatuses && s.recorded().Unawaited(s.board.Snapshot().Deployed, s.node.Environment, s.node.Node)
}
