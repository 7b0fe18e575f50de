package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"coin.internal/coin-agent/agent/settings"
)

// gitAndGitLab are the settings of commands that work on the repository by merge requests.
var gitAndGitLab = []string{
	"config", "environment", "branch", "repository", "git-token-file", "ssh-key-file", "known-hosts-file",
	"gitlab-url", "gitlab-project", "gitlab-token-file", "ca-file",
}

// settingsOf names the settings that the help of a command shows, by its name or by what
// follows agent; config for the others. Every command accepts all settings as flags; the help of
// run lists them.
var settingsOf = map[string][]string{
	"init": {
		"config", "repository", "git-token-file", "ssh-key-file", "known-hosts-file", "environment", "node", "age-key-files", "engine",
		"gitlab-url", "gitlab-project", "gitlab-token-file", "ca-file",
	},
	"status":   {"config", "socket", "state-dir"},
	"history":  {"config", "socket", "state-dir"},
	"show":     {"config", "socket", "state-dir"},
	"events":   {"config", "socket"},
	"logs":     {"config", "socket"},
	"sync":     {"config", "socket"},
	"adopt":    {"config", "socket"},
	"pause":    {"config", "socket"},
	"resume":   {"config", "socket"},
	"retry":    {"config", "socket"},
	"approve":  {"config", "socket"},
	"rollback": {"config", "socket", "environment", "gitlab-url", "gitlab-project", "gitlab-token-file"},
	"check":    {"config", "environment", "node"},
	"render":   {"config", "environment", "node", "repository", "age-key-files", "pgp-key-files"},
	"diff":     {"config", "environment", "node", "repository", "age-key-files", "pgp-key-files", "engine"},
	"rotate": {
		"config", "environment", "age-key-files", "pgp-key-files", "pgp-passphrase-file", "repository", "git-token-file", "ssh-key-file", "known-hosts-file",
		"gitlab-url", "gitlab-project", "gitlab-token-file",
	},
	"suggest":    {"config", "environment", "node", "repository", "engine"},
	"test":       {"config", "environment", "node", "repository", "engine"},
	"wait":       {"config", "environment", "gitlab-url", "gitlab-project", "gitlab-token-file", "gitlab-agents", "ca-file"},
	"fleet":      {"config", "environment", "branch", "gitlab-url", "gitlab-project", "gitlab-token-file", "gitlab-agents", "ca-file", "token-file"},
	"dora":       {"config", "socket", "state-dir", "environment", "branch", "gitlab-url", "gitlab-project", "gitlab-token-file"},
	"import":     {"config", "environment", "node", "age-key-files", "pgp-key-files"},
	"version":    {},
	"explain":    {},
	"completion": {},
	"help":       {},

	"audit log":       {"config", "state-dir"},
	"audit verify":    {"config", "socket", "state-dir", "audit-issue", "gitlab-url", "gitlab-project", "gitlab-token-file"},
	"policy show":     {"config", "socket"},
	"release prepare": slices.Concat(gitAndGitLab, []string{"engine", "registry-config-file"}),
	"release promote": slices.Concat(gitAndGitLab, []string{"gitlab-agents"}),
	"release revert":  gitAndGitLab,
	"release flags":   gitAndGitLab,
	"secrets list":    {"config", "socket", "state-dir", "engine"},
	"secrets gc":      {"config", "socket", "state-dir", "engine"},
	"secrets audit":   {"config", "environment", "state-dir", "age-key-files", "pgp-key-files", "gitlab-url", "gitlab-project", "gitlab-token-file"},
	"stack check":     {"config"},
	"stack deploy":    {"config", "age-key-files", "pgp-key-files", "pgp-passphrase-file", "engine", "registry-config-file"},
	"stack run":       {"config", "age-key-files", "pgp-key-files", "pgp-passphrase-file", "registry-config-file"},
}

// addSetting adds the flag of a setting.
func addSetting(flags *pflag.FlagSet, field settings.Field) {
	switch field.Kind() {
	case "bool":
		flags.Bool(field.Flag(), field.Default() == "true", field.Help)
	case "list":
		flags.StringSlice(field.Flag(), nil, field.Help)
	default:
		flags.String(field.Flag(), field.Default(), field.Help)
	}
}

// flagText gives a flag's value in the form of the settings; commas separate a list.
func flagText(flag *pflag.Flag) string {
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		return strings.Join(list.GetSlice(), ",")
	}
	return flag.Value.String()
}

// explainSettings makes each command's help show its own flags first, then the
// settings that it uses, and then how to list the others. It sets a function and not cobra's
// template: cobra fills templates with text/template, and the linker then keeps every
// exported method of every library.
func explainSettings(root *cobra.Command) {
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := fmt.Fprintln(cmd.OutOrStderr(), usageText(cmd, 0))
		return err
	})
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		showSettings(cmd)
		printHelp(cmd)
	})
}

// showSettings hides the settings that the command does not use.
func showSettings(cmd *cobra.Command) {
	path := strings.TrimPrefix(cmd.CommandPath(), "agent ")
	shown, some := settingsOf[path]
	if !some {
		shown, some = settingsOf[cmd.Name()]
	}
	if !some {
		shown = []string{"config"}
	}
	if slices.Contains(remoteCommands, path) {
		shown = append(slices.Clone(shown), "host", "token-file", "ca-file")
	}
	cmd.Root().PersistentFlags().VisitAll(func(flag *pflag.Flag) {
		flag.Hidden = path != "run" && !slices.Contains(shown, flag.Name)
	})
}

// listCommands lists the commands below a command by their groups, in the order of the groups.
func listCommands(text *strings.Builder, cmd *cobra.Command, width int) {
	list := func(title string, belongs func(*cobra.Command) bool) {
		begun := false
		for _, one := range cmd.Commands() {
			if !belongs(one) || !one.IsAvailableCommand() && one.Name() != "help" {
				continue
			}
			if !begun {
				text.WriteString("\n\n" + title)
				begun = true
			}
			text.WriteString("\n" + wrapped(fmt.Sprintf("  %-*s %s", one.NamePadding(), one.Name(), one.Short), width))
		}
	}
	for _, group := range cmd.Groups() {
		list(group.Title, func(one *cobra.Command) bool { return one.GroupID == group.ID })
	}
	title := "Commands:"
	if len(cmd.Groups()) > 0 {
		title = "Others:"
	}
	list(title, func(one *cobra.Command) bool { return one.GroupID == "" })
}

// printUsageOf prints, after a wrong command line, how its command is used.
func printUsageOf(a *app, cmd *cobra.Command) {
	if cmd == nil || !cmd.HasParent() {
		return
	}
	fmt.Fprintf(a.stderr, "agent: usage: %s\n", cmd.UseLine())
	for line := range strings.SplitSeq(cmd.Example, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintf(a.stderr, "agent: example: %s\n", line)
		}
	}
}

var exitCodes = strconv.Itoa(exitDone) + " done or in sync, " + strconv.Itoa(exitError) + " error, " +
	strconv.Itoa(exitUsage) + " wrong usage, " + strconv.Itoa(exitDifferent) + " differences or problems found, or a wait for a user, " + strconv.Itoa(exitTimeout) + " the time is over."
