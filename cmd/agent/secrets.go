package main

import (
	"github.com/spf13/cobra"
)

func (a *app) secretsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "secrets", Short: "Work on the secrets of an environment", Args: noArgs}
	cmd.AddCommand(a.secretsListCommand(), a.secretsGCCommand(), a.rotateCommand(), a.secretsAuditCommand())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}
