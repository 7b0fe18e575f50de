package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/readiness"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/prepare"
	"coin.internal/coin-agent/proposal"
)

// bundleArgument is what an image of a release prints its bundle for.
const bundleArgument = "release"

// prepareFlags are the flags of the command.
type prepareFlags struct {
	common                     proposalFlags
	request                    prepare.Request
	bundle, baseBundle         string
	fromImage, skipImages, yes bool
}

func prepareCommand(a *app) *cobra.Command {
	var f prepareFlags
	cmd := &cobra.Command{
		Use:   "prepare --environment E --tag TAG {--from-image | --bundle FILE}",
		Short: "Bring a release to the nodes of an environment: a commit, and a merge request",
		Long: `Bring a release to the nodes of an environment, in a working copy of the
repository.

The release's bundle is a tar.gz in base64, which the image of base.registry
prints for the argument release. Its compose files are merged with what the
nodes have changed in theirs, node.env gets the release's variables, and TAG_
variables, which hold one service at another release, become comments. The
result is one commit on a branch of its own, which is then checked out.

If a GitLab project and a token are configured, the command pushes the branch
and opens a merge request. If an earlier run was interrupted, the command
finishes it. Swarm does not change before the sync of the merged commit.

The exit code is 3 if ` + "`agent check`" + ` refuses the result, or, with --dry-run, if
the release would change something.`,
		Args: noArgs,
	}
	f.common.add(cmd, "show the merge request; write nothing; exit code 3 if there are changes")
	flags := cmd.Flags()
	flags.StringVar(&f.request.Release.Tag, "tag", "", "tag of the release, such as 2025-12-15-11eeef9e99")
	flags.StringVar(&f.request.Release.Version, "version", "", "version of the release, such as 25.22: RELEASE_VERSION in node.env")
	flags.StringVar(&f.request.Release.Task, "task", "", "number of the task, such as 41361: TASK_ID in node.env")
	flags.StringVar(&f.request.Release.Migration, "migration", "", "highest migration ID of the release, such as 565: EXPECTED_MIGRATION_ID in node.env")
	flags.BoolVar(&f.fromImage, "from-image", false, "take the bundle from the release's image, through the engine")
	flags.StringVar(&f.bundle, "bundle", "", "take the bundle from this file")
	flags.StringVar(&f.baseBundle, "base-bundle", "", "bundle of the nodes' present release, for the first merge")
	flags.StringSliceVar(&f.request.Nodes, "node", nil, "change only this node; may be given several times")
	flags.StringVar(&f.request.Stack, "stack", "", "stack that the release belongs to, on nodes with several")
	flags.StringSliceVar(&f.request.Keep, "keep", nil, "TAG_ variable that stays; may be given several times")
	flags.BoolVar(&f.request.Replace, "replace", false, "replace a compose file whose earlier release is not known")
	flags.BoolVar(&f.skipImages, "skip-images", false, "do not ask the registry and the scanner for the images")
	flags.BoolVar(&f.yes, "yes", false, "do not ask before an older release follows a newer one")
	flags.StringVar(&f.request.Branch, "branch", "", "branch to commit on (default release/<environment>/<tag>)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f.request.Release.Environment, f.request.Author, f.request.DryRun = a.settings.Environment, f.common.author, f.common.dryRun
		switch {
		case f.request.Release.Environment == "":
			return usageError{errors.New("name the environment with --environment")}
		case f.fromImage == (f.bundle != ""):
			return usageError{errors.New("name where the bundle is: either --from-image or --bundle FILE")}
		}
		if err := f.request.Release.Check(); err != nil {
			return usageError{err}
		}
		return prepareRelease(cmd.Context(), a, f, cmd.InOrStdin())
	}
	return cmd
}

// prepared is the output of the command: the keys of the plan, and these.
type prepared struct {
	Plan   *prepare.Plan
	Result proposed
}

// MarshalJSON writes the keys of the plan first.
func (p prepared) MarshalJSON() ([]byte, error) { return joinedJSON(p.Plan, p.Result) }

