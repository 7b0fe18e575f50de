package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
)

// The exit codes (design, Commands).
const (
	exitDone      = 0
	exitError     = 1
	exitUsage     = 2
	exitDifferent = 3
	exitTimeout   = 4
)

const defaultConfig = "/etc/coin-agent/agent.yml"

// errDifferent reports a difference that is already printed.
var errDifferent = errors.New("different")

// codeError is an error with an exit code of its own.
type codeError struct {
	code int
	err  error
}

func (e codeError) Error() string { return e.err.Error() }
func (e codeError) Unwrap() error { return e.err }

// usageError is an error in the command line or in the settings: a restart does not help.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// FaultCode gives the class of the error.
func (usageError) FaultCode() fault.Code { return fault.CodeUsage }

// app holds what the commands share.
type app struct {
	stdin          *os.File
	stdout, stderr io.Writer
	settings       settings.Settings
	config         string
	standard       string          // the settings file that is read if the user names none
	unreadable     string          // the settings file, if this user may not read it
	level          slog.LevelVar   // the least level that the daemon logs
	overridden     map[string]bool // settings that a flag or a variable gives
	host           remoteFlags
	stack          string          // of the node with several, that the user names
	remote         *control.Client // of another node; nil: the agent of this machine is asked
}

// run runs one command line and gives its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	logrus.SetOutput(io.Discard) // libraries log there; they also return these texts as errors and warnings
	return newApp(stdout, stderr).run(ctx, args)
}

func newApp(stdout, stderr io.Writer) *app {
	return &app{stdin: os.Stdin, stdout: stdout, stderr: stderr, settings: settings.Default(), standard: defaultConfig, overridden: map[string]bool{}}
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return a.exit(cmd, args, err)
}

// printFault prints an error or a warning, with its hint.
func printFault(w io.Writer, kind string, err error) {
	fmt.Fprintf(w, "agent: %s: %s\n", kind, visible.Lines(err.Error(), "  "))
	if hint := fault.Hint(err); hint != "" {
		fmt.Fprintf(w, "agent: hint: %s\n", visible.Lines(hint, "  "))
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "agent",
		Short:         "Keeps a Docker Swarm stack in sync with git",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkNarrowing(cmd); err != nil {
				return err
			}
			if err := a.settingsFor(cmd); err != nil {
				return err
			}
			if err := a.useHost(cmd); err != nil {
				return err
			}
			return checkOutput(cmd)
		},
	}
	root.SetFlagErrorFunc(flagFault)
	flags := root.PersistentFlags()
	flags.StringVar(&a.config, "config", "", "settings file (default "+defaultConfig+", if it exists)")
	for _, field := range a.settings.Fields() {
		addSetting(flags, field)
	}
	a.host.add(root)
	root.AddCommand(initCommand(a), runCommand(a), syncCommand(a), statusCommand(a), checkCommand(a), renderCommand(a),
		diffCommand(a), historyCommand(a), showCommand(a), eventsCommand(a), fleetCommand(a), logsCommand(a), rollbackCommand(a), doctorCommand(a), secretsCommand(a),
		auditCommand(a), pauseCommand(a), resumeCommand(a), retryCommand(a), approveCommand(a), adoptCommand(a), policyCommand(a), reportCommand(a), waitCommand(a), releaseCommand(a), versionCommand(a), explainCommand(a), completionCommand(a), stackCommand(a), importCommand(a))
	addStack(a, root)
	grouped(root)
	withoutCommand(root)
	completed(a, root)
	explainSettings(root)
	return root
}

// settingsFor reads the settings that a command needs. What works with a folder of files does not
// need the file of this machine: it says that it leaves a wrong one out.
func (a *app) settingsFor(cmd *cobra.Command) error {
	if slices.Contains([]string{"version", "explain", "completion", "help"}, cmd.Name()) || cmd.HasSubCommands() {
		return nil
	}
	err := a.readSettings(cmd, true)
	repo := cmd.Flags().Lookup("repo")
	folder := cmd.Name() == "check" || repo != nil && repo.Changed || cmd.HasParent() && cmd.Parent().Name() == "stack"
	if _, asked := a.configName(); err == nil || asked || !folder {
		return err
	}
	a.settings = settings.Default()
	if a.readSettings(cmd, false) != nil { // more is wrong than the file
		return err
	}
	fmt.Fprintf(a.stderr, "agent: warning: the settings are not used: %s\n", visible.Lines(err.Error(), "  "))
	return nil
}

