package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/release"
)

// waitFlags are the flags of the command.
type waitFlags struct {
	plans                  bool
	commit, branch, repo   string // the branch is that of a pipeline, or of the settings
	nodes                  []string
	timeout, poll, settled time.Duration
}

func waitCommand(a *app) *cobra.Command {
	f := waitFlags{timeout: 15 * time.Minute, poll: 5 * time.Second, settled: 45 * time.Second}
	cmd := &cobra.Command{
		Use:   "wait --environment E [--commit SHA] [--node N] [--timeout 15m]",
		Short: "Wait until the nodes of an environment have rolled out a commit; needs GitLab only, and no node",
		Long: `Wait until the nodes of an environment have rolled out a commit, by the statuses that
their agents post on it in GitLab. The command runs on any machine with a GitLab token
(scope read_api), such as the runner of a pipeline. Each change of a node is a line.

The nodes are those of config.yml at that commit. A node that the commit leaves unchanged
has succeeded; its agent posts no status of it with unchanged_statuses: false. In a clone
of the repository, as in a pipeline, the command sees that itself after --settle: the
node's files are those of one of the last 20 commits, with which it succeeded. Without a
clone, name the nodes that the commit concerns with --node. In a pipeline the commit, the
address and the project are those of the pipeline (CI_COMMIT_SHA, CI_SERVER_URL,
CI_PROJECT_PATH).

Exit codes: 0 all nodes succeeded, 1 a node failed, or an error, 2 wrong usage, 3 a node
waits for a user (approval, adoption, pause, freeze, or a rollout that a user starts),
4 the time is over. It goes on while a node is rolling out, or has no status yet. In the
pipeline of a branch, or with --branch, a node without a status that has one on a newer
commit has failed: it took that one instead.`,
		Example: "  agent wait --environment sandbox --timeout 20m",
		Args:    noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.commit, "commit", "", "the commit: a hash, a branch or a tag (default $CI_COMMIT_SHA)")
	flags.StringVar(&f.repo, "repo", ".", "clone of the repository, or the folder of environments/ in it, if there is one")
	flags.BoolVar(&f.plans, "plans", false, "wait for the plans of a merge request's commit instead; nodes that it does not concern make none")
	flags.StringSliceVar(&f.nodes, "node", nil, "only this node; may be given several times")
	durationVar(flags, &f.timeout, "timeout", "how long to wait")
	durationVar(flags, &f.poll, "poll", "time between two reads of the statuses")
	durationVar(flags, &f.settled, "settle", "how long a wait for a user must last before the command ends with exit code 3; longer than the agents' interval")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f.commit = cmp.Or(f.commit, os.Getenv("CI_COMMIT_SHA"))
		if a.settings.TagPattern == "" && os.Getenv("CI_COMMIT_TAG") == "" {
			f.branch = cmp.Or(a.settings.Branch, os.Getenv("CI_COMMIT_BRANCH"))
		}
		switch {
		case a.settings.Environment == "":
			return usageError{errors.New("name the environment with --environment")}
		case f.commit == "":
			return usageError{errors.New("name the commit with --commit")}
		case f.timeout <= 0 || f.poll < time.Second:
			return usageError{errors.New("--timeout must be positive, and --poll at least 1s")}
		}
		client, err := pipelineGitLab(a)
		if err != nil {
			return err
		}
		return waitForRollout(cmd.Context(), a, client, f)
	}
	return cmd
}

// pipelineSettings gives the settings: a GitLab and a project that they do not name are those of the
// pipeline in which the command runs.
func pipelineSettings(a *app) *settings.Settings {
	s := &a.settings
	s.GitLabURL = cmp.Or(s.GitLabURL, os.Getenv("CI_SERVER_URL"))
	s.GitLabProject = cmp.Or(s.GitLabProject, os.Getenv("CI_PROJECT_PATH"))
	return s
}

