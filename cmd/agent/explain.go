package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/explain"
	"coin.internal/coin-agent/internal/fault"
)

func explainCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain [CODE]", Short: "Describe a class of errors: its cause, what to check, and the remedy; without CODE, list them",
		Example: "  agent explain\n  agent explain engine",
		Args:    takes(cobra.MaximumNArgs(1), nil),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var codes []string
			for _, one := range explain.All() {
				if len(args) == 0 {
					codes = append(codes, cobra.CompletionWithDesc(string(one.Code), one.Title))
				}
			}
			return codes, cobra.ShellCompDirectiveNoFileComp
		},
	}
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return printScreen(a.stdout, *output, codesScreen, explain.All())
		}
		entry, near, found := explain.Find(args[0])
		if !found {
			hint := "`agent explain` lists the codes"
			if near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return usageError{fault.New(fault.Place{}, hint, "no class of errors has the code %q", args[0])}
		}
		return printScreen(a.stdout, *output, explainScreen, entry)
	}
	return cmd
}

// codesScreen lists the classes of errors.
func codesScreen(s *page, entries []explain.Entry) {
	s.table("CODE\tMEANS", func(row func(...any)) {
		for _, one := range entries {
			row(one.Code, one.Title)
		}
	})
}

// explainScreen describes a class of errors.
func explainScreen(s *page, entry explain.Entry) {
	s.put(entry.Code, ": ", entry.Title)
	s.line()
	s.line("  cause     ", entry.Cause)
	name := "check"
	for _, one := range entry.Checks {
		s.line("  ", pad(name), one)
		name = ""
	}
	s.line("  remedy    ", entry.Remedy)
}
