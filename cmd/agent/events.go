package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
)

func eventsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "events", Short: "Show what the agent has done lately, and with -f what it does", Args: noArgs,
		Long: `Show the last events: looks, stages, gates, writes, failed tasks, outcomes, changes of
health, and statuses that GitLab has.

With -f the command waits for more until it is interrupted. It connects again when the
agent restarts, and says when events are lost.`,
		Example: "  agent events -f\n  agent events -o json | jq 'select(.kind == \"write\")'",
	}
	output := outputFlag(cmd, "text", "json")
	follow := cmd.Flags().BoolP("follow", "f", false, "wait for more")
	after := cmd.Flags().String("after", "", "only events after the one of this ID")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		printing := eventPrinter{a, *output, *after}
		if *follow {
			return printing.follow(cmd.Context())
		}
		batch, err := a.client().Events(cmd.Context(), *after)
		if err != nil {
			return err
		}
		for i, event := range batch.Events {
			if err := printing.print(event, batch.Missed && i == 0); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// eventPrinter prints events, and remembers the last one.
type eventPrinter struct {
	app    *app
	output string
	last   string // the ID of the last event
}

// follow prints events until ctx ends.
func (p *eventPrinter) follow(ctx context.Context) error {
	return reconnecting(ctx, p.app, func() (got bool, err error) {
		err = p.app.client().FollowEvents(ctx, p.last, func(event events.Event, missed bool) error {
			got = true
			return p.print(event, missed)
		})
		return got, err
	})
}

func (p *eventPrinter) print(event events.Event, missed bool) error {
	p.last = event.ID
	if missed {
		printFault(p.app.stderr, "warning", fault.New(fault.Place{}, "`agent history` lists the syncs", "events before this one are lost: the agent was restarted, or did much since"))
	}
	if p.output == "json" {
		return printJSONLine(p.app.stdout, event)
	}
	about := ""
	if event.Stack != "" {
		about = event.Stack + ": "
	}
	line := visible.Line(fmt.Sprintf("%s  %-12s  %s%s", zoned(event.At), event.Kind, about, event.Text))
	_, err := fmt.Fprintln(p.app.stdout, wrapped(line, newPrinter(p.app.stdout).width))
	return err
}