// pipelineGitLab makes the client of the GitLab that the settings name, or else the pipeline
// in which the command runs.
func pipelineGitLab(a *app) (*gitlab.Client, error) {
	s := pipelineSettings(a)
	for _, missing := range []struct{ value, flag string }{
		{s.GitLabURL, "gitlab-url"}, {s.GitLabProject, "gitlab-project"}, {s.GitLabTokenFile, "gitlab-token-file"},
	} {
		if missing.value == "" {
			return nil, usageError{fmt.Errorf("set --%s", missing.flag)}
		}
	}
	return a.gitLab()
}

// environmentOf gives an environment in which only statuses of the agents count, if the settings
// name their users.
func environmentOf(ctx context.Context, a *app, client *gitlab.Client, name string) (of fleet.Environment, err error) {
	of.Name = name
	if len(a.settings.GitLabAgents) > 0 {
		of.Agents, err = client.Agents(ctx)
	}
	return of, err
}

// warnOfAll warns if the statuses of all users count.
func warnOfAll(a *app, in fleet.Environment) {
	if len(in.Agents) == 0 {
		printFault(a.stderr, "warning", fault.New(fault.Place{}, "name the agents' users with --gitlab-agents", "the statuses of all users count, also forged ones"))
	}
}

func waitForRollout(ctx context.Context, a *app, client *gitlab.Client, f waitFlags) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	environment, err := environmentOf(ctx, a, client, a.settings.Environment)
	if err != nil {
		return err
	}
	if environment.Plans = f.plans; f.plans {
		f.branch = "" // a plan is of the newest commit of the merge request
	}
	warnOfAll(a, environment)
	wait := fleet.Wait{
		GitLab: client, Environment: environment, Commit: f.commit, Branch: f.branch, Nodes: f.nodes, Every: f.poll, Settle: f.settled, Same: surelySame(f.repo, environment.Name),
		Changed: func(node fleet.Node) {
			fmt.Fprintln(a.stdout, visible.Line(fmt.Sprintf("%s  %s: %s", zoned(time.Now()), node.Name, node.Line())))
		},
		Away: func(err error) {
			if err == nil {
				fmt.Fprintln(a.stdout, zoned(time.Now())+"  GitLab answers again")
				return
			}
			printFault(a.stderr, "warning", fmt.Errorf("%w; asking again until the time is over", err))
		},
	}
	result, err := wait.Run(ctx)
	if err != nil {
		return err
	}
	return waited(result, f)
}

// sameIn compares what a node reads in two commits of a clone. That the clone lacks one of them is
// an error. It is nil where there is no clone.
func sameIn(repo, environment string) func(node, earlier, commit string) (bool, error) {
	tree, err := worktree.Open(repo)
	if err != nil {
		return nil
	}
	return func(node, earlier, commit string) (bool, error) {
		return release.Same(tree, environment, node, [2]string{earlier, commit})
	}
}

// surelySame is sameIn where commits that the clone lacks are not the same.
func surelySame(repo, environment string) func(node, earlier, commit string) bool {
	same := sameIn(repo, environment)
	if same == nil {
		return nil
	}
	return func(node, earlier, commit string) bool {
		is, err := same(node, earlier, commit)
		return err == nil && is
	}
}

// waited gives the error of a result, with its exit code; nil if all nodes succeeded.
func waited(result fleet.Result, f waitFlags) error {
	var errs []error
	add := func(hint string, states ...fleet.State) {
		for _, node := range result.In(states...) {
			errs = append(errs, fault.New(fault.Place{}, hint, "%s: %s", node.Name, node.Line()))
		}
	}
	code := exitError
	switch result.Outcome {
	case fleet.AllDone:
		return nil
	case fleet.SomeFail:
		add("", fleet.Failed)
	case fleet.NeedsUser:
		code = exitDifferent
		add("run the job again after that", fleet.Held)
	case fleet.TooLate:
		code = exitTimeout
		errs = append(errs, fault.New(fault.Place{}, "", "the nodes did not end within %s", f.timeout))
		add("", fleet.Held, fleet.Rolling, fleet.Waiting)
		add("check that its agent runs and follows this commit: `agent doctor` on the node. With unchanged_statuses: false, run the command in a clone, or name the nodes that the commit concerns with --node", fleet.Silent)
		if result.Away != nil {
			errs = append(errs, result.Away)
		}
	}
	return codeError{code, errors.Join(errs...)}
}
