package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/internal/visible"
	"coin.internal/coin-agent/policy"
)

func policyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Show, suggest or test what the node allows a commit to do"}
	cmd.AddCommand(policyShowCommand(a), policySuggestCommand(a), policyTestCommand(a))
	return cmd
}

func policyShowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show", Short: "Show the policy in force; without the daemon, that of agent.yml", Args: noArgs,
	}
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		state := policy.State{Rules: a.settings.Policy, Read: time.Now()}
		status, err := a.client().Status(cmd.Context())
		if err != nil && !errors.Is(err, control.ErrNotRunning) {
			return err
		}
		if err == nil && status.Policy != nil {
			state = *status.Policy
		}
		if *output == "json" {
			return printJSON(a.stdout, state)
		}
		return showPolicy(a, state)
	}
	return cmd
}

// showPolicy prints a policy as agent.yml has it, and what became of the last reload.
func showPolicy(a *app, state policy.State) error {
	if state.Error != "" {
		printFault(a.stderr, "warning", fault.New(fault.Place{}, state.Hint, "not reloaded: %s; the policy before it is in force", state.Error))
	}
	if state.Rules == nil {
		newPrinter(a.stdout).line("%s", policy.Warning)
		return nil
	}
	return printPolicy(a, state.Rules)
}

func printPolicy(a *app, rules *policy.Policy) error {
	text, err := rules.YAML()
	if err == nil {
		_, err = fmt.Fprint(a.stdout, visible.Lines(text, ""))
	}
	return err
}

func policySuggestCommand(a *app) *cobra.Command {
	var flags checkoutFlags
	cmd := &cobra.Command{
		Use: "suggest", Short: "Print the least policy that allows what runs now",
		Long: `Print the least policy that allows what runs now: the live services, with the
config.yml of the followed revision. Paste it into agent.yml, and read it: it allows what
you have, not what you want.

With --repo it works offline and without keys, and prints what the files ask for.`,
		Example: "  agent policy suggest\n  agent policy suggest --repo . --environment sandbox --node node3",
		Args:    noArgs,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		one, err := onlyStack(sealedStacks(cmd.Context(), a, flags))
		if err != nil {
			return err
		}
		stack := one.Stack
		if flags.repo == "" {
			if stack, err = runningStack(cmd.Context(), a, stack); err != nil {
				return err
			}
		}
		return printPolicy(a, policy.Suggest(policy.Subject{Stack: stack, Node: one.State.Node, Engine: a.settings.Engine}))
	}
	return cmd
}

// errNothingRuns says that the stack has no live services.
var errNothingRuns = errors.New("nothing runs")

// runningStack gives the stack with the live services instead of those of the files.
func runningStack(ctx context.Context, a *app, stack *compose.Stack) (*compose.Stack, error) {
	engine, err := a.connect()
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()
	live, err := engine.ObserveServices(ctx, stack.Name)
	if err != nil {
		return nil, err
	}
	if len(live) == 0 {
		return nil, fault.New(fault.Place{}, "print what the files ask for with --repo", "%w of the stack %s", errNothingRuns, stack.Name)
	}
	now := *stack
	now.Services = map[string]swarm.ServiceSpec{}
	for name, service := range live {
		now.Services[name] = service.Spec
	}
	return &now, nil
}

// sealedStacks renders the node's files without keys: values of secrets are not needed.
func sealedStacks(ctx context.Context, a *app, flags checkoutFlags) ([]desired.Rendered, error) {
	options := a.nodeOptions()
	options.Keys, options.Sealed = nil, true
	return openFiles(ctx, a, flags, options)
}

func policyTestCommand(a *app) *cobra.Command {
	var flags checkoutFlags
	var file string
	cmd := &cobra.Command{
		Use: "test", Short: "Test whether a policy allows a node's files; exit code 3 if it does not; needs no engine and no keys",
		Long: `Test whether a policy allows a node's files. It needs no engine and no keys: a merge
request's job runs it, with a copy of the node's policy.

Each refusal names rule, service, file and line. The exit code is 3 if there are any.`,
		Example: "  agent policy test --repo . --environment sandbox --node node3 --policy policy.yml",
		Args:    noArgs,
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&file, "policy", "", "file with the policy: an agent.yml, or what suggest prints (default: the policy of the settings)")
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		rules, err := a.policyOf(file)
		if err != nil {
			return err
		}
		all, err := sealedStacks(cmd.Context(), a, flags)
		if err != nil {
			return err
		}
		for _, text := range belowFloor(rules, a.settings.Node, all[0].State.Node.Config) {
			printFault(a.stderr, "warning", fault.New(fault.Place{}, "", "%s", text))
		}
		if len(rules.Signatures()) > 0 && *output == "text" {
			printFault(a.stderr, "note", errors.New("the signatures of images are not looked at: the node verifies them when the digests are known"))
		}
		var refusals []policy.Refusal
		for _, one := range all {
			refusals = append(refusals, rules.Judge(policy.Subject{Stack: one.Stack, Node: one.State.Node, Engine: a.settings.Engine})...)
		}
		return printRefusals(a, refusals, *output)
	}
	return cmd
}

// policyOf reads the policy of a file, or gives that of the settings.
func (a *app) policyOf(file string) (*policy.Policy, error) {
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the policy: %w", err)
		}
		return policy.ReadFile(file, data)
	}
	if a.settings.Policy == nil {
		return nil, usageError{errors.New("name the policy with --policy")}
	}
	return a.settings.Policy, nil
}

func printRefusals(a *app, refusals []policy.Refusal, output string) error {
	if output == "json" {
		if refusals == nil {
			refusals = []policy.Refusal{}
		}
		return differentIf(len(refusals) > 0, printJSON(a.stdout, refusals))
	}
	p := newPrinter(a.stdout)
	for _, one := range refusals {
		p.line("%s", printable(one.Fault().Error()))
		p.line("  hint: %s", printable(one.Hint))
	}
	if len(refusals) == 0 {
		p.line("the policy allows it")
	} else {
		p.line("%s", plural.Count(len(refusals), "refusal"))
	}
	return differentIf(len(refusals) > 0, nil)
}
