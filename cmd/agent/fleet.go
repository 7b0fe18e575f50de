package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/gitlab"
)

func fleetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fleet --environment E",
		Short: "Show all nodes of an environment, those in trouble first; needs GitLab only, and no node",
		Long: `Show all nodes of an environment: what each does with the newest commit of the branch that
it has posted a status on, or with the newest tag that matches --tag-pattern. Nodes in
trouble come first. The nodes are those of config.yml.

GitLab's statuses do not say health and release. With --token-file, which names a token of
the agents' api_tokens, each node's agent itself is asked, at the address of --api or at
nodes[].url of config.yml. Use a token of the scope read: it goes to those addresses.

A node that the newest commit leaves unchanged posts no status of it with
unchanged_statuses: false. In a clone of the repository that has the commit, it is "in
sync" if its files are the same, and "behind" if not; else it has "no newer status".

Exit code 3 means that a node is in trouble: failed, unhealthy, waiting for a user, or
without a status.`,
		Example: "  agent fleet --environment sandbox --token-file ~/api-token --api node3=https://node3.example.com:9181",
		Args:    noArgs,
	}
	output := outputFlag(cmd, "text", "json")
	apis := cmd.Flags().StringArray("api", nil, "ask this node's agent, too: node=URL; may be given several times")
	repo := cmd.Flags().String("repo", ".", "clone of the repository, or the folder of environments/ in it, if there is one")
	watch := cmd.Flags().Bool("watch", false, "show the nodes again after each change")
	poll := 10 * time.Second
	durationVar(cmd.Flags(), &poll, "poll", "time between two reads, with --watch")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if a.settings.Environment == "" {
			return usageError{errors.New("name the environment with --environment")}
		}
		if poll < time.Second {
			return usageError{errors.New("--poll must be at least 1s")}
		}
		list, err := fleetList(cmd.Context(), a, *apis)
		if err != nil {
			return err
		}
		list.Same = sameIn(*repo, a.settings.Environment)
		if *watch {
			return watchFleet(cmd.Context(), a, list, *output, poll)
		}
		members, err := list.Read(cmd.Context())
		if err != nil {
			return err
		}
		err = printScreen(a.stdout, *output, fleetScreen, members)
		return differentIf(slices.ContainsFunc(members, fleet.Member.Troubled), err)
	}
	return cmd
}

// fleetList gives the list with the clients that it asks.
func fleetList(ctx context.Context, a *app, apis []string) (list fleet.List, err error) {
	agents := map[string]fleet.Agent{}
	dial := func(url string) (fleet.Agent, error) {
		return control.NewRemote(control.Remote{URL: url, TokenFile: a.host.token, CAFile: a.settings.CAFile})
	}
	named, err := addressesOf(apis)
	if err != nil {
		return list, err
	}
	for _, one := range named {
		if agents[one.node], err = dial(one.url); err != nil {
			return list, err
		}
	}
	if a.host.token != "" {
		list.Dial = dial
	}
	if list.Tags, err = tagsOf(&a.settings); err != nil {
		return list, usageError{err}
	}
	client, err := pipelineGitLab(a)
	if err != nil {
		return list, err
	}
	list.GitLab, list.Branch, list.Agents = client, cmp.Or(a.settings.Branch, "master"), agents
	list.Environment, err = environmentOf(ctx, a, client, a.settings.Environment)
	return list, err
}

// watchFleet shows the nodes until ctx ends: on a terminal in one place, in a pipe a line for
// each change, and as JSON a list a line.
func watchFleet(ctx context.Context, a *app, list fleet.List, output string, poll time.Duration) error {
	onScreen, changed := newScreen(a.stdout), changes{a.stdout, map[string]string{}}
	for {
		members, err := list.Read(ctx)
		var refused *gitlab.Error
		wait := poll
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refused) && refused.Kind == gitlab.KindRetry:
			printFault(a.stderr, "warning", err)
			wait = max(poll, refused.RetryAfter)
		case err != nil:
			return err
		case output == "json":
			err = changed.printJSON(members)
		case onScreen != nil:
			var text strings.Builder
			p := newPrinter(a.stdout)
			p.Writer = &text
			err = printPage(p, fleetScreen, members)
			onScreen.draw(text.String())
		default:
			lines := map[string]string{}
			for _, m := range members {
				lines[m.Name] = fmt.Sprintf("%s %s %s: %s", m.Name, short(m.Commit), m.Verdict, m.Line())
			}
			err = changed.print(zoned(time.Now())+"  ", lines)
		}
		if err != nil && refused == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// fleetScreen lists the nodes of an environment.
func fleetScreen(s *page, members []fleet.Member) {
	s.table("NODE\tHEALTH\tCOMMIT\tRELEASE\tSINCE\tVERDICT\tWAITING FOR+", func(row func(...any)) {
		for _, m := range members {
			said := m.Text
			if m.State == fleet.Done || m.State == fleet.Silent {
				said = ""
			}
			if len(m.Gates) > 0 {
				said = m.Line()
			}
			said = joined("; ", said, after("its agent does not answer: ", m.Error), m.Ignored)
			since := "-"
			if !m.Since.IsZero() {
				since = s.moment(m.Since, zoned)
			}
			row(m.Name, orDash(string(m.Health)), orDash(short(m.Commit)), orDash(cmp.Or(m.Release, m.Tag)), since, m.Verdict, orDash(tidy(said)))
		}
	}, "RELEASE", "SINCE")
}
