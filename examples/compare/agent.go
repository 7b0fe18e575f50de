package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/examples/local"
)

const (
	agentName = "agent"
	project   = "shops/shops"
	hookToken = "0123456789abcdef0123456789abcdef"
	patience  = 5 * time.Minute
)

// agent is the built agent as a daemon. A hook of GitLab has it look at the remote; apart from
// that it looks once an hour.
type agent struct {
	proxy      *proxy
	dir        string
	program    string
	repository string // its address

	process *local.Process
	hooks   string // where it takes hooks
	looks   chan events.Event
	end     context.CancelFunc // of the stream of events
}

func (a *agent) name() string { return agentName }

func (a *agent) path(name string) string { return filepath.Join(a.dir, name) }

// start starts a daemon without a state, and waits for its first look, which finds no branch.
func (a *agent) start(ctx context.Context) error {
	if err := errors.Join(os.RemoveAll(a.dir), os.MkdirAll(a.dir, 0o700)); err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	listen, err := local.FreeAddress()
	if err != nil {
		return err
	}
	a.hooks = "http://" + listen + "/hooks/gitlab"
	text := fmt.Sprintf(`environment: %s
node: %s
repository: %s
branch: %s
engine: %s
state_dir: %s
socket: %s
listen: ""
interval: 1h
api_listen: %s
gitlab_project: %s
webhook_token_file: %s
`, environment, node, a.repository, branch, a.proxy.host, a.path("state"), a.path("agent.sock"), listen, project, a.path("hook"))
	if err := errors.Join(os.WriteFile(a.path("agent.yml"), []byte(text), 0o600), os.WriteFile(a.path("hook"), []byte(hookToken+"\n"), 0o600)); err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	if a.process, err = local.StartAgent(a.program, a.path("agent.yml"), a.path("log")); err != nil {
		return err
	}
	client := control.NewClient(a.path("agent.sock"))
	err = until(ctx, time.Minute, func() error {
		status, err := client.Status(ctx)
		if err == nil && status.LastLook.IsZero() {
			err = errors.New("the agent has not looked yet")
		}
		return err
	})
	if err != nil {
		return a.explain(err)
	}
	return a.explain(a.follow(ctx, client))
}

// follow follows the events of the agent: unlike questions about its status, they cost it
// nearly nothing.
func (a *agent) follow(ctx context.Context, client *control.Client) error {
	batch, err := client.Events(ctx, "")
	if err != nil {
		return fmt.Errorf("follow the agent: %w", err)
	}
	after := ""
	if n := len(batch.Events); n > 0 {
		after = batch.Events[n-1].ID
	}
	ctx, a.end = context.WithCancel(ctx)
	looks := make(chan events.Event, 1000)
	a.looks = looks
	go func() {
		defer close(looks)
		_ = client.FollowEvents(ctx, after, func(event events.Event, _ bool) error {
			if event.Kind == events.Look || event.Kind == events.Outcome {
				looks <- event
			}
			return nil
		})
	}()
	return nil
}

func (a *agent) stop(context.Context) (*local.Memory, error) {
	if a.process == nil {
		return nil, nil
	}
	used, err := local.MemoryOf(a.process.ID)
	if a.end != nil {
		a.end()
	}
	err = errors.Join(err, a.process.Stop())
	a.process, a.end = nil, nil
	return &used, err
}

// deploy sends a hook, and waits until each stack was looked at and is in sync with the commit, and
// the agent rests.
func (a *agent) deploy(ctx context.Context, what change) (time.Duration, error) {
	before, err := clock(a.process.ID)
	if err != nil {
		return 0, err
	}
	for len(a.looks) > 0 { // of the step before
		<-a.looks
	}
	if err := errors.Join(a.hook(ctx, what.commit), a.await(ctx, what)); err != nil {
		return 0, a.explain(err)
	}
	after, err := settled(ctx, a.process.ID, a.proxy.busy)
	return after - before, err
}

// hook tells the agent of a push, as GitLab does.
func (a *agent) hook(ctx context.Context, commit string) error {
	double := gitlabtest.NewServer(gitlabtest.Config{Project: project})
	return local.Accepted(double.SendPush(ctx, gitlabtest.Hook{URL: a.hooks, Token: hookToken}, branch, commit, commit))
}

// await waits until each stack of the node is in sync with a commit.
func (a *agent) await(ctx context.Context, what change) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	waiting := map[string]bool{}
	for _, at := range what.all {
		waiting[at.stack] = true
	}
	if len(what.all) == 1 {
		waiting = map[string]bool{"": true} // events do not name the only stack of a node
	}
	for len(waiting) > 0 {
		select {
		case event, open := <-a.looks:
			switch {
			case !open:
				return errors.New("the agent has ended")
			case event.Kind == events.Outcome && event.State != "succeeded", event.State == "failed":
				return errors.New(event.Text)
			case event.Kind == events.Look && event.Commit == what.commit && event.State == "in_sync":
				delete(waiting, event.Stack)
			}
		case <-ctx.Done():
			return fmt.Errorf("wait for the agent: %w", ctx.Err())
		}
	}
	return nil
}

// explain adds the end of the agent's log to an error.
func (a *agent) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\nthe agent's log ends:\n%s", err, a.process.LogEnd())
}
