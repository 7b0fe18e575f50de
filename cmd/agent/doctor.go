package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/doctor"
	gitsync "coin.internal/coin-agent/sync"
)

func doctorCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "doctor", Short: "Check everything the agent depends on, and give a hint for each problem", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		findings := doctor.Examine(cmd.Context(), doctor.Dependencies{
			Settings: &a.settings, Keys: a.keyring, Vault: vaultOf(&a.settings), Engine: a.connect, GitLab: a.gitLab, Tokens: a.gitLabTokens, Issue: a.issue, MailServer: a.mailServer,
			Follows: func(ctx context.Context, source *gitsync.Repository) (gitsync.Revision, error) {
				return follows(ctx, a, source, "")
			},
		})
		err := printScreen(a.stdout, *output, doctorScreen, findings)
		return differentIf(slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Grade == doctor.Bad }), err)
	}
	return cmd
}

var gradeColours = map[doctor.Grade]string{doctor.Good: green, doctor.Doubtful: yellow, doctor.Bad: red}
