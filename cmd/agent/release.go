package main

import "github.com/spf13/cobra"

func releaseCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "release", Short: "Move releases between environments by merge requests", Args: noArgs}
	cmd.AddCommand(promoteCommand(a), revertCommand(a), flagsCommand(a))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}
