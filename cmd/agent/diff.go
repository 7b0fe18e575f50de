package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/cosign"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
)

func diffCommand(a *app) *cobra.Command {
	var flags diffFlags
	cmd := &cobra.Command{Use: "diff", Short: "Show the plan: what a sync would change, in order; exit code 3 if there are changes", Args: noArgs}
	flags.files.add(cmd)
	cmd.Flags().BoolVar(&flags.grants, "grants", false, "list also what unchanged services may do to the node or to others")
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if a.remote != nil {
			return remotePlan(cmd.Context(), a, flags, *output)
		}
		return diff(cmd.Context(), a, flags, *output)
	}
	return cmd
}

// diffFlags select the files of a plan, and what is shown of it.
type diffFlags struct {
	files  checkoutFlags
	grants bool
}

// diff prints the plan of a sync, or of the syncs of several stacks. It does not change them.
func diff(ctx context.Context, a *app, flags diffFlags, output string) error {
	all, err := rendered(ctx, a, flags.files)
	if err != nil {
		return err
	}
	changed, documents := false, []report.PlanDocument{}
	p := newPrinter(a.stdout)
	for i, one := range all {
		if one.State.Node.Config.Layered(a.settings.Node) {
			a.stack = one.Stack.Name // whose records the agent is asked for
		}
		plan, err := planOf(ctx, a, flags, one.State, one.Stack)
		if err != nil {
			return err
		}
		changed = changed || !plan.Empty()
		if documents = append(documents, report.NewPlanDocument(plan.Recorded())); output == "json" {
			continue
		}
		if len(all) > 1 {
			if i > 0 {
				p.line("")
			}
			p.line("stack %s", printable(one.Stack.Name))
		}
		if err := printPage(p, planScreen, plan.Recorded()); err != nil {
			return err
		}
	}
	switch {
	case output != "json":
	case len(documents) == 1:
		err = printJSON(a.stdout, documents[0])
	default:
		err = printJSON(a.stdout, documents)
	}
	return differentIf(changed, err)
}

// planOf makes the plan of a sync of a stack, with what would stop it.
func planOf(ctx context.Context, a *app, flags diffFlags, state *desired.State, stack *compose.Stack) (*deploy.Plan, error) {
	forbidden := policy.Err(a.settings.Policy.Judge(policy.Subject{Stack: stack, Node: state.Node, Engine: a.settings.Engine}))
	if forbidden == nil {
		forbidden = state.Bounded()
	}
	engine, err := a.connect()
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()
	live, err := engine.Observe(ctx, stack)
	if err != nil {
		return nil, err
	}
	stack = ignoring(ctx, a, live.Services, deploy.IgnoreAt(stack, time.Now()))
	resolved, err := engine.Resolve(ctx, live.Services, stack)
	if err != nil {
		return nil, err
	}
	if stack, err = engine.Rerun(ctx, live.Services, resolved.Stack); err != nil {
		return nil, err
	}
	plan, err := deploy.Diff(live, stack)
	if err != nil {
		return nil, err
	}
	if a.settings.Observes() {
		plan.Warnings = append(plan.Warnings, "the agent only observes (mode: observe): the sync will not apply this")
	}
	if asked := consent.Needed(live, stack, plan, adopted(ctx, a, stack.Owner)); asked != nil {
		plan.Warnings = append(plan.Warnings, "the sync will wait for `agent adopt` on the node: "+consent.Text(asked))
	}
	missing, refused := engine.RefuseMissing(ctx, plan, resolved, false)
	unsigned, unsignedErr := unsigned(ctx, a, engine, stack, live)
	missing = append(missing, unsigned...)
	for _, one := range fault.All(errors.Join(forbidden, refused, unsignedErr)) {
		missing = append(missing, "the sync will stop here: "+one.Error()+": "+fault.Hint(one))
	}
	plan.Warnings = slices.Concat(plan.Warnings, resolved.Warnings, missing, loosened(ctx, a, flags.files, state.Node.Config))
	if flags.grants {
		plan.Grants = deploy.Grants(live, stack)
	}
	return &plan, nil
}

