package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/logs"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/newest"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/pace"
	agentpage "coin.internal/coin-agent/agent/page"
	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/footprint"
	"coin.internal/coin-agent/internal/sdnotify"
	"coin.internal/coin-agent/internal/visible"
	"coin.internal/coin-agent/policy"
	gitsync "coin.internal/coin-agent/sync"
)

func runCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon: follow the repository and keep the stack in sync with it",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Root().ResetCommands() // the daemon keeps no memory for the other ones
			return runDaemon(cmd.Context(), a)
		},
	}
}

// runDaemon runs the agent, its control socket, its metrics and its reports until
// ctx ends.
func runDaemon(ctx context.Context, a *app) error {
	if err := harden(); err != nil {
		return err
	}
	supervisor, err := sdnotify.Take()
	if err != nil {
		return err
	}
	if err := errors.Join(a.settings.Validate(), a.settings.ControlSocket().Check(), wrongFiles(a)); err != nil {
		return usageError{err}
	}
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP) // at once: without it, the signal ends the process
	defer signal.Stop(reloads)
	limitMemory(a)
	log, err := a.logger()
	if err != nil {
		return err
	}
	d, err := a.assemble(log)
	if err != nil {
		return err
	}
	defer d.close()
	pages := &agentpage.Pages{API: d.control(), Stacks: d.agent.Stacks, Version: version}
	if d.gitlab != nil {
		pages.Fleet = &neighbours{a, d}
	}
	api, err := openAPI(a, d.agent, pages, log)
	if err != nil {
		return err
	}
	socket, err := a.settings.ControlSocket().Listen()
	if errors.Is(err, control.ErrGroup) {
		err = usageError{err}
	}
	if err != nil {
		return errors.Join(err, api.close())
	}
	exposed, metricServices, err := serveMetrics(a, d.agent.HealthHandler(), log)
	if err != nil {
		return errors.Join(err, socket.Close(), api.close())
	}
	services := append(append(later(d.first, d.senders()), metricServices...),
		d.agent.Run,
		func(ctx context.Context) error {
			return d.serve(ctx, socket, served{a.settings.ControlSocket(), api, pages})
		},
		func(ctx context.Context) error {
			reloadOn(ctx, a, reloads, reloaded{d.agent, api, exposed}, log)
			return nil
		},
		func(ctx context.Context) error { d.agent.Supervise(ctx, supervisor); return nil },
	)
	d.memory.Release()
	log.Info("agent started", "version", version, "node", a.settings.Owner(), "repository", d.source.String(), "socket", a.settings.Socket)
	err = together(ctx, services)
	log.Info("agent stopped")
	return err
}

// senders are what delivers reports, heads of the audit log and notices, and what asks GitLab about
// the tokens and Vault about newer versions.
func (p *parts) senders() []func(context.Context) error {
	all := []func(context.Context) error{p.notices.Run}
	if p.outbox != nil {
		all = append(all, p.outbox.Run)
	}
	if p.anchors != nil {
		all = append(all, p.anchors.Run)
	}
	if p.tokens != nil {
		all = append(all, p.tokens.Run)
	}
	if p.newest != nil {
		all = append(all, func(ctx context.Context) error {
			return p.newest.Run(ctx, func() []string { return deployedInVault(p.agent) })
		})
	}
	for i, run := range all {
		all[i] = func(ctx context.Context) error { _ = run(ctx); return nil } // they end with ctx only
	}
	return all
}

// growth is by how many percent of what is live the heap grows before the garbage is collected. Go's 100
// takes 3 MB more in a sync of 200 services, and 3 % less CPU time.
const growth = 75

// limitMemory has the garbage collector work harder than usual, and more so near the limit of agent.yml.
func limitMemory(a *app) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(a.settings.Limits.OrDefault().MemoryBytes))
	}
}

// together runs services until ctx ends or one of them fails, and waits for all.
func together(ctx context.Context, services []func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, len(services))
	for _, service := range services {
		go func() {
			ended <- service(ctx)
			stop()
		}()
	}
	var err error
	for range services {
		err = errors.Join(err, <-ended)
	}
	return err
}

