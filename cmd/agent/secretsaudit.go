package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/provenance"
)

// secretsAuditFlags are the flags of the command.
type secretsAuditFlags struct {
	repo, secret string
	nodes        []string
	output       *string
}

func secretsAuditCommand(a *app) *cobra.Command {
	var f secretsAuditFlags
	cmd := &cobra.Command{
		Use:   "audit --environment E [--node N] [--secret NAME]",
		Short: "Show who committed each version of a secret, when nodes applied it, and which rotations are overdue",
		Long: `Show, for each secret of an environment, who committed each version and when,
what merged it, when each node applied it, which services use it, and whether its
rotation is overdue.

The command reads the git history of a working copy, from its last commit back.
Changes that are not committed do not count. No key is needed. With keys, the
report also shows encrypted versions, and whether a file that was encrypted
again has new values. When a node applied a version is read from the history and
the audit log of the agent on this machine, and from the commit statuses in
GitLab if a project and a token are configured.`,
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.repo, "repo", ".", "working copy of the repository, with its history")
	flags.StringSliceVar(&f.nodes, "node", nil, "only this node; may be given several times")
	flags.StringVar(&f.secret, "secret", "", "only this secret: its key in the compose file, or its SV_ name; also a removed one")
	f.output = outputFlag(cmd, "text", "json", "csv")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if a.settings.Environment == "" {
			return usageError{errors.New("name the environment with --environment")}
		}
		return auditSecrets(cmd.Context(), a, f)
	}
	return cmd
}

func auditSecrets(ctx context.Context, a *app, f secretsAuditFlags) error {
	root, keys, err := openWorkingCopy(a, f.repo)
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
	addApplied(ctx, a, report)
	if *f.output == "csv" {
		err = writeSecretsCSV(a.stdout, report)
	} else {
		err = printScreen(a.stdout, *f.output, secretsAuditScreen, report)
	}
	if *f.output != "text" {
		for _, warning := range report.Warnings {
			newPrinter(a.stderr).line("agent: warning: %s", warning)
		}
	}
	overdue := func(secret *provenance.Secret) bool { return secret.OverdueDays > 0 }
	return differentIf(slices.ContainsFunc(report.Secrets, overdue), err)
}

// addApplied adds when nodes applied the versions. A source that it cannot read gives a
// warning: the part of the report that comes from git is complete without it.
func addApplied(ctx context.Context, a *app, report *provenance.Report) {
	warn := func(what string, err error) {
		if err != nil {
			report.Warnings = append(report.Warnings, fmt.Sprintf("%s: %v", what, err))
		}
	}
	if environment, node, ok := strings.Cut(localNode(ctx, a), "/"); ok && environment == report.Environment {
		syncs, err := recordedSyncs(ctx, a)
		warn("cannot read the history of the agent on this machine", err)
		report.AddSyncs(node, syncs)
		syncs, err = loggedSyncs(a.settings.StateDir)
		warn("cannot read the audit log of the agent on this machine", err)
		report.AddSyncs(node, syncs)
	}
	warn("cannot read commit statuses from GitLab", addStatuses(ctx, a, report))
	warn("cannot read newest versions from Vault", addVaultVersions(ctx, &a.settings, report))
}

// allSyncs is more than a history holds.
const allSyncs = 1 << 20

// recordedSyncs gives the syncs of the agent's history.
func recordedSyncs(ctx context.Context, a *app) ([]provenance.Sync, error) {
	history, err := readHistory(ctx, a, record.Query{Limit: allSyncs})
	var syncs []provenance.Sync
	for _, sync := range history {
		syncs = append(syncs, provenance.Sync{Commit: sync.Commit, Stack: string(sync.Key), Finished: sync.Finished, Succeeded: sync.State == record.Succeeded})
	}
	return syncs, err
}

// loggedSyncs gives the syncs of the audit log, which begins before the history and has
// the secrets that each sync created, but not the syncs that wrote nothing.
func loggedSyncs(stateDir string) ([]provenance.Sync, error) {
	var syncs []provenance.Sync
	created := map[string]map[string]time.Time{} // by stack
	_, err := audit.Read(stateDir, func(entry audit.Entry) {
		switch {
		case entry.Kind == audit.Secret && entry.Action == audit.Create && entry.Outcome == audit.Succeeded:
			if created[entry.Stack] == nil {
				created[entry.Stack] = map[string]time.Time{}
			}
			created[entry.Stack][entry.Name] = entry.Time
		case entry.Kind == audit.Stack && entry.Action == audit.Sync && entry.Outcome != audit.Started:
			syncs = append(syncs, provenance.Sync{
				Commit: entry.Revision, Stack: entry.Stack, Finished: entry.Time, Succeeded: entry.Outcome == audit.Succeeded, Created: created[entry.Stack],
			})
			delete(created, entry.Stack)
		}
	})
	return syncs, err
}

// localNode gives the owner, <environment>/<node>, whose agent runs or has run on this
// machine; "" for none.
func localNode(ctx context.Context, a *app) string {
	status, err := a.client().Status(ctx)
	if err == nil {
		return status.Environment + "/" + status.Node
	}
	applied, err := fromStateFile(&a.settings, anyDeployed)
	if err != nil || applied == nil {
		return ""
	}
	return applied.Owner
}

// anyDeployed gives the deployed good state of one of the stacks on record; nil if none has one.
func anyDeployed(opened *store.Store) (*record.GoodState, error) {
	for _, key := range opened.Stacks() {
		if good, err := opened.Stack(key).Deployed(); good != nil || err != nil {
			return good, err
		}
	}
	return nil, nil
}

// addStatuses adds the commit statuses of GitLab, if one is configured.
func addStatuses(ctx context.Context, a *app, report *provenance.Report) error {
	client, err := a.gitLab()
	if client == nil || err != nil {
		return err
	}
	var tagged map[string]bool
	pattern, err := tagsOf(&a.settings)
	if err != nil {
		return err
	}
	if pattern != nil {
		if tagged, err = report.Tagged(pattern.MatchString); err != nil {
			return err
		}
	}
	return report.AddStatuses(ctx, client, tagged)
}
