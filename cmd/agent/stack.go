package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/client"
	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/contexts"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/stackdeploy"
	"coin.internal/coin-agent/stackfiles"
)

// scriptNames are the names of a link to the program that make it deployment.sh.
var scriptNames = []string{"deployment.sh", "deploy.sh"}

// arguments gives the command line of the program: by a link with the name of the script, that
// of `agent stack`.
func arguments(args []string) []string {
	if slices.Contains(scriptNames, filepath.Base(args[0])) {
		return append([]string{"stack"}, args[1:]...)
	}
	return args[1:]
}

func stackCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stack",
		Short: "Do what deployment.sh did, with its flags, from files in any folder",
		Long: `Do what deployment.sh did, with its flags, from files in any folder.

A link to the program with the name deployment.sh or deploy.sh is this command:
"./deploy.sh deploy -w coin …". docs/stack.md has the place of each flag and step.`,
	}
	cmd.AddCommand(stackCheckCommand(a), stackDeployCommand(a), stackRunCommand(a), stackStopCommand(a))
	return cmd
}

// stackFlags are the flags that name the files of a stack.
type stackFlags struct {
	files  stackfiles.Flags
	strict bool
}

func (f *stackFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.files.Node, "context", "n", "", "Docker context of the node (default: the current one); NAME.env is read first if it exists")
	flags.StringVarP(&f.files.Stack, "stack", "w", "", "name of the stack")
	flags.StringArrayVarP(&f.files.Nodes, "node-env", "N", nil, "file with variables for the compose files, such as node.env; several are read in order")
	flags.StringArrayVarP(&f.files.Project, "project-env", "P", nil, "file with settings for the containers, such as project.env; several are joined in order")
	flags.StringArrayVarP(&f.files.Compose, "file", "f", nil, "compose file; several are merged in order")
	flags.StringVarP(&f.files.Secrets, "secrets-env", "s", "", "file with the versions of secrets, encrypted with SOPS or plain; it overrides everything else")
	flags.BoolVarP(&f.files.Update, "update", "u", false, "ask for the digests of all images anew, and send the logins of docker login")
	flags.BoolVar(&f.strict, "strict", false, "refuse variables that are not set, instead of a warning and an empty value")
}

// options gives how the files are read: from the current folder.
func (f *stackFlags) options(a *app) (stackfiles.Options, error) {
	if err := f.files.Validate(); err != nil {
		return stackfiles.Options{}, usageError{err}
	}
	dir, err := os.Getwd()
	if err != nil {
		return stackfiles.Options{}, fmt.Errorf("find the current folder: %w", err)
	}
	return stackfiles.Options{Dir: dir, Limits: a.settings.Limits, Strict: f.strict}, nil
}

// readStack reads and renders the files, and prints their warnings. Wipe must be called after
// the use of the secrets.
func readStack(ctx context.Context, a *app, flags *stackFlags) (*stackfiles.Files, error) {
	return readFilesOf(ctx, a, flags, func(*fault.Error) bool { return true })
}

// withoutSwarm gives the warnings that hold without Swarm, where depends_on has an effect.
func withoutSwarm(warning *fault.Error) bool {
	return !strings.Contains(warning.Message, ": depends_on has no effect")
}

// readFilesOf is readStack, with a choice of warnings.
func readFilesOf(ctx context.Context, a *app, flags *stackFlags, shown func(*fault.Error) bool) (*stackfiles.Files, error) {
	options, err := flags.options(a)
	if err != nil {
		return nil, err
	}
	if flags.files.Stack == "" {
		return nil, usageError{fault.New(fault.Place{}, "name the stack with -w", "the name of the stack is missing")}
	}
	if options.Keys, err = a.keyring(); err != nil {
		return nil, err
	}
	files, err := stackfiles.Read(ctx, flags.files, options)
	if err != nil {
		return nil, fault.WithCode(err, fault.CodeFiles)
	}
	for _, warning := range files.Warnings {
		if shown(warning) {
			printFault(a.stderr, "warning", warning)
		}
	}
	return files, nil
}

