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

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/desk"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/logs"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/notify"
	agentpage "coin.internal/coin-agent/agent/page"
	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/visible"
	"coin.internal/coin-agent/policy"
	gitsync "coin.internal/coin-agent/sync"
)

func runCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon: follow the repository and keep the stack in sync with it",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.daemon(cmd.Context()) },
	}
}

// daemon runs the agent, its control socket, its metrics and its reports until
// ctx ends.
func (a *app) daemon(ctx context.Context) error {
	if err := harden(); err != nil {
		return err
	}
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP) // at once: without it, the signal ends the process
	defer signal.Stop(reloads)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(a.settings.Limits.OrDefault().MemoryBytes)) // the garbage collector works harder near it
	}
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
	api, err := a.openAPI(d.agent.Look, pages, log)
	if err != nil {
		return err
	}
	socket, err := control.Listen(a.settings.Socket)
	if err != nil {
		return errors.Join(err, api.close())
	}
	services := []func(context.Context) error{
		d.agent.Run,
		func(ctx context.Context) error { return d.serve(ctx, socket, served{api, pages}) },
		func(ctx context.Context) error { a.reload(ctx, reloads, reloaded{d.agent, api}, log); return nil },
	}
	if a.settings.Listen != "" {
		listener, err := net.Listen("tcp", a.settings.Listen)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for metrics: %w", err), socket.Close(), api.close())
		}
		log.Info("metrics and health", "address", listener.Addr().String())
		services = append(services, func(ctx context.Context) error {
			return control.Serve(ctx, listener, control.LoopbackOnly(d.agent.HealthHandler()))
		})
	}
	if d.outbox != nil {
		services = append(services, func(ctx context.Context) error { _ = d.outbox.Run(ctx); return nil })
	}
	if d.anchors != nil {
		services = append(services, func(ctx context.Context) error { _ = d.anchors.Run(ctx); return nil })
	}
	services = append(services, func(ctx context.Context) error { _ = d.notices.Run(ctx); return nil })
	log.Info("agent started", "version", version, "node", a.settings.Owner(), "repository", d.source.String(), "socket", a.settings.Socket)
	err = together(ctx, services)
	log.Info("agent stopped")
	return err
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
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.settings.LogLevel)); err != nil {
		return nil, usageError{fmt.Errorf("unknown log level %q: use debug, info, warn or error", a.settings.LogLevel)}
	}
	switch a.settings.LogFormat {
	case "json":
		return slog.New(codes{slog.NewJSONHandler(jsonWriter{a.stderr}, &slog.HandlerOptions{Level: level})}), nil
	case "text":
		return slog.New(codes{tint.NewTextHandler(a.stderr, &tint.Options{Level: level, NoColor: !newPrinter(a.stderr).colour, ReplaceAttr: visibleAttr})}), nil
	}
	return nil, usageError{fmt.Errorf("unknown log format %q: use text or json", a.settings.LogFormat)}
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
	desk   *desk.Desk
	source *gitsync.Repository
	engine *deploy.Engine
	store  *store.Store
	outbox *gitlab.Outbox
	gitlab *gitlab.Client // nil: GitLab is not asked
	audit  *audit.Log

	notices *notify.Outbox
	policy  *policy.Current
	anchors *anchor.Outbox
	events  *events.Ring
	logs    *logs.Reader // of the only stack
	node    report.Node
}

// assemble makes an agent from the settings.
func (a *app) assemble(log *slog.Logger) (*parts, error) {
	if err := a.settings.Validate(); err != nil {
		return nil, err
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
	p := &parts{source: source, engine: engine, store: store, gitlab: client, audit: auditLog, policy: policy.NewCurrent(a.settings.Policy), events: events.New(), node: nodeOf(&a.settings)}
	made := agent.Parts{
		Settings: a.settings, Version: version, Log: log, Source: source, Engine: engine, Tasks: deploy.TasksOf(engine), Exec: deploy.ContainersOf(engine), Release: engine, Store: store, Audit: auditLog,
		Policy: p.policy, Events: p.events,
		Keys: a.keyring, Metrics: metrics.New(a.settings.Environment, a.settings.Node, version),
	}
	p.logs = a.logReader(p)
	if made.Notices, err = a.notices(store, log, made.Metrics); err != nil {
		p.close()
		return nil, err
	}
	p.notices = made.Notices.Outbox
	if p.anchors, err = a.anchors(store, auditLog, log); err != nil {
		p.close()
		return nil, err
	}
	if p.anchors != nil {
		made.Anchors = p.anchors
	}
	if client != nil {
		a.reports(p, &made, client)
	}
	p.agent = agent.New(made)
	if p.desk, err = p.agent.Desk(record.OnlyStack); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// reports has the agent report to GitLab.
func (a *app) reports(p *parts, made *agent.Parts, client *gitlab.Client) {
	p.outbox = gitlab.NewOutbox(client, p.store.Outbox(), made.Log)
	p.outbox.Delivered = p.delivered
	made.GitLab, made.Reports, made.Previews = client, p.outbox, a.previews(client, p.source)
	if a.settings.PlansBranch() != "" && a.settings.PageURL == "" {
		links := &preview.Links{Fallback: a.settings.EnvironmentLink(), Notes: p.store.Previews(record.OnlyStack), Requests: gitlab.NewRequests(client)}
		p.outbox.Link = links.Of
	}
}

// previews gives what shows the plans of merge requests; nil if they are not shown.
func (a *app) previews(client *gitlab.Client, source *gitsync.Repository) *agent.Previews {
	branch := a.settings.PlansBranch()
	if branch == "" {
		return nil
	}
	requests := gitlab.NewRequests(client)
	return &agent.Previews{Branch: branch, Heads: source.Heads, Requests: requests, Notes: requests}
}

// control gives the server of the control socket.
func (p *parts) control() *control.Server {
	return &control.Server{
		Desk:    func(stack record.StackKey) (control.Desk, error) { return p.agent.Desk(stack) },
		History: p.store, Audit: p.audit, Events: p.events, Node: p.node,
		Logs: func(stack record.StackKey) (control.Logs, error) {
			if _, err := p.agent.Desk(stack); err != nil {
				return nil, err
			}
			return p.logs, nil
		},
	}
}

// logTurns is how many questions for log lines are answered at the same time.
const logTurns = 3

// logFollows is how many readers follow logs at the same time.
const logFollows = 16

// logReader makes the reader of the services' logs.
func (a *app) logReader(p *parts) *logs.Reader {
	return &logs.Reader{
		Engine: p.engine, Records: p.store.Stack(record.OnlyStack), Files: p.store, Source: p.source, Node: a.nodeOptions(), Paths: a.settings.Paths(),
		Turns: make(chan struct{}, logTurns), Follows: make(chan struct{}, logFollows),
	}
}

// served is what an agent serves besides its control socket.
type served struct {
	api   *api // nil for none
	pages *agentpage.Pages
}

// serve answers on the control socket, and at the API's address if there is one.
func (p *parts) serve(ctx context.Context, socket net.Listener, of served) error {
	asked, cancel := context.WithCancel(ctx)
	defer cancel()
	api, wait := of.pages.API.Handler(asked)
	handler := of.pages.Handler(api)
	services := []func(context.Context) error{
		func(ctx context.Context) error { return control.Serve(ctx, socket, control.NoOtherSites(handler)) },
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