// readSettings reads the settings. Flags override COIN_AGENT_* variables, which
// override the settings file. The error lists all that is wrong.
func (a *app) readSettings(cmd *cobra.Command, file bool) error {
	var faults []error
	if file {
		faults = append(faults, a.readConfig(cmd))
	}
	known := map[string]bool{}
	set := func(field settings.Field, from, text string) {
		a.overridden[field.Name] = true
		if err := field.Set(text); err != nil {
			faults = append(faults, fault.New(fault.Place{}, fault.Hint(err), "%s: %w", from, err))
		}
	}
	for _, field := range a.settings.Fields() {
		known[field.Env()] = true
		if text, ok := os.LookupEnv(field.Env()); ok {
			set(field, field.Env(), text)
		}
		if flag := cmd.Flags().Lookup(field.Flag()); flag != nil && flag.Changed {
			set(field, "--"+field.Flag(), flagText(flag))
		}
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, settings.EnvPrefix) && !known[name] && name != settings.EnvPrefix+"CONFIG" {
			faults = append(faults, fault.New(fault.Place{}, "`agent run --help` lists the settings", "unknown setting: the environment variable %s", name))
		}
	}
	err := errors.Join(faults...)
	if err == nil {
		return nil
	}
	if cmd.Name() == "run" {
		err = errors.Join(err, a.settings.Validate()) // what else is wrong
	}
	return usageError{err}
}

// configName gives the settings file, and whether the user named it.
func (a *app) configName() (name string, asked bool) {
	name = cmp.Or(a.config, os.Getenv(settings.EnvPrefix+"CONFIG"))
	return cmp.Or(name, a.standard), name != ""
}

// readConfig reads the settings file. It need not exist if it is made now: then the answers that
// an interrupted setup has kept count.
func (a *app) readConfig(cmd *cobra.Command) error {
	name, asked := a.configName()
	made := cmd.Name() == "init"
	if made && continues(name, cmd.Flags().Changed("force")) {
		name = draft(name)
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && (made || !asked) {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) && !asked { // a member of socket_group, who only asks the agent
		a.unreadable = name
		return nil
	}
	if err != nil {
		return fault.WithHint(fmt.Errorf("read settings: %w", err), "name the settings file with --config")
	}
	return fault.WithCode(a.settings.ReadYAML(name, data), fault.CodeSettings)
}

// noArgs refuses arguments as wrong usage.
func noArgs(cmd *cobra.Command, args []string) error { return takes(cobra.NoArgs, nil)(cmd, args) }

// takes refuses other arguments as wrong usage: by a text about them, else as cobra does.
func takes(fit cobra.PositionalArgs, otherwise error) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := fit(cmd, args); err != nil {
			return usageError{cmp.Or(otherwise, err)}
		}
		return nil
	}
}

// outputForms is the annotation of -o that names the forms which the command has.
const outputForms = "forms"

// outputFlag adds -o with the forms that the command has; the first is the default.
func outputFlag(cmd *cobra.Command, forms ...string) *string {
	last := len(forms) - 1
	output := cmd.Flags().StringP("output", "o", forms[0], "output: "+strings.Join(forms[:last], ", ")+" or "+forms[last])
	_ = cmd.Flags().SetAnnotation("output", outputForms, forms) // the flag exists
	return output
}

// checkOutput refuses a form that the command does not have.
func checkOutput(cmd *cobra.Command) error {
	flag := cmd.Flags().Lookup("output")
	if flag == nil || slices.Contains(flag.Annotations[outputForms], flag.Value.String()) {
		return nil
	}
	return usageError{fmt.Errorf("unknown output %q: use %s", flag.Value.String(), strings.Join(flag.Annotations[outputForms], " or "))}
}

// onlyOne refuses flags that cannot be used together.
func onlyOne(cmd *cobra.Command, names ...string) error {
	var given []string
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) > 1 {
		return usageError{fmt.Errorf("%s cannot be used together", strings.Join(given, " and "))}
	}
	return nil
}

// narrowing are the flags without which a command works on more or elsewhere: on this machine, in the current
// Docker context, on all stacks, services or nodes, on what is newest, or for longer.
var narrowing = []string{"commit", "context", "for", "host", "node", "plan", "revision", "service", "stack", "to", "until"}

// checkNarrowing refuses such a flag without a value, which is what a script gives whose variable is not set.
func checkNarrowing(cmd *cobra.Command) error {
	for _, name := range narrowing {
		flag := cmd.Flags().Lookup(name)
		setting := name != "host" && flag == cmd.Root().PersistentFlags().Lookup(name)
		if flag != nil && flag.Changed && !setting && flagText(flag) == "" {
			return usageError{fault.New(fault.Place{}, "give it a value, or leave it out", "--%s is empty", name)}
		}
	}
	return nil
}
