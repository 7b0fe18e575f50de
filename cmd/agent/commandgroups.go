package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/internal/fault"
)

// groups are the parts of the list of commands, in their order.
var groups = []struct {
	id, title string
	commands  []string
}{
	{"look", "Look:", []string{"status", "history", "show", "logs", "events", "diff", "fleet", "wait", "report", "explain"}},
	{"act", "Act:", []string{"sync", "release", "rollback", "retry", "approve", "adopt", "pause", "resume"}},
	{"secrets", "Secrets:", []string{"secrets"}},
	{"verify", "Verify:", []string{"check", "render", "doctor", "policy", "audit"}},
	{"stack", "In the place of deployment.sh:", []string{"stack", "import"}},
	{"daemon", "Daemon:", []string{"init", "run", "version", "completion"}},
}

// commandExamples are those of commands that give none themselves, by what follows agent.
var commandExamples = map[string]string{
	"audit log":       "agent audit log --since 24h",
	"audit verify":    "agent audit verify",
	"check":           "agent check .\nagent check environments/production/nodes/node3",
	"diff":            "agent diff\nagent diff --revision my-branch",
	"doctor":          "agent doctor",
	"policy show":     "agent policy show",
	"release prepare": "agent release prepare --environment sandbox --tag 2025-12-15-11eeef9e99 --from-image --version 25.22 --migration 565",
	"render":          "agent render --repo . --environment production --node node3",
	"run":             "agent run --config /etc/coin-agent/agent.yml",
	"secrets rotate":  "agent secrets rotate db_access --environment production --generate 32",
	"secrets gc":      "agent secrets gc --dry-run",
	"secrets list":    "agent secrets list",
	"status":          "agent status\nagent status --watch\nagent status -o json",
	"version":         "agent version -o json",
	"secrets audit":   "agent secrets audit --environment production",
}

// grouped puts commands into their groups, and gives examples to those without.
func grouped(root *cobra.Command) {
	for _, group := range groups {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, name := range group.commands {
			if command, _, err := root.Find([]string{name}); err == nil && command != root {
				command.GroupID = group.id
			}
		}
	}
	for path, text := range commandExamples {
		command, _, err := root.Find(strings.Fields(path))
		if err == nil && command != root && command.Example == "" {
			command.Example = "  " + strings.ReplaceAll(text, "\n", "\n  ")
		}
	}
}

// withoutCommand has each command that only contains others show its help, and refuse a name that none of
// them has: to cobra that is a success.
func withoutCommand(root *cobra.Command) {
	for _, command := range append(root.Commands(), root) {
		if command.HasSubCommands() && !command.Runnable() {
			command.Args = onlyCommands
			command.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	root.SetHelpCommand(&cobra.Command{
		Use: "help [command]", Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			about, left, err := root.Find(args)
			if err == nil && len(left) > 0 {
				err = unknownCommand(about, left[0])
			}
			if err != nil {
				return usageError{err}
			}
			return about.Help()
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			in, left, err := root.Find(args)
			if err != nil || len(left) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, one := range in.Commands() {
				if one.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(one.Name(), one.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	})
}

// onlyCommands refuses the name of a command that another does not contain.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{unknownCommand(cmd, args[0])}
}

func unknownCommand(in *cobra.Command, name string) error {
	var names []string
	for _, one := range in.Commands() {
		names = append(names, one.Name())
	}
	hint := ""
	if near := fault.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean `%s %s`?", in.CommandPath(), near)
	}
	return fault.New(fault.Place{}, hint, "unknown command %q for %q", name, in.CommandPath())
}
