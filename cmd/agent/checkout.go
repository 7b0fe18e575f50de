package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/selection"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

// checkoutFlags select the files that an offline command reads: a folder, or a
// revision of the remote.
type checkoutFlags struct {
	repo     string
	revision string
}

func (f *checkoutFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.repo, "repo", "", "read this folder instead of the remote")
	cmd.Flags().StringVar(&f.revision, "revision", "", "branch, tag or commit of the remote (default: the followed revision)")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return onlyOne(cmd, "repo", "revision") }
}

// files opens the tree of files. The caller must call closer after their use.
func (f *checkoutFlags) files(ctx context.Context, a *app) (fsys fs.FS, closer func(), err error) {
	if f.repo != "" {
		root, err := os.OpenRoot(f.repo)
		if err != nil {
			return nil, nil, fmt.Errorf("open repository: %w", err)
		}
		return root.FS(), func() { _ = root.Close() }, nil
	}
	settings := &a.settings
	if settings.Repository == "" {
		return nil, nil, usageError{errors.New("name a folder with --repo, or a remote with --repository")}
	}
	source, err := gitsync.Open(settings.Remote())
	if err != nil {
		return nil, nil, err
	}
	revision, err := selectRevision(ctx, a, source, f.revision)
	if err != nil {
		return nil, nil, err
	}
	if _, err := signing.New(settings.Policy.Demands, source).Check(ctx, revision); err != nil {
		return nil, nil, err
	}
	checkout, err := source.Fetch(ctx, revision, settings.Paths())
	if err != nil {
		return nil, nil, err
	}
	return checkout.FS, func() {}, nil
}

var fullHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// selectRevision finds the revision that the user named: a commit, a branch or a
// tag. Without a name it selects the one that the node follows now.
func selectRevision(ctx context.Context, a *app, source *gitsync.Repository, name string) (gitsync.Revision, error) {
	switch {
	case name == "":
		return a.follows(ctx, source)
	case fullHash.MatchString(name):
		return gitsync.Revision{Commit: name, Ref: name}, nil
	}
	revision, err := source.Select(ctx, gitsync.Rule{Branch: name})
	if err == nil {
		return revision, nil
	}
	if tags, tagErr := source.Tags(ctx, "^"+regexp.QuoteMeta(name)+"$"); tagErr == nil {
		return tags[0].Revision(), nil
	}
	return gitsync.Revision{}, err
}

// follows gives the revision that the node follows now, as its agent selects it, and prints
// what a user has to know about other tags.
func (a *app) follows(ctx context.Context, source *gitsync.Repository) (gitsync.Revision, error) {
	revision, told, err := selection.NewRemote(source, a.settings.Rule()).Now(ctx, a.onRecord(ctx))
	for _, text := range told {
		printFault(a.stderr, "warning", errors.New(text))
	}
	return revision, err
}

// onRecord gives what the agent, or its state file, has on record of the node; nothing if
// there is neither, or they are of another node.
func (a *app) onRecord(ctx context.Context) selection.Record {
	status, err := readStatus(ctx, a)
	if err != nil || status.Environment != a.settings.Environment || status.Node != a.settings.Node {
		return selection.Record{}
	}
	var deployed *record.GoodState
	if status.Applied != nil {
		deployed = &record.GoodState{Commit: status.Applied.Commit}
	}
	return selection.NewRecord(status.Sync, deployed)
}

// rendered gives the stack of the node from the files that the flags name, and what else
// they say, and prints its warnings.
func rendered(ctx context.Context, a *app, flags checkoutFlags) (*desired.State, *compose.Stack, error) {
	keys, err := a.keyring() // before anything is fetched
	if err != nil {
		return nil, nil, err
	}
	options := a.nodeOptions()
	options.Keys = func() (*secrets.Keyring, error) { return keys, nil }
	state, stack, err := a.open(ctx, flags, options)
	if err != nil {
		return nil, nil, err
	}
	for _, warning := range stack.Warnings {
		printFault(a.stderr, "warning", warning)
	}
	return state, stack, nil
}

// open reads and renders the node's files.
func (a *app) open(ctx context.Context, flags checkoutFlags, options desired.Options) (*desired.State, *compose.Stack, error) {
	if options.Environment == "" || options.Node == "" {
		return nil, nil, usageError{errors.New("name the node with --environment and --node")}
	}
	files, closer, err := flags.files(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	defer closer()
	state, err := desired.Open(ctx, files, options)
	if err != nil {
		return nil, nil, err
	}
	stack, err := state.Render(ctx)
	return state, stack, err
}

func renderCommand(a *app) *cobra.Command {
	var flags checkoutFlags
	cmd := &cobra.Command{Use: "render", Short: "Print what would be deployed; secret values are never shown", Args: noArgs}
	flags.add(cmd)
	output := outputFlag(cmd, "yaml", "specs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, stack, err := rendered(cmd.Context(), a, flags)
		if err != nil {
			return err
		}
		if *output == "specs" {
			data, err := stack.Specs()
			if err != nil {
				return err
			}
			_, err = jsonWriter{a.stdout}.Write(data)
			return err
		}
		data, err := stack.YAML()
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(data)
		return err
	}
	return cmd
}
