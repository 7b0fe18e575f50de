package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// remoteFlags name the API of another node's agent.
type remoteFlags struct{ host, token string }

// remoteCommands are the commands that ask an agent, and so can ask another node's. The others
// work with files, keys or the engine of this machine.
var remoteCommands = []string{
	"adopt", "approve", "audit verify", "diff", "events", "history", "logs", "pause", "policy show", "report dora", "resume", "retry",
	"rollback", "secrets gc", "secrets list", "show", "status", "sync",
}

// add adds the flags to all commands.
func (f *remoteFlags) add(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&f.host, "host", "", "ask the agent at this address, such as https://node3.example.com:9181, instead of the one on this machine")
	flags.StringVar(&f.token, "token-file", "", "file with a token of that agent's api_tokens; --ca-file adds certificates to trust")
}

// useHost has a command ask another node's agent, if the flags name one.
func (a *app) useHost(cmd *cobra.Command) error {
	if a.host.host == "" {
		if a.host.token != "" && cmd.Name() != "fleet" && cmd.Name() != "dora" && !onGroup(cmd) { // which name agents by --api
			return usageError{fault.New(fault.Place{}, "add --host", "--token-file needs --host")}
		}
		return nil
	}
	name := strings.TrimPrefix(cmd.CommandPath(), "agent ")
	if !slices.Contains(remoteCommands, name) {
		return usageError{fault.New(fault.Place{}, "run it on the node", "agent %s works on this machine only, not with --host", name)}
	}
	var err error
	a.remote, err = control.NewRemote(control.Remote{URL: a.host.host, TokenFile: a.host.token, CAFile: a.settings.CAFile})
	return err
}

// onGroup reports whether a command works on all nodes, by their agents' APIs.
func onGroup(cmd *cobra.Command) bool {
	flag := cmd.Flags().Lookup("group")
	return flag != nil && flag.Changed
}

// client gives the client of the agent that the command asks.
func (a *app) client() *control.Client {
	client := a.remote
	if client == nil {
		client = control.NewClient(a.settings.Socket)
	}
	return client.Of(record.StackKey(a.stack))
}

// here refuses what a command cannot do with another node's agent.
func (a *app) here(what string) error {
	if a.remote == nil {
		return nil
	}
	return usageError{fault.New(fault.Place{}, "run it on the node", "%s works on this machine only, not with --host", what)}
}
