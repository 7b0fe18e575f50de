package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/agent/setup"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/release"
)

// promoteFlags are the flags of the command.
type promoteFlags struct {
	common    proposalFlags
	promotion release.Promotion
	set       []string
	reason    string
	unproven  bool
	noInput   bool
}

func promoteCommand(a *app) *cobra.Command {
	var f promoteFlags
	cmd := &cobra.Command{
		Use:   "promote FROM TO",
		Short: "Open the merge request that gives an environment the release of the one before it",
		Long: `Open the merge request that gives an environment the release of the one before it:
development to sandbox, sandbox to testing, or testing to production.

The release moves: TAG, TAG_<service>, the migration ID, version and task, and what
changed in the compose files, and in files that they name, since FROM had the release
of TO. Secrets, their versions and the settings of an environment stay. The release must
have succeeded on every node of FROM, by the commit statuses in GitLab.

A setting that FROM has and TO lacks needs an answer: --set, --leave, or on a terminal
the answer to a question. One that looks like a secret is refused: add it to secrets.enc.
If an earlier run was interrupted, the command finishes it.

The exit code is 3 if ` + "`agent check`" + ` refuses the result, or, with --dry-run, if
the release would change something. The merge request is opened all the same, and
lists what to correct.`,
		Example: `  agent release promote sandbox testing --dry-run
  agent release promote sandbox testing --set DB_TIMEOUT=60 --set test1:PUBLIC_URL=https://test1.example.com
  agent release promote testing production --unproven --reason "node3 is in repair"`,
		Args: takes(cobra.ExactArgs(2), fault.New(fault.Place{}, "agent release promote "+strings.Join(release.Steps(), "; agent release promote "), "name the two environments")),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.promotion.From, f.promotion.To = args[0], args[1]
			if err := f.check(); err != nil {
				return usageError{err}
			}
			return f.run(cmd.Context(), a)
		},
	}
	f.common.add(cmd, dryRunText)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.set, "set", nil, "a setting that TO lacks: NAME=VALUE, or NODE:NAME=VALUE; may be given several times")
	flags.StringSliceVar(&f.promotion.Leave, "leave", nil, "a setting that TO does not need; may be given several times")
	flags.StringSliceVar(&f.promotion.Files, "file", nil, "move this compose file, too, which TO lacks; may be given several times")
	flags.StringSliceVar(&f.promotion.Replace, "replace", nil, "take this file as FROM has it, without TO's own lines; may be given several times")
	flags.BoolVar(&f.unproven, "unproven", false, "move a release that has not succeeded on every node of FROM; needs --reason")
	flags.StringVar(&f.reason, "reason", "", "why an unproven release moves; the commit and the merge request show it")
	flags.BoolVar(&f.noInput, "no-input", false, "do not ask questions")
	return cmd
}

// check refuses a command line that does not say what to promote.
func (f *promoteFlags) check() (err error) {
	if err := f.promotion.CheckOrder(); err != nil {
		return err
	}
	if f.unproven != (f.reason != "") {
		return errors.New("use --unproven and --reason together")
	}
	if f.reason, err = request.Reason(f.reason, f.unproven); err != nil {
		return err
	}
	for _, one := range f.set {
		name, value, assigned := strings.Cut(one, "=")
		if !assigned || name == "" {
			return fault.New(fault.Place{}, "write NAME=VALUE, or NODE:NAME=VALUE", "--set %q has no value", one)
		}
		answer := release.Answer{Name: name, Value: value}
		if node, of, named := strings.Cut(name, ":"); named {
			answer.Node, answer.Name = node, of
		}
		f.promotion.Answers = append(f.promotion.Answers, answer)
	}
	return nil
}

// promoted is the output of the command.
type promoted struct {
	Plan     *release.PromotionPlan `json:"plan,omitempty"`
	Problems []string               `json:"problems,omitempty"` // of a commit of an earlier run, whose plan is not shown
	Proofs   []release.Proof        `json:"proofs,omitempty"`
	Reason   string                 `json:"unproven_reason,omitempty"`
	Result   proposed               `json:"result"`
}

func (f *promoteFlags) run(ctx context.Context, a *app) error {
	shown := promoted{Reason: f.reason}
	return f.common.propose(ctx, a, change{
		branches: f.promotion.Branches(), what: "promotion from " + f.promotion.From + " to " + f.promotion.To,
		taken: func(in clone) (*proposal.Commit, error) { return f.taken(ctx, a, in, &shown) },
		plan: func(in clone) (nothing string, err error) {
			if shown.Plan, err = f.plan(ctx, a, in.git, in.tree.Head().Hash); err != nil {
				return "", err
			}
			if len(shown.Plan.Files) == 0 {
				return "nothing to promote: " + f.promotion.To + " has release " + shown.Plan.Release, nil
			}
			if err := f.prove(ctx, a, in.git, &shown); err != nil {
				return "", errors.Join(f.show(a, shown), err)
			}
			return "", nil
		},
		commit: func(in clone) (*proposal.Commit, error) {
			commit, err := shown.Plan.Propose(in.tree, f.common.author, f.reason)
			if err != nil {
				return nil, err
			}
			commit.Title, commit.Text = shown.Plan.Title(), shown.Plan.Text(shown.Proofs, f.reason)
			return commit, nil
		},
		show: func(result proposed) (different bool, err error) {
			shown.Result = result
			problems := shown.Problems
			if shown.Plan != nil {
				problems = shown.Plan.Problems
				different = f.common.dryRun && len(shown.Plan.Files) > 0
			}
			return different || result.Commit != nil && len(problems) > 0, f.show(a, shown)
		},
	})
}

