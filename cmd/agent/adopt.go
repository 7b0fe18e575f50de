package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
)

func adoptCommand(a *app) *cobra.Command {
	var asked request.Adopt
	var yes, once bool
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Adopt the stack, or the objects, that a waiting rollout takes over",
		Long: `Adopt the stack, or the objects, that a waiting rollout takes over.

A rollout waits for this command if config.yml names another stack than the one that
the node keeps, or if the stack has objects that this agent did not make, such as those
of docker stack deploy. The command shows the plan and asks. What it adopts is exactly
what it shows: for objects that come later the rollout waits again. The audit log
records the user. Objects with the label of another stack or node are never adopted.

With --once it needs no daemon: it runs one sync in this process and, if that waits for
adoption, shows the plan, asks, and rolls out what was adopted.`,
		Example: "  agent adopt\n  agent adopt --once\n  agent adopt --yes --plan 9395a8efd8 --reason \"the move from deployment.sh\"",
		Args:    noArgs,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation; needs --plan")
	cmd.Flags().StringVar(&asked.Plan, "plan", "", "digest of the plan that you reviewed, or its first characters")
	cmd.Flags().BoolVar(&once, "once", false, "run the sync in this process, without the daemon")
	cmd.Flags().StringVar(&asked.Reason, "reason", "", "reason; it is recorded")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if yes && asked.Plan == "" {
			return usageError{fault.New(fault.Place{}, "`agent adopt` without --yes shows the plan and its digest", "--yes needs --plan")}
		}
		if !once {
			if err := adopt(cmd.Context(), a, a.client(), asked, confirmation{cmd.InOrStdin(), yes}); err != nil {
				return err
			}
			newPrinter(a.stdout).line("`agent status` shows the progress")
			return nil
		}
		if err := a.here("adopt --once"); err != nil {
			return err
		}
		return a.alone(cmd.Context(), "use `agent adopt` without --once", func(p *parts) error {
			if err := adopt(cmd.Context(), a, &here{a, p}, asked, confirmation{cmd.InOrStdin(), yes}); err != nil {
				return err
			}
			return a.outcome(syncNow(cmd.Context(), a, p, agent.Asked{}))
		})
	}
	return cmd
}

// adopter plans and records an adoption: the daemon behind its socket, or this process.
type adopter interface {
	PlanAdoption(ctx context.Context) (*request.AdoptionPlan, error)
	Adopt(ctx context.Context, asked request.Adopt) (*record.Consent, error)
}

// here is the agent in this process.
type here struct {
	app   *app
	parts *parts
}

// PlanAdoption syncs up to the wait for adoption.
func (h *here) PlanAdoption(ctx context.Context) (*request.AdoptionPlan, error) {
	if sync, err := syncNow(ctx, h.app, h.parts, agent.Asked{}); err != nil || sync.State != record.Waiting {
		if err = h.app.outcome(sync, err); err != nil {
			return nil, err
		}
	}
	desk, err := h.parts.agent.Desk(record.StackKey(h.app.stack))
	if err != nil {
		return nil, err
	}
	return desk.PlanAdoption()
}

// Adopt records the consent of the user of this process.
func (h *here) Adopt(_ context.Context, asked request.Adopt) (*record.Consent, error) {
	desk, err := h.parts.agent.Desk(record.StackKey(h.app.stack))
	if err != nil {
		return nil, err
	}
	return desk.Adopt(audit.Self(), asked)
}

// confirmation is where the user confirms, unless yes says that they did.
type confirmation struct {
	stdin io.Reader
	yes   bool
}

// adopt shows what the waiting rollout takes over, asks for confirmation, and adopts exactly
// that.
func adopt(ctx context.Context, a *app, by adopter, asked request.Adopt, at confirmation) error {
	plan, err := by.PlanAdoption(ctx)
	if err != nil {
		return err
	}
	if err := printPage(newPrinter(a.stdout), adoptionScreen, plan); err != nil {
		return err
	}
	switch {
	case at.yes:
	case !isTerminal(at.stdin):
		return usageError{fault.New(fault.Place{}, fmt.Sprintf("`agent adopt --yes --plan %.10s` adopts what is shown", plan.Digest), "there is no terminal to ask on")}
	case !confirmed(ctx, at.stdin, a.stdout, "adopt?"):
		return errors.New("nothing was adopted")
	}
	if asked.Plan == "" {
		asked.Plan = plan.Digest
	}
	given, err := by.Adopt(ctx, asked)
	if err != nil {
		return err
	}
	newPrinter(a.stdout).line("adopted: stack %s", given.To.Stack)
	return nil
}
