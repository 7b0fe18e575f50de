package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/manifests"
)

// completionTime is how long a shell waits for the values of an agent.
const completionTime = 2 * time.Second

// values gives the values that a shell offers. Nothing is offered where they cannot be read.
type values func(ctx context.Context, a *app, cmd *cobra.Command) []string

// completed has the shell complete values: those of the node from its agent, or its state file,
// and those of a repository from the folder that --repo names, or the present one.
func completed(a *app, root *cobra.Command) {
	arguments := map[string]struct {
		give values
		most int
	}{"show": {syncIDs, 1}, "logs": {serviceNames, 1}, "approve": {commits, 1}, "release promote": {environments, 2}}
	flags := map[string]values{"environment": environments, "node": nodes, "stack": stacks, "service": serviceNames, "to": goodIDs, "state": states, "output": outputs}
	offer := func(give values, most int) cobra.CompletionFunc {
		return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if most > 0 && len(args) >= most || a.settingsFor(cmd) != nil || a.useHost(cmd) != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
			defer cancel()
			return give(ctx, a, cmd), cobra.ShellCompDirectiveNoFileComp
		}
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if takes, some := arguments[strings.TrimPrefix(cmd.CommandPath(), "agent ")]; some {
			cmd.ValidArgsFunction = offer(takes.give, takes.most)
		}
		for name, give := range flags {
			if cmd.Flags().Lookup(name) != nil || cmd == root && cmd.PersistentFlags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, offer(give, 0)) // the flag exists, and has none
			}
		}
		for _, below := range cmd.Commands() {
			visit(below)
		}
	}
	visit(root)
}

func outputs(_ context.Context, _ *app, cmd *cobra.Command) []string {
	return cmd.Flags().Lookup("output").Annotations[outputForms]
}

func states(context.Context, *app, *cobra.Command) []string {
	var all []string
	for _, one := range []record.State{record.Pending, record.Waiting, record.Running, record.Succeeded, record.Failed, record.RolledBack, record.Superseded} {
		all = append(all, string(one))
	}
	return all
}

// lastSyncs gives the last syncs that a completion lists.
func lastSyncs(ctx context.Context, a *app) []record.Sync {
	syncs, err := readHistory(ctx, a, record.Query{Limit: 20})
	if err != nil {
		return nil
	}
	return syncs
}

func syncIDs(ctx context.Context, a *app, _ *cobra.Command) []string {
	ids := []string{"latest"}
	for _, sync := range lastSyncs(ctx, a) {
		ids = append(ids, described(fmt.Sprint(sync.ID), short(sync.Commit)+" "+string(sync.State)))
	}
	return ids
}

// goodIDs gives the good states; for --to of sync, which takes a tag, none.
func goodIDs(ctx context.Context, a *app, cmd *cobra.Command) []string {
	var ids []string
	if cmd.Name() != "rollback" {
		return nil
	}
	for _, sync := range lastSyncs(ctx, a) {
		if sync.Good {
			ids = append(ids, described(fmt.Sprint(sync.ID), releaseName(sync.Release, sync.Commit)))
		}
	}
	return ids
}

func commits(ctx context.Context, a *app, _ *cobra.Command) []string {
	var all []string
	for _, sync := range lastSyncs(ctx, a) {
		if sync.State == record.Waiting {
			all = append(all, described(short(sync.Commit), sync.Subject))
		}
	}
	return all
}

func serviceNames(ctx context.Context, a *app, cmd *cobra.Command) []string {
	status, err := readStatus(ctx, a)
	if err != nil {
		return nil
	}
	var names []string
	for _, one := range status.Services {
		name := one.Name
		if cmd.Name() != "rollback" {
			name = strings.TrimPrefix(name, status.Stack+"_")
		}
		names = append(names, described(name, tasks(one)))
	}
	return names
}

// described gives a value with its description, both without what a terminal would act on.
func described(value, about string) string {
	return cobra.CompletionWithDesc(tidy(value), tidy(about))
}

// repositoryOf opens the folder of files that a completion reads.
func repositoryOf(cmd *cobra.Command) string {
	if flag := cmd.Flags().Lookup("repo"); flag != nil && flag.Changed {
		return flag.Value.String()
	}
	return "."
}

func environments(_ context.Context, _ *app, cmd *cobra.Command) []string {
	names, _ := environmentsOf(cmd)
	return names
}

// environmentsOf gives the environments of the repository, and its files.
func environmentsOf(cmd *cobra.Command) ([]string, fs.FS) {
	root, _, err := findRepository(repositoryOf(cmd))
	if err != nil {
		return nil, nil
	}
	names, err := manifests.Environments(os.DirFS(root))
	if err != nil {
		return nil, nil
	}
	return names, os.DirFS(root)
}

// stacks gives the stacks of the node by its agent, or its state file. Where there is neither, and
// for a command that reads files, they are those that the files list for the node of the settings,
// or for every node.
func stacks(ctx context.Context, a *app, cmd *cobra.Command) []string {
	if repo := cmd.Flags().Lookup("repo"); repo != nil && (repo.Changed || repo.DefValue != "") {
		return listedStacks(a, cmd)
	}
	status, err := readStatus(ctx, a)
	if err != nil {
		return listedStacks(a, cmd)
	}
	var names []string
	for _, one := range status.Stacks {
		names = append(names, described(one.Stack, one.Text))
	}
	return names
}

func listedStacks(a *app, cmd *cobra.Command) []string {
	of, files := environmentsOf(cmd)
	var names []string
	for _, environment := range of {
		if a.settings.Environment != "" && environment != a.settings.Environment {
			continue
		}
		config, err := manifests.LoadConfig(files, environment)
		if err != nil {
			continue
		}
		for _, node := range config.Nodes {
			if a.settings.Node != "" && node.Name != a.settings.Node {
				continue
			}
			for _, stack := range config.StacksOf(node.Name) {
				names = append(names, stack.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func nodes(_ context.Context, a *app, cmd *cobra.Command) []string {
	of, files := environmentsOf(cmd)
	if environment := a.settings.Environment; slices.Contains(of, environment) {
		of = []string{environment}
	}
	var names []string
	for _, environment := range of {
		if config, err := manifests.LoadConfig(files, environment); err == nil {
			for _, node := range config.Nodes {
				names = append(names, node.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
