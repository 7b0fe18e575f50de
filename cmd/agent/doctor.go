package main

import (
	"slices"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/doctor"
)

func doctorCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "doctor", Short: "Check everything the agent depends on, and give a hint for each problem", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		findings := doctor.Examine(cmd.Context(), doctor.Dependencies{
			Settings: &a.settings, Keys: a.keyring, Engine: a.connect, GitLab: a.gitLab, MailServer: a.mailServer,
		})
		err := printAs(a.stdout, *output, findings, func(p printer) { printFindings(p, findings) })
		return differentIf(slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Grade == doctor.Bad }), err)
	}
	return cmd
}

func printFindings(p printer, findings []doctor.Finding) {
	colours := map[doctor.Grade]string{doctor.Good: green, doctor.Doubtful: yellow, doctor.Bad: red}
	for _, finding := range findings {
		p.line("%s  %-12s %s", p.paint(colours[finding.Grade], string(finding.Grade)), finding.Subject, finding.Text)
		if finding.Hint != "" {
			p.line("      hint: %s", finding.Hint)
		}
	}
}