func stackCheckCommand(a *app) *cobra.Command {
	var flags stackFlags
	cmd := &cobra.Command{
		Use:     "check -f FILE…",
		Short:   "Print the merged compose files, without secret values; exit code 3 if there are problems",
		Example: "  agent stack check -N node.env -P project.env -f docker-compose.yml",
		Args:    noArgs,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		options, err := flags.options(a)
		if err != nil {
			return err
		}
		files, err := stackfiles.Check(cmd.Context(), flags.files, options)
		if cmd.Context().Err() != nil {
			return err
		}
		defer files.Wipe()
		if files != nil {
			for _, warning := range files.Warnings {
				printFault(a.stderr, "warning", warning)
			}
		}
		for _, one := range fault.All(err) {
			printFault(a.stderr, "problem", one)
		}
		if err != nil {
			return errDifferent
		}
		text, err := files.Stack.YAML()
		if err != nil {
			return err
		}
		masks := deploy.NewMasks(files.Stack)
		for line := range strings.Lines(string(text)) { // a mask goes on to the end of a value, which may be on the next line
			if _, err := fmt.Fprintln(a.stdout, masks.Text(strings.TrimSuffix(line, "\n"))); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
		return nil
	}
	return cmd
}

func stackDeployCommand(a *app) *cobra.Command {
	var flags stackFlags
	var how deployFlags
	cmd := &cobra.Command{
		Use:   "deploy -w STACK -f FILE…",
		Short: "Deploy a stack that no agent keeps in sync, and wait until its services run",
		Long: `Deploy a stack that no agent keeps in sync, and wait until its services run.

The plan is shown and then applied: services that the files do not have are removed, cron
services are paused, migrate and test_setup run before the other services. A deployment
without a difference writes no service. The command ends with "Done.", or with an error once a
service has failed or has not converged in time.`,
		Example: "  agent stack deploy -n wlt-sbx-dkapp3-ams -w sbxapp3 -N node.env -P project.env -f docker-compose.yml -s secrets.override.env -u",
		Args:    noArgs,
	}
	flags.add(cmd)
	how.timeout = deploy.DefaultTimeout
	durationVar(cmd.Flags(), &how.timeout, "timeout", "how long a service may take to converge; its label coin-agent.timeout overrides this")
	cmd.Flags().BoolVar(&how.takeOver, "take-over", false, "deploy although an agent keeps the stack in sync, which then no longer owns it")
	cmd.Flags().BoolVar(&how.dryRun, "dry-run", false, "show the plan only; exit code 3 if there are changes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if how.timeout <= 0 {
			return usageError{errors.New("--timeout is not a duration above 0, such as 10m")}
		}
		files, err := readStack(cmd.Context(), a, &flags)
		if err != nil {
			return err
		}
		defer files.Wipe()
		engine, err := stackEngine(a, &flags)
		if err != nil {
			return err
		}
		defer func() { _ = engine.Close() }()
		return deployStack(cmd.Context(), a, stackdeploy.Options{Engine: engine, Stack: files.Stack, TakeOver: how.takeOver, Timeout: how.timeout}, how.dryRun)
	}
	return cmd
}

// deployFlags say how a stack is deployed.
type deployFlags struct {
	timeout          time.Duration
	takeOver, dryRun bool
}

// stackEngine connects to the engine of the Docker context that -n names, else of the one that
// the docker CLI would use. With -u it has the logins that docker login stored.
func stackEngine(a *app, flags *stackFlags) (*deploy.Engine, error) {
	api, err := stackClient(a, flags)
	if err != nil {
		return nil, err
	}
	engine := deploy.New(api)
	if flags.files.Update {
		engine.UseLogins(storedLogins(a))
	}
	return engine, nil
}

// storedLogins gives the file of the setting, or the one in which docker login stores; "" if there
// is none.
func storedLogins(a *app) string {
	if a.settings.RegistryConfigFile != "" {
		return a.settings.RegistryConfigFile
	}
	stored := filepath.Join(contexts.Folder(), "config.json")
	if _, err := os.Stat(stored); err != nil {
		return ""
	}
	return stored
}

// stackClient gives the client of that engine.
func stackClient(a *app, flags *stackFlags) (*client.Client, error) {
	if flags.files.Node == "" && a.overridden["engine"] {
		return deploy.Dial(a.settings.Engine)
	}
	return contextClient(a, flags.files.Node)
}

// contextClient gives a client of the engine of a Docker context; "" is the current one.
func contextClient(a *app, name string) (*client.Client, error) {
	stored := contexts.In(contexts.Folder())
	var err error
	if name == "" {
		if name, err = stored.Current(); err != nil {
			return nil, err
		}
	}
	endpoint, err := stored.Find(name)
	if err != nil {
		return nil, err
	}
	if warning := endpoint.Warning(); warning != "" {
		printFault(a.stderr, "warning", errors.New(warning))
	}
	return endpoint.Client()
}

// deployStack shows the plan, applies it and shows the progress.
func deployStack(ctx context.Context, a *app, options stackdeploy.Options, dryRun bool) error {
	follower := newFollower(a.stdout)
	closed := false
	end := func() {
		if !closed {
			closed = true
			follower.close()
		}
	}
	defer end()
	var last deploy.Result
	options.Progress = func(event deploy.Event) {
		if event.Done && event.Err == nil || event.Waits != "" {
			follower.note(control.Event{Progress: report.EventText(event)})
		}
	}
	options.Services = func(wait stackdeploy.Wait, result deploy.Result) {
		last = result
		follower.note(control.Event{Rollout: &report.Rollout{Started: wait.Started, Until: wait.Until, Services: result.Services}})
	}
	deployment, err := stackdeploy.New(ctx, options)
	if err != nil {
		return err
	}
	if err := printPage(newPrinter(a.stdout), planScreen, deployment.Plan.Recorded()); err != nil {
		return err
	}
	if dryRun {
		return differentIf(!deployment.Plan.Empty(), nil)
	}
	err = deployment.Run(ctx)
	end()
	if err != nil {
		printLastLines(newPrinter(a.stdout), last)
		return err
	}
	newPrinter(a.stdout).line("Done.")
	return nil
}

// printLastLines prints the last log lines of the services that failed.
func printLastLines(p printer, result deploy.Result) {
	for _, service := range result.Waiting() {
		for _, line := range service.Logs {
			p.line("  %s: %s", service.Name, printable(line))
		}
	}
}
