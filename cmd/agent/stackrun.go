package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/containers"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

func stackRunCommand(a *app) *cobra.Command {
	var flags stackFlags
	options := containers.Options{}
	cmd := &cobra.Command{
		Use:   "run -w STACK -f FILE…",
		Short: "Run a stack as containers, on an engine that needs no Swarm",
		Long: `Run a stack as containers, on an engine that needs no Swarm.

The files are those of "agent stack deploy". Each replica is a container; networks
are bridges of the engine; depends_on orders the starts, with its conditions.
Secrets are files in the memory of this machine, so the engine must be local. What
only Swarm does is listed as warnings. A second run replaces the containers that
differ, and removes those that the files no longer describe. Images that the engine
lacks, with -u all, are pulled with the logins that docker login stored.`,
		Example: "  agent stack run -w coin -N node.env -P project.env -f docker-compose.yml",
		Args:    noArgs,
	}
	flags.add(cmd)
	addRunFlags(cmd, &options)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if options.Timeout <= 0 {
			return usageError{errors.New("--timeout is not a duration above 0, such as 10m")}
		}
		return runStack(cmd.Context(), a, &flags, options)
	}
	return cmd
}

func addRunFlags(cmd *cobra.Command, options *containers.Options) {
	cmd.Flags().StringVar(&options.Files, "files", containers.DefaultFiles, "folder for the files of secrets and configs, on a tmpfs of this machine")
	options.Timeout = 10 * time.Minute
	durationVar(cmd.Flags(), &options.Timeout, "timeout", "how long a container may take to be healthy, or to do its job")
}

func runStack(ctx context.Context, a *app, flags *stackFlags, options containers.Options) error {
	files, err := readFilesOf(ctx, a, flags, withoutSwarm)
	if err != nil {
		return err
	}
	defer files.Wipe()
	if options.API, err = stackClient(a, flags); err != nil {
		return err
	}
	defer func() { _ = options.API.Close() }()
	options.Puller, options.Update = deploy.NewPuller(options.API, storedLogins(a)), flags.files.Update
	options.Stack, options.Progress = files.Stack, func(line string) { fmt.Fprintln(a.stdout, printable(line)) }
	warnings, changed, err := containers.Run(ctx, options)
	for _, warning := range warnings {
		printFault(a.stderr, "warning", errors.New(warning))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s changed\nDone.\n", plural.Count(changed, "container"))
	return nil
}

func stackStopCommand(a *app) *cobra.Command {
	var flags stackFlags
	var volumes bool
	options := containers.Options{}
	cmd := &cobra.Command{
		Use:   "stop -w STACK",
		Short: "Remove what `agent stack run` made: containers, networks, files of secrets",
		Long: `Remove what "agent stack run" made: containers, networks, files of secrets.

Only objects with the label of that command are removed. Volumes stay, with
their data, unless --volumes is given. The other flags are accepted, so that the
command line of deployment.sh works, and have no effect.`,
		Example: "  agent stack stop -w coin",
		Args:    noArgs,
	}
	flags.add(cmd)
	addRunFlags(cmd, &options)
	cmd.Flags().BoolVar(&volumes, "volumes", false, "remove the volumes that the command made, too, with their data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if flags.files.Stack == "" {
			return usageError{fault.New(fault.Place{}, "name the stack with -w", "the name of the stack is missing")}
		}
		err := flags.files.ValidateStack()
		if err != nil {
			return usageError{err}
		}
		if options.API, err = stackClient(a, &flags); err != nil {
			return err
		}
		defer func() { _ = options.API.Close() }()
		options.Stack, options.Progress = &compose.Stack{Name: flags.files.Stack}, func(line string) { fmt.Fprintln(a.stdout, printable(line)) }
		removed, err := containers.Stop(cmd.Context(), options, volumes)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s removed\nDone.\n", plural.Count(removed, "object"))
		return nil
	}
	return cmd
}
