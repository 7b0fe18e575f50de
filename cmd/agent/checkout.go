package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
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
func (a *app) files(ctx context.Context, flags checkoutFlags) (fsys fs.FS, closer func(), err error) {
	if flags.repo != "" {
		root, err := os.OpenRoot(flags.repo)
		if err != nil {
			return nil, nil, fmt.Errorf("open repository: %w", err)
		}
		return root.FS(), func() { _ = root.Close() }, nil
	}
	if a.settings.Repository == "" {
		return nil, nil, usageError{fmt.Errorf("name a folder with --repo, or a remote with --repository")}
	}
	source, err := gitsync.Open(a.settings.Remote())
	if err != nil {
		return nil, nil, err
	}
	revision, err := a.selectRevision(ctx, source, flags.revision)
	if err != nil {
		return nil, nil, err
	}
	checkout, err := source.Fetch(ctx, revision, a.settings.Paths())
	if err != nil {
		return nil, nil, err
	}
	return checkout.FS, func() {}, nil
}

var fullHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// selectRevision finds the revision that the user named: a commit, a branch or a
// tag. Without a name it selects the revision that the settings follow.
func (a *app) selectRevision(ctx context.Context, source *gitsync.Repository, name string) (gitsync.Revision, error) {
	switch {
	case name == "":
		return source.Select(ctx, a.settings.Rule())
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

// needNode refuses a command line that does not name a node.
func (a *app) needNode() error {
	if a.settings.Environment == "" || a.settings.Node == "" {
		return usageError{fmt.Errorf("name the node with --environment and --node")}
	}
	return nil
}

// rendered gives the stack of the node from the files that the flags name, and
// prints its warnings.
func (a *app) rendered(ctx context.Context, flags checkoutFlags) (*compose.Stack, error) {
	if err := a.needNode(); err != nil {
		return nil, err
	}
	keys, err := a.keyring() // before anything is fetched
	if err != nil {
		return nil, err
	}
	files, closer, err := a.files(ctx, flags)
	if err != nil {
		return nil, err
	}
	defer closer()
	options := a.nodeOptions()
	options.Keys = func() (*secrets.Keyring, error) { return keys, nil }
	stack, err := desired.Render(files, options)
	if err != nil {
		return nil, err
	}
	for _, warning := range stack.Warnings {
		fmt.Fprintf(a.stderr, "agent: warning: %v\n", warning)
		if hint := fault.Hint(warning); hint != "" {
			fmt.Fprintf(a.stderr, "agent: hint: %s\n", hint)
		}
	}
	return stack, nil
}

func (a *app) renderCommand() *cobra.Command {
	var flags checkoutFlags
	cmd := &cobra.Command{Use: "render", Short: "Print what would be deployed; secret values are never shown", Args: noArgs}
	flags.add(cmd)
	output := outputFlag(cmd, "yaml", "specs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output, "yaml", "specs"); err != nil {
			return err
		}
		stack, err := a.rendered(cmd.Context(), flags)
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

func number(n uint64) string { return strconv.FormatUint(n, 10) }
