package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/examples/local"
)

const (
	followLimit = 4 * time.Minute
	follow      = 200 * time.Millisecond
)

// startAgent starts the agent of the demo's node.
func (w *world) startAgent() (err error) {
	w.agent, err = w.startDaemon("agent", w.path("bin/agent"))
	return err
}

// startDaemon runs an agent by its settings file.
func (w *world) startDaemon(name, program string) (*local.Process, error) {
	agent, err := local.StartAgent(program, w.path(name+".yml"), w.path(name+".log"))
	if err == nil {
		w.cleanUp.Later("stop the agent (SIGTERM)", agent.Stop)
	}
	return agent, err
}

// agentEnv returns the environment of this process, with only the demo's settings of
// the agent.
func (w *world) agentEnv() []string {
	return append(bareEnv(), settings.EnvPrefix+"CONFIG="+w.path("agent.yml"))
}

// run runs an agent command, and prints it and its output. Exit code 3 is not a
// failure.
func (w *world) run(ctx context.Context, args ...string) error {
	w.say.command("agent " + typed(args))
	command := w.agentCommand(ctx, args...)
	command.Stdout, command.Stderr = w.say.out, w.say.out
	err := command.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		w.say.line("%s", w.say.paint(dim, "(exit code 3)"))
		return nil
	}
	if err != nil {
		return fmt.Errorf("agent %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// typed returns the arguments as a user types them.
func typed(args []string) string {
	var words []string
	for _, arg := range args {
		if strings.Contains(arg, " ") {
			arg = strconv.Quote(arg)
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

func (w *world) agentCommand(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, w.path("bin/agent"), args...)
	command.Dir, command.Env = w.repo.Dir, w.agentEnv()
	return command
}

// follow prints the progress until the sync of a commit has ended and GitLab has the
// result.
func (w *world) follow(ctx context.Context, commit string) (*record.Sync, error) {
	ctx, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	client, started := control.NewClient(w.path("agent.sock")), time.Now()
	tick := time.NewTicker(follow)
	defer tick.Stop()
	said, saidAt := "", time.Time{}
	for {
		status, err := client.Status(ctx)
		if err == nil && over(status.Sync, commit) && w.reported(commit) {
			w.say.progress(started, "done: "+string(status.Sync.State))
			return status.Sync, nil
		}
		text := doing(status, err, commit)
		switch since := time.Since(saidAt); {
		case text != said && since > patience/4:
			w.say.progress(started, text)
			said, saidAt = text, time.Now()
		case since > patience:
			w.say.progress(started, "…")
			saidAt = time.Now()
		}
		select {
		case <-w.agent.Ended:
			return nil, errors.New("the agent ended unexpectedly")
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the rollout of %s: %w", record.Short(commit), ctx.Err())
		case <-tick.C:
		}
	}
}

// over reports whether the sync of a commit has ended. The agent retries transient
// failures, so they do not count, unless the plan has failed: no registry has the image.
func over(sync *record.Sync, commit string) bool {
	return sync != nil && sync.Commit == commit && sync.State.Final() && (!sync.Transient || sync.Stage == record.StagePlan)
}

// reported reports whether GitLab has the result of a commit's sync.
func (w *world) reported(commit string) bool {
	posts := w.gitlab.Statuses(commit).Posts
	return len(posts) > 0 && posts[len(posts)-1].State != "running"
}

// doing describes the agent's current step in one line.
func doing(status report.Status, err error, commit string) string {
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return "the agent is starting"
	case err != nil:
		return err.Error()
	case status.PollError != "":
		return status.PollError + " (the agent retries)"
	case status.Sync == nil || status.Sync.Commit != commit:
		return "waiting until the agent fetches the commit (every 2 s)"
	case over(status.Sync, commit):
		return "reporting to GitLab"
	case status.Progress != "":
		return string(status.Sync.Stage) + ": " + status.Progress
	}
	return string(status.Sync.Stage)
}