// taken gives the commit that an earlier run has made, with the text of its merge request.
func (f *promoteFlags) taken(ctx context.Context, a *app, in clone, shown *promoted) (*proposal.Commit, error) {
	commit, err := f.promotion.TakeUp(in.tree)
	if commit == nil || err != nil {
		return nil, err
	}
	in.tree.Close() // what follows only reads
	if err := f.promotion.CheckSecrets(in.git, commit); err != nil {
		return nil, err
	}
	of, reason := release.Taken(commit)
	shown.Reason = cmp.Or(reason, f.reason)
	plan, err := f.promotion.Plan(ctx, in.git, of)
	if err != nil {
		return nil, err
	}
	shown.Plan = plan
	if f.unproven = f.unproven || shown.Reason != ""; f.common.proposes(a) {
		if err := f.prove(ctx, a, in.git, shown); err != nil {
			return nil, err
		}
	}
	commit.Title, commit.Text = plan.Title(), plan.Text(shown.Proofs, shown.Reason)
	shown.Plan, shown.Problems = nil, plan.Problems
	return commit, nil
}

// plan makes the plan, and asks for the settings that are lacking.
func (f *promoteFlags) plan(ctx context.Context, a *app, git *worktree.Worktree, commit string) (*release.PromotionPlan, error) {
	plan, err := f.promotion.Plan(ctx, git, commit)
	if err != nil || len(plan.Lacking) == 0 || f.common.dryRun {
		return plan, err
	}
	if err := plan.Refused(); err != nil {
		return nil, usageError{err}
	}
	person, asks := personAt(a, f.noInput).(*answerer)
	if !asks {
		return nil, usageError{lacking(f.promotion, plan.Lacking)}
	}
	for _, one := range plan.Lacking {
		where := f.promotion.To
		if one.Node != "" {
			where = "node " + one.Node
		}
		answer, err := person.Ask(ctx, setup.Question{
			Text: fmt.Sprintf("%s lacks %s, which is %s in %s; its value (empty: not needed)", where, one.Name, one.Shown(), one.Of), Optional: true,
		})
		if err != nil {
			return nil, err
		}
		if answer == "" {
			f.promotion.Leave = append(f.promotion.Leave, one.Name)
		} else {
			f.promotion.Answers = append(f.promotion.Answers, release.Answer{Node: one.Node, Name: one.Name, Value: answer})
		}
	}
	return f.promotion.Plan(ctx, git, commit)
}

// lacking lists the settings without an answer.
func lacking(of release.Promotion, all []release.Lacking) error {
	text := ""
	for _, one := range all {
		name := one.Name
		if one.Node != "" {
			name = one.Node + ":" + name
		}
		text += fmt.Sprintf("\n%s, which is %s in %s", name, one.Shown(), one.Of)
	}
	return fault.New(fault.Place{}, "answer each with --set "+all[0].Name+"=VALUE, or with --leave "+all[0].Name+" if "+of.To+" does not need it",
		"%s lacks settings that %s has:%s", of.To, of.From, text)
}

// prove reads what the nodes of From say, and refuses an unproven release.
func (f *promoteFlags) prove(ctx context.Context, a *app, git *worktree.Worktree, shown *promoted) error {
	if f.unproven && (a.settings.GitLabURL == "" || a.settings.GitLabTokenFile == "") {
		return nil
	}
	client, err := pipelineGitLab(a)
	if err != nil {
		return fault.WithHint(fmt.Errorf("the statuses of %s are not known: %w", f.promotion.From, err), `name GitLab's project, or add --unproven --reason "why"`)
	}
	branch, err := f.common.into(ctx, a, client)
	if err != nil {
		return err
	}
	list := fleet.List{GitLab: client, Branch: branch, Depth: release.Searched}
	if list.Environment, err = environmentOf(ctx, a, client, f.promotion.From); err != nil {
		return err
	}
	warnOfAll(a, list.Environment)
	if shown.Proofs, err = shown.Plan.Prove(ctx, git, list); err != nil || f.unproven {
		return err
	}
	return release.Unproven(f.promotion.From, shown.Proofs)
}

func (f *promoteFlags) show(a *app, shown promoted) error {
	return printScreen(a.stdout, *f.common.output, promotedScreen, shown)
}
