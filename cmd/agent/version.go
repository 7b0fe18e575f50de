package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

func versionCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(*cobra.Command, []string) error {
		platform := runtime.GOOS + "/" + runtime.GOARCH
		facts := map[string]string{"version": version, "go": runtime.Version(), "platform": platform}
		return printScreen(a.stdout, *output, versionScreen, facts)
	}
	return cmd
}
