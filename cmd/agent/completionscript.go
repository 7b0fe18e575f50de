package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// shells are those that the agent has a completion script for.
var shells = []string{"bash", "fish", "zsh"}

// completionCommand takes the place of cobra's, which accepts any argument and shows its help.
func completionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "completion {" + strings.Join(shells, "|") + "}", Short: "Print the script by which a shell completes commands, flags and values",
		Example: "  agent completion bash >/etc/bash_completion.d/agent\n" +
			"  agent completion fish >~/.config/fish/completions/agent.fish\n" +
			"  agent completion zsh >/usr/local/share/zsh/site-functions/_agent",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return shells, cobra.ShellCompDirectiveNoFileComp
		},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return usageError{fmt.Errorf("name one shell: %s or %s", strings.Join(shells[:len(shells)-1], ", "), shells[len(shells)-1])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			}
			return root.GenBashCompletionV2(a.stdout, true)
		},
	}
}
