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
	"coin.internal/coin-agent/agent/settings"
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
func (f *checkoutFlags) files(ctx context.Context, settings *settings.Settings) (fsys fs.FS, closer func(), err error) {
	if f.repo != "" {
		root, err := os.OpenRoot(f.repo)
		if err != nil {
			return nil, nil, fmt.Errorf("open repository: %w", err)
		}
		return root.FS(), func() { _ = root.Close() }, nil
	}
	if settings.Repository == "" {
		return nil, nil, usageError{errors.New("name a folder with --repo, or a remote with --repository")}
	}
	source, err := gitsync.Open(settings.Remote())
	if err != nil {
		return nil, nil, err
	}
	revision, err := selectRevision(ctx, source, f.revision, settings.Rule())
	if err != nil {
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
// tag. Without a name it selects the revision of followed.
func selectRevision(ctx context.Context, source *gitsync.Repository, name string, followed gitsync.Rule) (gitsync.Revision, error) {
	switch {
	case name == "":
		return source.Select(ctx, followed)
	case fullHash.MatchString(name):
		return gitsync.Revision{Commit: name, Ref: name}, nil
	}
	revision, err := source.Select(ctx, gitsync.Rule{Branch: name})
	if err == nil {
		return revision, nil
	}
	if tag, tagErr := source.Select(ctx, gitsync.Rule{TagPattern: "^" + regexp.QuoteMeta(name) + "$"}); tagErr == nil {
		return tag, nil
	}
	return gitsync.Revision{}, err
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
	files, closer, err := flags.files(ctx, &a.settings)
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
		form := stack.YAML
		if *output == "specs" {
			form = stack.Specs
		}
		data, err := form()
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(data)
		return err
	}
	return cmd
}
