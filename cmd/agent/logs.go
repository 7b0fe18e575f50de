package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/visible"
)

func logsCommand(a *app) *cobra.Command {
	var asked request.Logs
	cmd := &cobra.Command{
		Use: "logs SERVICE", Short: "Show the log lines of a service's tasks, with secrets masked",
		Long: `Show the last log lines of a service's tasks, in order of time. The values of the
stack's secrets, and what looks like a secret, are masked. Lines of a task with a secret
whose value the agent does not know are not shown.`,
		Example: "  agent logs api -f\n  agent logs migrate --failed -n 50",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.ExactArgs(1)(cmd, args); err != nil {
				return usageError{fmt.Errorf("name one service, as `agent status` shows it")}
			}
			return nil
		},
	}
	output := outputFlag(cmd, "text", "json")
	flags := cmd.Flags()
	flags.BoolVarP(&asked.Follow, "follow", "f", false, "wait for more lines")
	flags.BoolVar(&asked.Failed, "failed", false, "only lines of tasks that have failed")
	flags.IntVarP(&asked.Lines, "lines", "n", 100, "number of lines, up to 1000")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asked.Service = args[0]
		err := a.client().Logs(cmd.Context(), asked, func(line deploy.LogLine) error { return a.printLine(line, *output) })
		if asked.Follow && cmd.Context().Err() != nil {
			return nil
		}
		return err
	}
	return cmd
}

// printLine prints a log line.
func (a *app) printLine(line deploy.LogLine, output string) error {
	text := ""
	if output == "json" {
		data, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("print: %w", err)
		}
		text = string(visible.JSON(data))
	} else {
		out := newPrinter(a.stdout)
		colour := map[string]string{"stderr": yellow, "note": dim}[line.Stream]
		text = string(out.paint(dim, zoned(line.At)+" "+line.Task)) + "  " + string(out.paint(colour, line.Text))
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}
