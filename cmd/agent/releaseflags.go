package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/launchdarkly"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/release"
)

// featureFlags are the flags of the command.
type featureFlags struct {
	common      proposalFlags
	flags       release.Flags
	environment string // the provider's key of the environment
	address     string
	token       string
}

func flagsCommand(a *app) *cobra.Command {
	var f featureFlags
	cmd := &cobra.Command{
		Use:   "flags --provider launchdarkly --project P --environment E",
		Short: "Open the merge request that sets feature flags as LaunchDarkly has them",
		Long: `Open the merge request that sets an environment's feature flags as a project of LaunchDarkly
has them: each FEATURE_ variable of settings, node.env and config.yml whose flag has another
value there. new-checkout is FEATURE_NEW_CHECKOUT. Flags that no file sets are left alone.

A flag that is not on or off for everyone keeps its value, and the command says why:
percentage rollouts, rules, targets, prerequisites. Then the exit code is 3. The nodes
never ask LaunchDarkly. If it does not answer, nothing changes.`,
		Example: "  agent release flags --provider launchdarkly --project coin --environment production --provider-token-file ~/launchdarkly-token",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.flags.Environment = a.settings.Environment
			switch {
			case f.flags.Environment == "":
				return usageError{errors.New("name the environment with --environment")}
			case f.flags.Provider != "launchdarkly":
				return usageError{fault.New(fault.Place{}, "add --provider launchdarkly", "--provider %q is not known", f.flags.Provider)}
			case f.flags.Project == "":
				return usageError{errors.New("name the project with --project")}
			case f.token == "":
				return usageError{errors.New("name a file with an access token of the role Reader with --provider-token-file")}
			}
			return f.run(cmd.Context(), a)
		},
	}
	f.common.add(cmd, dryRunText)
	flags := cmd.Flags()
	flags.StringVar(&f.flags.Provider, "provider", "", "where the flags are: launchdarkly")
	flags.StringVar(&f.flags.Project, "project", "", "the key of the project there")
	flags.StringVar(&f.environment, "provider-environment", "", "the key of the environment there (default: that of --environment)")
	flags.StringVar(&f.address, "provider-url", launchdarkly.DefaultURL, "the address of the provider's API")
	flags.StringVar(&f.token, "provider-token-file", "", "file with an access token of the role Reader")
	return cmd
}

// flagged is the output of the command.
type flagged struct {
	Plan   *release.FlagPlan `json:"plan,omitempty"`
	Result proposed          `json:"result"`
}

func (f *featureFlags) run(ctx context.Context, a *app) error {
	client, err := launchdarkly.New(launchdarkly.Options{URL: f.address, TokenFile: f.token, CAFile: a.settings.CAFile})
	if err != nil {
		return err
	}
	var shown flagged
	return f.common.propose(ctx, a, change{
		branches: f.flags.Branches(), what: "one of these flags",
		taken: func(in clone) (*proposal.Commit, error) { return f.flags.TakeUp(in.tree) },
		plan: func(in clone) (nothing string, err error) {
			if f.flags.Values, err = client.Flags(ctx, f.flags.Project, cmp.Or(f.environment, f.flags.Environment)); err != nil {
				return "", err
			}
			if shown.Plan, err = f.flags.Plan(in.git, in.tree.Head().Hash); err == nil && len(shown.Plan.Files) == 0 {
				nothing = "nothing to change: the flags are as " + f.flags.Provider + " has them"
			}
			return nothing, err
		},
		commit: func(in clone) (*proposal.Commit, error) { return shown.Plan.Propose(in.tree, f.common.author) },
		show: func(result proposed) (bool, error) {
			shown.Result = result
			different := shown.Plan != nil && (len(shown.Plan.Refused) > 0 || f.common.dryRun && len(shown.Plan.Files) > 0)
			return different, printScreen(a.stdout, *f.common.output, flagsScreen, shown)
		},
	})
}

// flagsScreen shows which flags change, and which cannot.
func flagsScreen(s *page, of flagged) {
	if plan := of.Plan; plan != nil {
		for _, change := range plan.Changes {
			s.diff(change.Diff)
			s.line("")
		}
		for _, one := range plan.Refused {
			s.line(s.yellow("not set"), " ", one.Name, ": ", tidy(one.Why))
		}
	}
	proposedScreen(s, of.Result)
}
