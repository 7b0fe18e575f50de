package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
)

func adoptCommand(a *app) *cobra.Command {
	var asked request.Adopt
	var yes bool
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Adopt the stack, or the objects, that a waiting rollout takes over",
		Long: `Adopt the stack, or the objects, that a waiting rollout takes over.

A rollout waits for this command if config.yml names another stack than the one that
the node keeps, or if the stack has objects that this agent did not make, such as those
of docker stack deploy. The command shows the plan and asks. What it adopts is exactly
what it shows: for objects that come later the rollout waits again. The audit log
records the user. Objects with the label of another stack or node are never adopted.`,
		Example: "  agent adopt\n  agent adopt --yes --plan 9395a8efd8 --reason \"the move from deployment.sh\"",
		Args:    noArgs,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation; needs --plan")
	cmd.Flags().StringVar(&asked.Plan, "plan", "", "digest of the plan that you reviewed, or its first characters")
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "reason; it is recorded")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if yes && asked.Plan == "" {
			return usageError{fault.New(fault.Place{}, "`agent adopt` without --yes shows the plan and its digest", "--yes needs --plan")}
		}
		return adopt(cmd.Context(), a, asked, yes, cmd.InOrStdin())
	}
	return cmd
}

// adopt shows what the waiting rollout takes over, asks for confirmation, and adopts exactly
// that.
func adopt(ctx context.Context, a *app, asked request.Adopt, yes bool, stdin io.Reader) error {
	client := a.client()
	plan, err := client.PlanAdoption(ctx)
	if err != nil {
		return err
	}
	if err := newPrinter(a.stdout).screen("adoption", plan); err != nil {
		return err
	}
	switch {
	case yes:
	case !isTerminal(stdin):
		return usageError{fault.New(fault.Place{}, fmt.Sprintf("`agent adopt --yes --plan %.10s` adopts what is shown", plan.Digest), "there is no terminal to ask on")}
	case !confirmed(stdin, a.stdout, "adopt?"):
		return errors.New("nothing was adopted")
	}
	if asked.Plan == "" {
		asked.Plan = plan.Digest
	}
	given, err := client.Adopt(ctx, asked)
	if err != nil {
		return err
	}
	newPrinter(a.stdout).line("adopted: stack %s; `agent status` shows the progress", given.To.Stack)
	return nil
}
