package main

import "github.com/spf13/cobra"

func releaseCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "release", Short: "Bring releases into the repository, and move them, by merge requests"}
	cmd.AddCommand(prepareCommand(a), promoteCommand(a), revertCommand(a), flagsCommand(a))
	return cmd
}
