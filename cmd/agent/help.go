package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"coin.internal/coin-agent/agent/settings"
)

// settingsOf names the settings that the help of a command shows. Every command
// accepts all settings as flags; the help of run lists them.
var settingsOf = map[string][]string{
	"agent":   {"config"},
	"status":  {"config", "socket", "state-dir"},
	"history": {"config", "socket", "state-dir"},
	"show":    {"config", "socket", "state-dir"},
	"sync":    {"config", "socket"},
	"pause":   {"config", "socket"},
	"resume":  {"config", "socket"},
	"retry":   {"config", "socket"},
	"approve": {"config", "socket"},
	"check":   {"config", "environment", "node"},
	"render":  {"config", "environment", "node", "repository", "age-key-files", "pgp-key-files"},
	"diff":    {"config", "environment", "node", "repository", "age-key-files", "pgp-key-files", "engine"},
	"doctor":  {"config"},
	"secrets": {"config"},
	"rotate": {
		"config", "environment", "age-key-files", "pgp-key-files", "pgp-passphrase-file", "repository", "git-token-file", "ssh-key-file", "known-hosts-file",
		"gitlab-url", "gitlab-project", "gitlab-token-file",
	},
	"suggest": {"config", "environment", "node", "repository", "engine"},
	"test":    {"config", "environment", "node", "repository", "engine"},
	"version": {},
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
// settings that it uses, and then how to list the others.
func explainSettings(root *cobra.Command) {
	template := strings.NewReplacer(
		"Global Flags:", "Settings:",
		`Use "{{.CommandPath}} [command] --help" for more information about a command.`,
		"Flags override "+settings.EnvPrefix+"* variables, which override the settings file; `agent run --help` lists all settings.\n"+
			`Exit codes: `+exitCodes+"\n\n"+`Use "{{.CommandPath}} [command] --help" for more about a command.`,
	).Replace(root.UsageTemplate())
	root.SetUsageTemplate(template)
	show := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if shown, some := settingsOf[cmd.Name()]; some {
			root.PersistentFlags().VisitAll(func(flag *pflag.Flag) { flag.Hidden = true })
			for _, name := range shown {
				root.PersistentFlags().Lookup(name).Hidden = false
			}
		}
		show(cmd, args)
	})
}

var exitCodes = strconv.Itoa(exitDone) + " done or in sync, " + strconv.Itoa(exitError) + " error, " +
	strconv.Itoa(exitUsage) + " wrong usage, " + strconv.Itoa(exitDifferent) + " differences or problems found."
