package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

func logsCommand(a *app) *cobra.Command {
	var asked request.Logs
	cmd := &cobra.Command{
		Use: "logs SERVICE", Short: "Show the log lines of a service's tasks, with secrets masked",
		Long: `Show the last log lines of a service's tasks, in order of time. The values of the
stack's secrets, and what looks like a secret, are masked. Lines of a task with a secret
whose value the agent does not know are not shown.

With -f the command waits for more until it is interrupted, and connects again when the
agent restarts.`,
		Example: "  agent logs api -f\n  agent logs migrate --failed -n 50",
		Args:    takes(cobra.ExactArgs(1), errors.New("name one service, as `agent status` shows it")),
	}
	output := outputFlag(cmd, "text", "json")
	flags := cmd.Flags()
	flags.BoolVarP(&asked.Follow, "follow", "f", false, "wait for more lines")
	flags.BoolVar(&asked.Failed, "failed", false, "only lines of tasks that have failed")
	flags.IntVarP(&asked.Lines, "lines", "n", 100, "number of lines, up to 1000")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asked.Service = args[0]
		if asked.Lines < 1 || asked.Lines > mostLines {
			return usageError{fmt.Errorf("--lines %d: ask for 1 to %d lines", asked.Lines, mostLines)}
		}
		show := func(line deploy.LogLine) error { return printLogLine(a, line, *output) }
		if asked.Follow {
			return followLogs(cmd.Context(), a, asked, show)
		}
		return a.client().Logs(cmd.Context(), asked, show)
	}
	return cmd
}

// mostLines is how many lines the agent gives of those before it was asked.
const mostLines = 1000

// followLogs gives lines until ctx ends, each once. After a break it asks for as many as there
// are, and leaves out those that came before.
func followLogs(ctx context.Context, a *app, asked request.Logs, each func(deploy.LogLine) error) error {
	last := map[string]time.Time{} // the last line of each stream of a task
	return reconnecting(ctx, a, func() (got bool, err error) {
		shown, newest := maps.Clone(last), time.Time{}
		for _, at := range shown {
			if asked.Lines = mostLines; at.After(newest) {
				newest = at
			}
		}
		err = a.client().Logs(ctx, asked, func(line deploy.LogLine) error {
			got = true
			stream := line.Task + " " + line.Stream
			before, known := shown[stream]
			if !known {
				before = newest
			}
			if len(shown) > 0 && !line.At.After(before) {
				return nil
			}
			last[stream] = line.At
			return each(line)
		})
		return got, err
	})
}

// printLogLine prints a log line.
func printLogLine(a *app, line deploy.LogLine, output string) error {
	if output == "json" {
		return printJSONLine(a.stdout, line)
	}
	out := newPrinter(a.stdout)
	colour := map[string]string{"stderr": yellow, "note": dim}[line.Stream]
	_, err := fmt.Fprintln(a.stdout, out.paint(dim, zoned(line.At)+" "+line.Task)+"  "+out.paint(colour, line.Text))
	return err
}
