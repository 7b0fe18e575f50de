package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/rotate"
	"coin.internal/coin-agent/secrets"
)

// rotateFlags are the flags of the command.
type rotateFlags struct {
	common             proposalFlags
	valueFile, charset string
	branch, stack      string
	nodes              []string
	generate           int
	raw, overdue       bool
}

func rotateCommand(a *app) *cobra.Command {
	var f rotateFlags
	cmd := &cobra.Command{
		Use:   "rotate {NAME | --overdue [NAME...]} --environment E {--value-file F | --generate N}",
		Short: "Give a secret a new value and version in a working copy: a commit, and a merge request",
		Long: `Give a secret a new value and version in a working copy of the repository.

All nodes of the environment that have the secret change together, in one
commit on a branch of its own, which is then checked out. Nodes that have the
same value now get the same new one. NAME is the secret's key in the compose
file, its SV_ name, or its key in the SOPS file.

If a GitLab project and a token are configured, the command pushes the branch
and opens a merge request. If an earlier run was interrupted, the command
finishes it. Swarm does not change before the sync of the merged commit.

With --overdue the command rotates all secrets whose rotation is overdue, as
` + "`agent secrets audit`" + ` shows them: a commit each, and one merge request for the
environment. While its branch is in GitLab, the command does nothing more.
Values that are whole files are not generated. Here NAME is the secret's key in
the compose file or its SV_ name. The exit code is 3 if a secret was skipped.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.overdue {
				return nil
			}
			wrong := fault.New(fault.Place{}, "agent secrets rotate db_access --environment sandbox --generate 32", "name one secret")
			return takes(cobra.ExactArgs(1), wrong)(cmd, args)
		},
	}
	f.common.add(cmd, "")
	flags := cmd.Flags()
	flags.StringSliceVar(&f.nodes, "node", nil, "change only this node; may be given several times")
	flags.StringVar(&f.stack, "stack", "", "look for NAME in this stack only; a value that other stacks share changes there, too")
	flags.StringVar(&f.valueFile, "value-file", "", "file with the new value, outside the repository; - for standard input")
	flags.BoolVar(&f.raw, "raw", false, "a line break at the end of the file is part of the value")
	flags.BoolVar(&f.overdue, "overdue", false, "rotate the secrets whose rotation is overdue; with names, only these")
	flags.IntVar(&f.generate, "generate", 0, "generate a value with this many characters")
	flags.StringVar(&f.charset, "charset", "alnum", "characters to generate from: alnum, hex, base64, ascii, or the characters themselves")
	flags.StringVar(&f.branch, "branch", "", "branch to commit on (default rotate/<environment>/<name>-<version>)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkRotate(cmd, a.settings.Environment, f.raw); err != nil {
			return err
		}
		if f.overdue {
			if cmd.Flags().Changed("value-file") || cmd.Flags().Changed("node") || f.stack != "" || cmd.Flags().Changed("branch") {
				return usageError{errors.New("--overdue generates values for all nodes, on a branch of its own: leave out --value-file, --node, --stack and --branch")}
			}
			return rotateOverdue(cmd.Context(), a, args, f)
		}
		return rotateSecret(cmd.Context(), a, args[0], f, cmd.InOrStdin())
	}
	return cmd
}

// checkRotate refuses a command line that does not say what to rotate.
func checkRotate(cmd *cobra.Command, environment string, raw bool) error {
	changed := cmd.Flags().Changed
	switch {
	case environment == "":
		return usageError{errors.New("name the environment with --environment")}
	case changed("value-file") == changed("generate"):
		return usageError{fault.New(fault.Place{}, "add --generate 32 for a new random value, or --value-file FILE for your own (- for standard input)",
			"give either --value-file or --generate")}
	case changed("charset") && !changed("generate"), raw && !changed("value-file"):
		return usageError{errors.New("use --charset with --generate, and --raw with --value-file")}
	}
	return nil
}

func rotateSecret(ctx context.Context, a *app, name string, f rotateFlags, stdin io.Reader) error {
	root, keys, err := openWorkingCopy(a, f.common.repo)
	if err != nil {
		return err
	}
	tree, err := proposal.OpenWorktree(ctx, root)
	if err != nil {
		return err
	}
	defer tree.Close()
	value, err := readValue(tree, f.valueFile, stdin)
	if err != nil {
		return err
	}
	defer value.Wipe()
	result, err := rotate.Run(ctx, tree, keys, rotate.Request{
		Name: name, Environment: a.settings.Environment, Nodes: f.nodes, Stack: f.stack, Value: value, Raw: f.raw,
		Generate: rotate.Generate{Length: f.generate, Charset: f.charset}, Branch: f.branch, Author: f.common.author,
	})
	tree.Close() // pushing needs no lock
	if err != nil {
		return err
	}
	shown := rotated{Environment: a.settings.Environment, Secret: name, Result: proposed{Commit: result.Commit}}
	if result.Plan != nil {
		shown.Secret, shown.Nodes, shown.Notes = result.Plan.Secret, result.Plan.Nodes, result.Plan.Notes
	}
	err = f.common.publish(ctx, a, tree, &shown.Result)
	return errors.Join(printScreen(a.stdout, *f.common.output, rotatedScreen, shown), err)
}

// readValue reads the new value; without a file it gives an empty value.
func readValue(tree *proposal.Worktree, name string, stdin io.Reader) (secrets.Value, error) {
	const limit = 1 << 20
	switch name {
	case "":
		return secrets.Value{}, nil
	case "-":
		if isTerminal(stdin) {
			return secrets.Value{}, usageError{errors.New("standard input is a terminal, which would show the value: pipe it in, or name a file")}
		}
	default:
		if err := tree.Outside(name); err != nil {
			return secrets.Value{}, err
		}
		file, err := os.Open(name)
		if err != nil {
			return secrets.Value{}, fault.WithHint(fmt.Errorf("read the new value: %w", err), "name the file that holds it")
		}
		defer file.Close() //nolint:errcheck // only read from
		stdin = file
	}
	content, err := io.ReadAll(io.LimitReader(stdin, limit))
	if err != nil {
		return secrets.Value{}, fmt.Errorf("read the new value: %w", err)
	}
	return secrets.NewValue(content), nil
}

// rotated is the output of the command.
type rotated struct {
	Environment string        `json:"environment"`
	Secret      string        `json:"secret"`
	Nodes       []rotate.Node `json:"nodes,omitempty"`
	Notes       []string      `json:"notes,omitempty"`
	Result      proposed      `json:"-"`
}

// MarshalJSON writes the keys of the result last.
func (r rotated) MarshalJSON() ([]byte, error) {
	type others rotated
	return joinedJSON(others(r), r.Result)
}

// valueFile names a file of values: secrets.enc, or a file in secrets/.
func valueFile(name string) string {
	if strings.Contains(name, "/secrets/") {
		return "secrets/" + path.Base(name)
	}
	return path.Base(name)
}
