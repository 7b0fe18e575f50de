package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/provenance"
)

// secretsAuditFlags are those of one command line.
type secretsAuditFlags struct {
	repo, secret, output string
	nodes                []string
}

func (a *app) secretsAuditCommand() *cobra.Command {
	var f secretsAuditFlags
	cmd := &cobra.Command{
		Use:   "audit --environment E [--node N] [--secret NAME]",
		Short: "Show who committed each version of a secret, when nodes applied it, and which rotations are overdue",
		Long: `Show, for each secret of an environment, who committed each version and when,
what merged it, when each node applied it, and whether its rotation is overdue.

It reads the history of a working copy, from its last commit back; changes that
are not committed do not count. Keys are not needed; with them it also tells
versions that are encrypted, and new values from files that were encrypted anew.
When nodes applied a version is taken from the agent on this machine, and from
the commit statuses in GitLab where a project and a token are configured.`,
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.repo, "repo", ".", "working copy of the repository, with its history")
	flags.StringSliceVar(&f.nodes, "node", nil, "only this node; may be given several times")
	flags.StringVar(&f.secret, "secret", "", "only this secret: its key in the compose file, or its SV_ name; also one that is gone")
	flags.StringVarP(&f.output, "output", "o", "text", "output: text, json or csv")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if a.settings.Environment == "" {
			return usageError{errors.New("name the environment with --environment")}
		}
		return checkOutput(f.output, "text", "json", "csv")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.auditSecrets(cmd.Context(), f) }
	return cmd
}

func (a *app) auditSecrets(ctx context.Context, f secretsAuditFlags) error {
	root, keys, err := a.openWorkingCopy(f.repo)
	if err != nil {
		return err
	}
	now := time.Now()
	report, err := provenance.Trace(ctx, provenance.Request{
		Dir: root, Environment: a.settings.Environment, Nodes: f.nodes, Secret: f.secret, Keys: keys, Now: now,
	})
	if err != nil {
		return err
	}
	a.addApplied(ctx, report)
	switch f.output {
	case "json":
		err = printJSON(a.stdout, report)
	case "csv":
		err = writeSecretsCSV(a.stdout, report)
	default:
		a.printSecretsAudit(report)
	}
	if f.output != "text" {
		for _, warning := range report.Warnings {
			fmt.Fprintf(a.stderr, "agent: warning: %s\n", warning)
		}
	}
	if err == nil && len(report.Overdue()) > 0 {
		err = errDifferent
	}
	return err
}

// addApplied adds when nodes applied what is in git, as far as it can be told. It
// is never a reason to fail: git's part of the report stands by itself.
func (a *app) addApplied(ctx context.Context, report *provenance.Report) {
	doubt := func(what string, err error) {
		if err != nil {
			report.Warnings = append(report.Warnings, fmt.Sprintf("%s: %v", what, err))
		}
	}
	owner, stack := a.localNode(ctx)
	if environment, node, ok := splitOwner(owner); ok && environment == report.Environment {
		syncs, err := a.history(ctx, allSyncs)
		report.AddHistory(node, syncs)
		doubt("the agent's history on this machine is not in it", err)
		created, err := a.createdSecrets(ctx, owner, stack, report)
		report.AddCreated(node, created)
		doubt("the times of this machine's engine are not in it", err)
	}
	doubt("when nodes applied versions is not known from GitLab", a.addStatuses(ctx, report))
}

// allSyncs is more than the history holds.
const allSyncs = 1 << 20

// localNode tells which node's agent runs, or has run, on this machine, and its
// stack; "" for none.
func (a *app) localNode(ctx context.Context) (owner, stack string) {
	status, err := agent.NewClient(a.settings.Socket).Status(ctx)
	if err == nil {
		return status.Environment + "/" + status.Node, status.Stack
	}
	store, err := store.OpenReadOnly(a.settings.StateDir)
	if err != nil {
		return "", ""
	}
	defer func() { _ = store.Close() }()
	applied, err := store.Stack(record.OnlyStack).Deployed()
	if err != nil || applied == nil {
		return "", ""
	}
	return applied.Owner, applied.StackName
}

var ownerForm = regexp.MustCompile(`^([^/]+)/([^/]+)$`)

func splitOwner(owner string) (environment, node string, ok bool) {
	found := ownerForm.FindStringSubmatch(owner)
	if found == nil {
		return "", "", false
	}
	return found[1], found[2], true
}

// createdSecrets asks the engine when it created the node's secrets.
func (a *app) createdSecrets(ctx context.Context, owner, stack string, report *provenance.Report) (map[string]time.Time, error) {
	wanted := &compose.Stack{Name: stack}
	for _, name := range report.Objects() {
		secret := compose.Secret{}
		secret.Spec.Name = name
		wanted.Secrets = append(wanted.Secrets, secret)
	}
	engine, err := a.settings.Connect()
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()
	live, err := engine.Observe(ctx, wanted)
	if err != nil {
		return nil, err
	}
	created := map[string]time.Time{}
	for name, secret := range live.Secrets {
		if ofNode(secret, owner, stack) {
			created[name] = secret.CreatedAt
		}
	}
	return created, nil
}

func ofNode(secret swarm.Secret, owner, stack string) bool {
	return secret.Spec.Labels[compose.LabelOwner] == owner || stack != "" && secret.Spec.Labels[compose.LabelStack] == stack
}

// addStatuses asks GitLab, where one is configured.
func (a *app) addStatuses(ctx context.Context, report *provenance.Report) error {
	client, err := a.settings.GitLab()
	if client == nil || err != nil {
		return err
	}
	var tagged map[string]bool
	if pattern := a.settings.TagPattern; pattern != "" {
		match, err := regexp.Compile(pattern)
		if err != nil {
			return fault.New(fault.Place{}, "correct the regular expression", "tag_pattern: %w", err)
		}
		if tagged, err = report.Tagged(match.MatchString); err != nil {
			return err
		}
	}
	return report.AddStatuses(ctx, client, tagged)
}