func (a *app) logger() (*slog.Logger, error) {
	if err := a.setLevel(a.settings.LogLevel); err != nil {
		return nil, err
	}
	switch a.settings.LogFormat {
	case "json":
		return slog.New(codes{slog.NewJSONHandler(jsonWriter{a.stderr}, &slog.HandlerOptions{Level: &a.level})}), nil
	case "text":
		return slog.New(codes{tint.NewTextHandler(a.stderr, &tint.Options{Level: &a.level, NoColor: !newPrinter(a.stderr).colour, ReplaceAttr: visibleAttr})}), nil
	}
	return nil, usageError{fmt.Errorf("unknown log format %q: use text or json", a.settings.LogFormat)}
}

// setLevel sets the least level that is logged.
func (a *app) setLevel(text string) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return usageError{fmt.Errorf("unknown log level %q: use debug, info, warn or error", text)}
	}
	a.level.Set(level)
	return nil
}

// visibleAttr makes the text of an attribute visible. On a terminal the handler turns even a
// written-out \x1b into an escape, which \u001b avoids.
func visibleAttr(_ []string, attr slog.Attr) slog.Attr {
	kind := attr.Value.Kind()
	if kind != slog.KindString && kind != slog.KindAny || attr.Key == slog.LevelKey {
		return attr
	}
	text := attr.Value.String()
	if safe := strings.ReplaceAll(visible.Line(text), `\x1b`, `\u001b`); safe != text {
		return slog.String(attr.Key, safe)
	}
	return attr
}

// parts are an agent and what it uses.
type parts struct {
	agent  *agent.Agent
	source *gitsync.Repository
	engine *deploy.Engine
	store  *store.Store
	outbox *gitlab.Outbox
	gitlab *gitlab.Client // nil: GitLab is not asked
	audit  *audit.Log

	notices *notify.Outbox
	policy  *policy.Current
	anchors *anchor.Outbox
	tokens  *tokens.Watch
	newest  *newest.Watch // nil: the settings name no Vault
	first   time.Duration // before the first look and delivery
	events  *events.Ring
	logs    *logs.Reader // of the only stack
	node    report.Node
	memory  *footprint.Memory
}

// assemble makes an agent from the settings.
func (a *app) assemble(log *slog.Logger) (*parts, error) {
	if err := a.settings.Validate(); err != nil {
		return nil, usageError{err}
	}
	if _, err := a.keyring(); err != nil {
		return nil, err
	}
	source, err := gitsync.Open(a.settings.Remote())
	if err != nil {
		return nil, err
	}
	client, err := a.gitLab()
	if err != nil {
		return nil, err
	}
	engine, err := a.connect()
	if err != nil {
		return nil, err
	}
	ran := lastRun(a.settings.StateDir)
	store, err := store.Open(a.settings.StateDir, a.settings.Owner(), log)
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	auditLog, err := journal.Open(a.settings.StateDir, store, audit.Options{
		Environment: a.settings.Environment, Node: a.settings.Node, Version: version, Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, store.Close(), engine.Close())
	}
	p := &parts{memory: footprint.New(store.Unload), source: source, engine: engine, store: store, gitlab: client, audit: auditLog, policy: policy.NewCurrent(a.settings.Policy), events: events.New(), node: nodeOf(&a.settings)}
	made := agent.Parts{
		Settings: a.settings, Version: version, Log: log, Source: source, Engine: engine, Tasks: deploy.TasksOf(engine), Exec: deploy.ContainersOf(engine), Release: engine, Store: store, Audit: auditLog,
		Policy: p.policy, Events: p.events, Rested: p.memory.Rest,
		Keys: a.keyring, KeyState: a.settings.KeyFiles().State, Vault: vaultOf(&a.settings), Metrics: metrics.New(a.settings.Environment, a.settings.Node, version),
	}
	p.first = pace.Pace{Interval: a.settings.Interval}.First(ran)
	made.FirstLook = p.first
	p.logs = logReader(a, p)
	if err := errors.Join(watchVault(a, p, &made), openOutboxes(a, p, &made, client)); err != nil {
		p.close()
		return nil, err
	}
	measureNode(&made)
	p.agent = agent.New(made)
	return p, nil
}

// openOutboxes makes what takes notices, the heads of the audit log, and reports to GitLab.
func openOutboxes(a *app, p *parts, made *agent.Parts, client *gitlab.Client) (err error) {
	if made.Notices, err = openNotices(a, p, made.Log, made.Metrics); err != nil {
		return err
	}
	p.notices = made.Notices.Outbox
	if p.anchors, err = openAnchors(a, p.store, p.audit, made.Log); err != nil {
		return err
	}
	if p.anchors != nil {
		made.Anchors = p.anchors
	}
	if client == nil {
		return nil
	}
	return openReports(a, p, made, client)
}