// unsigned says which images lack a signature that the policy demands: warnings, and the
// refusals and failures that would stop a sync.
func unsigned(ctx context.Context, a *app, engine *deploy.Engine, stack *compose.Stack, live *deploy.Live) ([]string, error) {
	if len(a.settings.Policy.Signatures()) == 0 {
		return nil, nil
	}
	verdict, err := imageSigners(a, engine).Judge(ctx, a.settings.Policy, stack, deploy.Images(stack, live.Services))
	return verdict.Warnings, errors.Join(policy.Err(verdict.Refusals), err)
}

// imageSigners looks for the signatures of images with the engine's logins.
func imageSigners(a *app, engine *deploy.Engine) *signing.Images {
	return signing.NewImages(cosign.Options{CAFile: a.settings.CAFile, Bytes: a.settings.Limits.OrDefault().AnswerBytes}, engine.Login)
}

// adopted gives what is on record of the stack of a node: what the running agent says, or
// its state file. It is empty if neither is of the node.
func adopted(ctx context.Context, a *app, owner string) consent.Record {
	on, err := a.client().Adopted(ctx)
	if errors.Is(err, control.ErrNotRunning) {
		on, err = storedAdoption(a)
	}
	if err != nil || on.Owner != owner {
		return consent.Record{}
	}
	return on
}

// storedAdoption reads what the state file has of the stack that the node keeps.
func storedAdoption(a *app) (consent.Record, error) {
	return fromStateFile(&a.settings, func(opened *store.Store) (consent.Record, error) {
		key, err := storedKey(a, opened)
		if err != nil {
			return consent.Record{}, err
		}
		stack := opened.Stack(key)
		kept, keptErr := stack.Adoption()
		good, goodErr := stack.Deployed()
		if err := errors.Join(keptErr, goodErr); err != nil {
			return consent.Record{}, err
		}
		return consent.NewRecord(a.settings.Owner(), kept, good)
	})
}

// ignoring gives the stack without the ignored fields that a sync would write, because their
// declared values differ from those that the running agent has applied.
func ignoring(ctx context.Context, a *app, live deploy.LiveServices, stack *compose.Stack) *compose.Stack {
	if len(stack.Ignored) == 0 {
		return stack
	}
	status, err := a.client().Status(ctx)
	if err != nil {
		return stack // it is not known what was applied
	}
	return deploy.IgnoreSame(stack, status.Ignored, deploy.IgnoredIn(live, stack))
}

// loosened warns of the gates that the commit loosens, as the running agent has judged it. A
// commit that the agent is not at was not judged. A folder is compared with the node's floor.
func loosened(ctx context.Context, a *app, flags checkoutFlags, config *manifests.Config) []string {
	if flags.repo != "" {
		return append(belowFloor(a.settings.Policy, a.settings.Node, config),
			"a folder is not compared with the last good revision: which of its gates the files loosen is not known; `agent diff` without --repo names them")
	}
	status, err := a.client().Status(ctx)
	if err != nil || status.Sync == nil || status.Desired == nil || status.Desired.Commit != status.Sync.Commit {
		return nil
	}
	if named := flags.revision; named != "" && named != status.Sync.Commit && named != status.Sync.Ref {
		return nil
	}
	if loosens := report.Loosens(status.Sync); loosens != "" {
		return []string{loosens}
	}
	return nil
}

// belowFloor warns of the gates for which a policy's floor is stricter than config.yml.
func belowFloor(rules *policy.Policy, node string, config *manifests.Config) []string {
	below := manifests.Judges{Floor: rules.Gates(), Node: node, At: time.Now()}.Below(config)
	if len(below) == 0 {
		return nil
	}
	return []string{"the node's policy.floor is stricter and holds: config.yml " + strings.Join(below, ", ")}
}

var toneColours = map[report.Tone]string{
	report.ToneAdd: green, report.ToneUpdate: yellow, report.ToneRemove: red, report.ToneQuiet: dim, report.ToneWarning: yellow,
}
