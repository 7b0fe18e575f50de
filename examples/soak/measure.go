package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/examples/local"
)

// measure has the agent work, and reads its memory.
func (w *world) measure(ctx context.Context, o options, out io.Writer) (measures, error) {
	var m measures
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"first apply", w.firstApply},
		{"change of all services", w.changeAll},
		{"plan of a merge request", w.planRequest},
	} {
		if err := part.do(ctx); err != nil {
			return m, fmt.Errorf("%s: %w", part.name, err)
		}
		read, err := local.MemoryOf(w.agent.ID)
		if err != nil {
			return m, err
		}
		m.phases = append(m.phases, phase{part.name, read})
		if err := local.ResetPeak(w.agent.ID); err != nil {
			return m, err
		}
	}
	const reports = 10 // lines while it runs
	for look := 1; look <= o.looks; look++ {
		if o.syncs > 0 && look*o.syncs/o.looks > (look-1)*o.syncs/o.looks {
			if err := w.changeOne(ctx, look); err != nil {
				return m, fmt.Errorf("look %d: %w", look, err)
			}
		}
		if err := w.look(ctx); err != nil {
			return m, fmt.Errorf("look %d: %w", look, err)
		}
		read, err := local.MemoryOf(w.agent.ID)
		if err != nil {
			return m, err
		}
		m.samples = append(m.samples, sample{look, look * o.syncs / o.looks, read})
		if look*reports/o.looks > (look-1)*reports/o.looks {
			fmt.Fprintf(out, "%s  %6d looks, %5d syncs: resident %s, anonymous %s\n", time.Now().UTC().Format(time.TimeOnly), look, look*o.syncs/o.looks, read.Resident, read.Anonymous)
		}
	}
	return m, nil
}

// firstApply waits until the first commit is deployed.
func (w *world) firstApply(ctx context.Context) error {
	if err := w.deployed(ctx, w.head); err != nil {
		return err
	}
	return w.settle(ctx)
}

// changeAll has the agent change every service.
func (w *world) changeAll(ctx context.Context) error {
	if err := w.change(ctx, "Change all services", w.load.changeAll()); err != nil {
		return err
	}
	return w.settle(ctx)
}

// changeOne has the agent change one service.
func (w *world) changeOne(ctx context.Context, n int) error {
	return w.change(ctx, "Change one service", w.load.changeOne(n))
}

func (w *world) change(ctx context.Context, subject, nodeEnv string) error {
	commit, err := w.repo.Commit(ctx, subject, map[string]string{folder + "node.env": nodeEnv})
	if err != nil {
		return err
	}
	w.head = commit
	if err := w.hook(ctx); err != nil {
		return err
	}
	return w.deployed(ctx, commit)
}

// deployed waits until GitLab has heard that a commit is deployed.
func (w *world) deployed(ctx context.Context, commit string) error {
	if err := w.server.until(ctx, "the sync of "+commit, w.agent.Ended, func() bool { return w.server.succeeded(commit) }); err != nil {
		return err
	}
	posts := w.server.Statuses(commit).Posts
	if last := posts[len(posts)-1]; last.State != "success" {
		return fmt.Errorf("the sync of %s: %s: %s", commit, last.State, last.Description)
	}
	return nil
}

// planRequest has the agent show the plan of a merge request that changes every service.
func (w *world) planRequest(ctx context.Context) error {
	if _, err := w.repo.Git(ctx, "checkout", "--quiet", "-b", "feature"); err != nil {
		return err
	}
	proposed := &load{services: w.load.services, tags: slices.Clone(w.load.tags)}
	head, err := w.repo.Commit(ctx, "Propose a change", map[string]string{folder + "node.env": proposed.changeAll()})
	if err != nil {
		return err
	}
	if _, err := w.repo.Git(ctx, "checkout", "--quiet", "master"); err != nil {
		return err
	}
	number := w.server.AddOpen(gitlabtest.Open{Source: "feature", Head: head, Base: w.head})
	open := gitlabtest.MergeRequest{IID: number, SourceBranch: "feature", TargetBranch: "master", SHA: head, State: "opened"}
	if err := local.Accepted(w.server.SendMergeRequest(ctx, w.hookTo(), open, "open")); err != nil {
		return err
	}
	noted := func() bool { return len(w.server.RequestNotes(number)) > 0 && w.server.succeeded(head) }
	if err := w.server.until(ctx, "the note", w.agent.Ended, noted); err != nil {
		return err
	}
	return w.settle(ctx)
}

// settle waits until the agent has done all that it has begun, and a look after it.
func (w *world) settle(ctx context.Context) error {
	for range 3 { // a look begins when the one before it has ended
		if err := w.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// look has the agent look, and waits until the look has begun: then the one before has ended.
func (w *world) look(ctx context.Context) error {
	begun := w.server.looks.Load()
	if err := w.hook(ctx); err != nil {
		return err
	}
	return w.server.until(ctx, "a look", w.agent.Ended, func() bool { return w.server.looks.Load() > begun })
}

// hook tells the agent of a push.
func (w *world) hook(ctx context.Context) error {
	return local.Accepted(w.server.SendPush(ctx, w.hookTo(), "master", w.head, w.head))
}

func (w *world) hookTo() gitlabtest.Hook { return gitlabtest.Hook{URL: w.hooks, Token: hookWord} }