// openReports has the agent report to GitLab.
func openReports(a *app, p *parts, made *agent.Parts, client *gitlab.Client) (err error) {
	p.outbox = gitlab.NewOutbox(client, p.store.Outbox(), made.Log)
	p.outbox.Delivered = p.delivered
	made.GitLab, made.Reports, made.Previews = client, p.outbox, previewsOf(a, client, p.source)
	if a.settings.PageURL == "" {
		links := &preview.Links{
			Fallback: a.settings.EnvironmentLink(), Deployments: gitlab.NewLinks(client, p.store.Outbox(), a.settings.Environment),
			Books: func() ([]preview.Book, error) { return store.PreviewBooks(p.store) },
		}
		if made.Previews != nil {
			links.Requests = made.Previews.Requests
		}
		p.outbox.Link = links.Of
	}
	if p.tokens, err = watchTokens(a, p, made, client); err == nil {
		made.Tokens = p.tokens.States
	}
	return err
}

// previewsOf gives what shows the plans of merge requests; nil if they are not shown.
func previewsOf(a *app, client *gitlab.Client, source *gitsync.Repository) *agent.Previews {
	branch := a.settings.PlansBranch()
	if branch == "" {
		return nil
	}
	requests := gitlab.NewRequests(client)
	return &agent.Previews{Branch: branch, Heads: source.Heads, Requests: requests, Approvals: client, Notes: requests}
}

// control gives the server of the control socket.
func (p *parts) control() *control.Server {
	return &control.Server{
		Desk:    func(stack record.StackKey) (control.Desk, error) { return p.agent.Desk(stack) },
		Status:  p.agent.Status,
		History: p.store, Audit: p.audit, Events: p.events, Node: p.node,
		Logs: func(stack record.StackKey) (control.Logs, error) {
			key, err := p.agent.Key(stack)
			if err != nil {
				return nil, err
			}
			reader := *p.logs
			if reader.Records = p.store.Stack(key); key != record.OnlyStack {
				reader.Node.Stack = string(key)
			}
			return &reader, nil
		},
	}
}

// logTurns is how many questions for log lines are answered at the same time.
const logTurns = 3

// logFollows is how many readers follow logs at the same time.
const logFollows = 16

// logReader makes the reader of the services' logs. It masks the values of secrets, so it reads
// those in Vault, too.
func logReader(a *app, p *parts) *logs.Reader {
	options := a.nodeOptions()
	options.Vault = vaultOf(&a.settings)
	return &logs.Reader{
		Engine: p.engine, Records: p.store.Stack(record.OnlyStack), Files: p.store, Source: p.source, Node: options, Paths: a.settings.Paths(),
		Turns: make(chan struct{}, logTurns), Follows: make(chan struct{}, logFollows),
	}
}

// served is what an agent serves besides its control socket.
type served struct {
	socket control.Socket
	api    *api // nil for none
	pages  *agentpage.Pages
}

// serve answers on the control socket, and at the API's address if there is one.
func (p *parts) serve(ctx context.Context, socket net.Listener, of served) error {
	asked, cancel := context.WithCancel(ctx)
	defer cancel()
	api, wait := of.pages.API.Handler(asked)
	handler := of.pages.Handler(api)
	services := []func(context.Context) error{
		func(ctx context.Context) error {
			return control.Serve(ctx, socket, of.socket.Handler(handler))
		},
	}
	if of.api != nil {
		services = append(services, func(ctx context.Context) error {
			return control.Serve(ctx, of.api.listener, of.api.handler(handler))
		})
	}
	err := together(ctx, services)
	cancel()
	wait()
	return err
}

// delivered publishes that GitLab has a status. Of deployments the stages tell more.
func (p *parts) delivered(sent gitlab.Report) {
	if sent.Deployment {
		return
	}
	p.events.Publish(events.Event{
		Kind: events.Delivered, Commit: sent.Commit, State: string(sent.State),
		Text: fmt.Sprintf("GitLab has the status %s of %s: %s", sent.State, short(sent.Commit), sent.Description),
	})
}

func (p *parts) close() {
	_ = p.audit.Close()
	_ = p.store.Close()
	_ = p.engine.Close()
}
