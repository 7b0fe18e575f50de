package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/dora"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

func reportCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "report", Short: "Sum up the history of nodes"}
	cmd.AddCommand(doraCommand(a))
	return cmd
}

func doraCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dora",
		Short: "Show how often, how fast and how well releases come to the node",
		Long: `Show deployment frequency, lead time, change failure rate, time to recover, and the times of
approvals, deployments and rollbacks, with their goals. docs/monitoring.md says what counts.

The syncs are those of the node's history, the last thousand. With --api other nodes'
agents are asked, too; --token-file names a token of their api_tokens.`,
		Example: "  agent report dora --since 30d -o markdown\n  agent report dora --api node3=https://node3.example.com:9181 --api node4=https://node4.example.com:9181 --token-file ~/api-token -o csv",
		Args:    noArgs,
	}
	output := outputFlag(cmd, "text", "json", "csv", "markdown")
	since := cmd.Flags().String("since", "90d", "start of the period: 24h, 7d, 2026-01-31 or a time such as 2026-01-31T08:00:00Z")
	apis := cmd.Flags().StringArray("api", nil, "ask this node's agent instead of the one of this machine: node=URL; may be given several times")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := onlyOne(cmd, "host", "api"); err != nil {
			return err
		}
		now := time.Now()
		from, err := sinceWhen(*since, now)
		if err != nil {
			return usageError{err}
		}
		if from.IsZero() || !from.Before(now) {
			return usageError{fault.New(fault.Place{}, "write 90d, or a time that is past", "--since %q begins no period", *since)}
		}
		nodes, err := historiesOf(cmd.Context(), a, *apis)
		if err != nil {
			return err
		}
		return printReport(a, *output, dora.New(nodes, from, now))
	}
	return cmd
}

// mostSyncs is more than the history of a node's stacks has.
const mostSyncs = 100_000

// historiesOf reads the histories of nodes: that of this machine's agent, or those of others.
func historiesOf(ctx context.Context, a *app, apis []string) ([]dora.Node, error) {
	query := record.Query{Limit: mostSyncs}
	if len(apis) == 0 {
		syncs, err := readHistory(ctx, a, query)
		return []dora.Node{{Name: cmp.Or(a.host.host, a.settings.Node, "this node"), Syncs: syncs}}, err
	}
	named, err := addressesOf(apis)
	if err != nil {
		return nil, err
	}
	var nodes []dora.Node
	for _, one := range named {
		client, err := control.NewRemote(control.Remote{URL: one.url, TokenFile: a.host.token, CAFile: a.settings.CAFile})
		if err != nil {
			return nil, err
		}
		syncs, err := pages(query, func(query record.Query) (record.Page, error) { return client.Page(ctx, query) })
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", one.node, err)
		}
		nodes = append(nodes, dora.Node{Name: one.node, Syncs: syncs})
	}
	return nodes, nil
}

// printReport prints a report in a form.
func printReport(a *app, output string, report dora.Report) error {
	switch output {
	case "csv":
		text, err := report.CSV()
		if err == nil {
			_, err = fmt.Fprint(a.stdout, text)
		}
		return err
	case "markdown":
		_, err := fmt.Fprint(a.stdout, report.Markdown())
		return err
	}
	return printScreen(a.stdout, output, doraScreen, report)
}

// doraScreen shows a report as a table.
func doraScreen(s *page, report dora.Report) {
	for _, note := range report.Notes() {
		s.line(note)
	}
	s.line()
	s.table("MEASURE\tVALUE\tOF\tBEFORE\tGOAL\tVERDICT", func(row func(...any)) {
		for i := range report.Results {
			m := &report.Results[i]
			row(m.Name, m.Text(m.Value), m.Count, m.Text(m.Before), m.Goal, m.Verdict())
		}
	})
}
