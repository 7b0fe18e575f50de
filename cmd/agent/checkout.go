package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

// checkoutFlags select the files that an offline command reads: a folder, or a
// revision of the remote.
type checkoutFlags struct {
	repo     string
	revision string
	stack    string
}

func (f *checkoutFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.repo, "repo", "", "read this folder instead of the remote")
	cmd.Flags().StringVar(&f.revision, "revision", "", "branch, tag or commit of the remote (default: the followed revision)")
	cmd.Flags().StringVar(&f.stack, "stack", "", "only this stack of a node that has several (default: each, in order)")
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
	revision, err := selectRevision(ctx, a, source, f)
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

var fullHash = lazyregexp.New(`^[0-9a-f]{40}$`)

// selectRevision finds the revision that the user named: a commit, a branch or a
// tag. Without a name it selects the one that the node follows now.
func selectRevision(ctx context.Context, a *app, source *gitsync.Repository, f *checkoutFlags) (gitsync.Revision, error) {
	name := f.revision
	switch {
	case name == "":
		return follows(ctx, a, source, f.stack)
	case fullHash().MatchString(name):
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

// rendered gives the stacks of the node from the files that the flags name, and what else
// they say, and prints their warnings, each once.
func rendered(ctx context.Context, a *app, flags checkoutFlags) ([]desired.Rendered, error) {
	keys, err := a.keyring() // before anything is fetched
	if err != nil {
		return nil, err
	}
	options := a.nodeOptions()
	options.Keys = func() (*secrets.Keyring, error) { return keys, nil }
	all, err := openFiles(ctx, a, flags, options)
	if err != nil {
		return nil, err
	}
	said := map[string]bool{}
	for _, one := range all {
		for _, warning := range one.Stack.Warnings {
			if text := warning.Error(); !said[text] {
				said[text] = true
				printFault(a.stderr, "warning", warning)
			}
		}
	}
	return all, nil
}

// openFiles reads and renders the node's files: each of its stacks, or the one that the flags name.
func openFiles(ctx context.Context, a *app, flags checkoutFlags, options desired.Options) ([]desired.Rendered, error) {
	if options.Environment == "" || options.Node == "" {
		return nil, usageError{errors.New("name the node with --environment and --node")}
	}
	files, closer, err := flags.files(ctx, a)
	if err != nil {
		return nil, err
	}
	defer closer()
	options.Stack = flags.stack
	all, err := desired.RenderAll(ctx, files, options)
	if errors.As(err, new(*fault.Error)) && fault.CodeOf(err) == "" {
		err = fault.WithCode(err, fault.CodeFiles)
	}
	return all, err
}

// onlyStack gives the stack that a command works on, which has to be named where a node has
// several.
func onlyStack(all []desired.Rendered, err error) (desired.Rendered, error) {
	switch {
	case err != nil:
		return desired.Rendered{}, err
	case len(all) == 1:
		return all[0], nil
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Stack.Name)
	}
	return desired.Rendered{}, usageError{fault.New(fault.Place{}, "name one of them with --stack: "+strings.Join(names, ", "), "the node has several stacks, and this command works on one")}
}

func renderCommand(a *app) *cobra.Command {
	var flags checkoutFlags
	cmd := &cobra.Command{Use: "render", Short: "Print what would be deployed; secret values are never shown", Args: noArgs}
	flags.add(cmd)
	output := outputFlag(cmd, "yaml", "specs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		all, err := rendered(cmd.Context(), a, flags)
		if err != nil {
			return err
		}
		if *output == "specs" {
			return printSpecs(a.stdout, all)
		}
		return printCompose(a.stdout, all)
	}
	return cmd
}

// printSpecs prints the engine specs of a stack, or of several as a list.
func printSpecs(w io.Writer, all []desired.Rendered) error {
	var list []json.RawMessage
	for _, one := range all {
		data, err := one.Stack.Specs()
		if err != nil {
			return err
		}
		list = append(list, data)
	}
	if len(list) == 1 {
		_, err := jsonWriter{w}.Write(list[0])
		return err
	}
	return printJSON(w, list)
}

// printCompose prints the merged compose file of a stack, or of several as YAML documents.
func printCompose(w io.Writer, all []desired.Rendered) error {
	for _, one := range all {
		data, err := one.Stack.YAML()
		if err != nil {
			return err
		}
		if len(all) > 1 {
			data = append([]byte("---\n# stack "+one.Stack.Name+"\n"), data...)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return nil
}
