package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/settings"
)

// TestRelease brings a release through two environments and back, as `make demo
// DEMO_FLAGS=-full` shows it: five agents, one engine, one GitLab. Around the rollback of all nodes
// it tries what the demo does not show.
func TestRelease(t *testing.T) {
	var told bytes.Buffer
	w, e := &world{say: newNarrator(&told)}, &estate{}
	chapters := append([]chapter{{"Required programs", w.prepare}, {"A private Docker engine and Swarm", w.engineChapter}}, w.releaseChapters(e)...)
	chapters = slices.Insert(chapters, len(chapters)-2, chapter{"No rollback of all nodes", func(ctx context.Context) error { return refusals(ctx, e) }})
	chapters = slices.Insert(chapters, len(chapters)-1, chapter{"A second run", func(ctx context.Context) error { return secondRun(ctx, e) }})
	for _, one := range chapters {
		told.WriteString("\n" + one.title + "\n")
		if err := one.tell(t.Context()); err != nil {
			t.Errorf("%s: %v\n%s", one.title, err, told.String())
			break
		}
	}
	if err := w.close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	t.Log(told.String())
}

// refusals tries to roll back all nodes with a token that only reads, and while an agent is down.
// No node changes.
func refusals(ctx context.Context, e *estate) error {
	err := wants(ctx, e, 1, e.rollbackGroup(readToken), "nothing was changed: not every node can be rolled back:", "prod1: ", "prod2: ", "prod3: ", "the scope operate")
	err = errors.Join(err, e.agents["prod2"].Stop())
	err = errors.Join(err, wants(ctx, e, 1, e.rollbackGroup(operateToken), "nothing was changed: not every node can be rolled back:\n  prod2: ask the agent: ", "connection refused"))
	for _, name := range []string{"prod1", "prod3"} {
		status, asking := control.NewClient(e.world.path(name + ".sock")).Status(ctx)
		if err = errors.Join(err, asking); status.Pinned != nil || status.Applied == nil || status.Applied.Release != secondRelease {
			err = errors.Join(err, fmt.Errorf("%s changed: %+v, pinned to %+v", name, status.Applied, status.Pinned))
		}
	}
	return errors.Join(err, e.startAgent("prod2"), e.until(ctx, "the agent of prod2", func() (string, bool, error) {
		status, err := control.NewClient(e.world.path("prod2.sock")).Status(ctx)
		return "", err == nil && status.Applied != nil, nil
	}))
}

// secondRun checks that all nodes went back, and that none goes further: not by a second run, and
// not while one cannot be reached.
func secondRun(ctx context.Context, e *estate) (err error) {
	for _, name := range productionNodes {
		status, asking := control.NewClient(e.world.path(name + ".sock")).Status(ctx)
		if err = errors.Join(err, asking); status.Pinned == nil || status.Pinned.Release != firstRelease || status.Pinned.By.String() != "token:ada" {
			err = errors.Join(err, fmt.Errorf("%s is pinned to %+v", name, status.Pinned))
		}
	}
	stays := []string{"prod1: stays as it is: it is rolled back already, to " + firstRelease, "prod3: stays as it is"}
	err = errors.Join(err, wants(ctx, e, 0, e.rollbackGroup(operateToken), append(stays, "prod2: stays as it is")...))
	err = errors.Join(err, e.agents["prod2"].Stop())
	err = errors.Join(err, wants(ctx, e, 3, e.rollbackGroup(operateToken, "--partial"), append(stays, "prod2: left out: ask the agent: ")...))
	return errors.Join(err, e.startAgent("prod2"))
}

// wants runs a command of Ada's, and wants an exit code and texts.
func wants(ctx context.Context, e *estate, code int, args []string, texts ...string) error {
	command := exec.CommandContext(ctx, e.program(), args...)
	command.Dir, command.Env = e.clone.Dir, append(bareEnv(), settings.EnvPrefix+"CONFIG="+e.world.path("ada.yml"), "HOME="+e.world.dir)
	out, err := command.CombinedOutput()
	if got := command.ProcessState.ExitCode(); got != code {
		return fmt.Errorf("agent %s: exit %d, want %d (%w):\n%s", typed(args), got, code, err, out)
	}
	for _, text := range texts {
		if !strings.Contains(string(out), text) {
			return fmt.Errorf("agent %s: no %q in\n%s", typed(args), text, out)
		}
	}
	return nil
}
