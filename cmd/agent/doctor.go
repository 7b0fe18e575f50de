package main

import (
	"slices"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "doctor", Short: "Probe everything the agent depends on; each line says what to do", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output, "text", "json"); err != nil {
			return err
		}
		findings := agent.Examine(cmd.Context(), agent.Dependencies{
			Settings: &a.settings, Keys: a.keyring, Engine: a.connect, GitLab: a.gitLab, MailServer: a.mailServer,
		})
		if *output == "json" {
			if err := printJSON(a.stdout, findings); err != nil {
				return err
			}
		} else {
			a.printFindings(findings)
		}
		if slices.ContainsFunc(findings, func(f agent.Finding) bool { return f.Grade == agent.Bad }) {
			return errDifferent
		}
		return nil
	}
	return cmd
}

func (a *app) printFindings(findings []agent.Finding) {
	p := newPrinter(a.stdout)
	colours := map[agent.Grade]string{agent.Good: green, agent.Doubtful: yellow, agent.Bad: red}
	for _, finding := range findings {
		p.line("%s  %-12s %s", p.paint(colours[finding.Grade], string(finding.Grade)), finding.Subject, finding.Text)
		if finding.Hint != "" {
			p.line("      hint: %s", finding.Hint)
		}
	}
}