func prepareRelease(ctx context.Context, a *app, f prepareFlags, stdin io.Reader) error {
	root, _, err := findRepository(f.common.repo)
	if err != nil {
		return err
	}
	tree, err := proposal.OpenWorktree(ctx, root)
	if err != nil {
		return err
	}
	defer tree.Close()
	if f.common.proposes(a) {
		publisher, err := f.common.publisher(a, tree)
		if err != nil {
			return err
		}
		branch := cmp.Or(f.request.Branch, "release/"+f.request.Release.Environment+"/"+f.request.Release.Tag)
		pushed, err := publisher.Elsewhere(ctx, tree, branch)
		if err != nil || pushed != nil {
			return errors.Join(err, showPushed(ctx, a, f, publisher, pushed))
		}
	}
	tools, closer, err := prepareTools(a, f, root)
	if err != nil {
		return err
	}
	defer closer()
	tools.Older = olderAsked(ctx, a, f.yes, stdin)
	result, err := prepare.Run(ctx, tree, tools, f.request)
	tree.Close() // pushing needs no lock
	if err != nil {
		return err
	}
	shown := prepared{result.Plan, proposed{Commit: result.Commit}}
	if result.Commit != nil {
		err = f.common.publish(ctx, a, tree, &shown.Result)
	}
	different := len(result.Plan.Problems) > 0 || f.request.DryRun && len(result.Plan.Files) > 0
	return differentIf(different, errors.Join(printScreen(a.stdout, *f.common.output, preparedScreen, shown), err))
}

// showPushed shows the release that another working copy has pushed, with its merge request.
func showPushed(ctx context.Context, a *app, f prepareFlags, publisher proposal.Publisher, pushed *proposal.Commit) error {
	if pushed == nil {
		return nil
	}
	pushed.Title = "release: " + f.request.Release.Environment + " to " + f.request.Release.Tag
	pushed.Message, pushed.Text = pushed.Title, "The message of the commit has the summary."
	opened, err := publisher.Open(ctx, pushed)
	shown := prepared{prepare.NewPlan(f.request.Release), proposed{
		Commit: pushed, MergeRequest: opened.URL, Next: []string{"have it reviewed and merged; to prepare the release anew, delete the branch in GitLab first"},
	}}
	return errors.Join(printScreen(a.stdout, *f.common.output, preparedScreen, shown), err)
}

// prepareTools gives what the preparation uses: the engine only where it is asked.
func prepareTools(a *app, f prepareFlags, root string) (tools prepare.Tools, closer func(), err error) {
	var open []io.Closer
	closer = func() {
		for _, one := range open {
			_ = one.Close()
		}
	}
	tools.Base = func(string) prepare.Source { return nil }
	if f.bundle != "" {
		tools.Bundle = prepare.FromFile(f.bundle)
	}
	if f.fromImage {
		printer, err := deploy.ConnectPrinter(a.settings.Engine, a.settings.RegistryConfigFile)
		if err != nil {
			return tools, closer, err
		}
		open = append(open, printer)
		config, err := manifests.LoadConfig(os.DirFS(root), f.request.Release.Environment)
		if err != nil {
			return tools, closer, err
		}
		tools.Base = func(tag string) prepare.Source {
			return func(ctx context.Context, into io.Writer) error {
				return printer.Print(ctx, prepare.Image(config, tag), bundleArgument, into)
			}
		}
		tools.Bundle = tools.Base(f.request.Release.Tag)
	}
	if f.baseBundle != "" {
		tools.Base = func(string) prepare.Source { return prepare.FromFile(f.baseBundle) }
	}
	if f.skipImages {
		return tools, closer, nil
	}
	engine, err := a.connect()
	if err != nil {
		return tools, closer, err
	}
	open = append(open, engine)
	tools.Probes = &readiness.Probes{Settings: &a.settings, Engine: engine, Files: noCheckFile}
	return tools, closer, nil
}

// noCheckFile gives no file of check_dir: the working copy's config.yml, which no node has judged,
// says where it would go.
func noCheckFile(name string) (checks.Secret, error) {
	return nil, fault.New(fault.Place{}, "log in to Harbor in registry_config_file, or add --skip-images: the release gate asks before the rollout", "the file %s of check_dir is only for the agent of a node", name)
}

// olderAsked asks the user whether an older release shall follow a newer one.
func olderAsked(ctx context.Context, a *app, yes bool, stdin io.Reader) func(tag, present string) (bool, error) {
	return func(tag, present string) (bool, error) {
		if yes {
			return true, nil
		}
		if !isTerminal(stdin) {
			return false, nil
		}
		newPrinter(a.stderr).line("%s is older than the present release %s", tag, present)
		return confirmed(ctx, stdin, a.stderr, "prepare it?"), nil
	}
}
