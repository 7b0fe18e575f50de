package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
)

func checkCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [PATH]",
		Short: "Validate a repository, an environment or a node; needs no engine and no keys",
		Args:  takes(cobra.MaximumNArgs(1), nil),
	}
	output := outputFlag(cmd, "text", "json", "junit", "codequality")
	repo := cmd.Flags().String("repo", "", "the repository's folder, instead of PATH")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path := "."
		switch {
		case *repo != "" && len(args) > 0:
			return usageError{errors.New("--repo and PATH cannot be used together")}
		case *repo != "":
			path = *repo
		case len(args) > 0:
			path = args[0]
		}
		root, within, err := findRepository(path)
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("environment") {
			within = scope{environment: a.settings.Environment}
		}
		if cmd.Flags().Changed("node") {
			within.node = a.settings.Node
		}
		if within.node != "" && within.environment == "" {
			return usageError{errors.New("--node needs --environment")}
		}
		return checkFolder(cmd.Context(), a, root, within, *output)
	}
	return cmd
}

// scope is the part of a repository that a check covers; an empty name means all.
type scope struct{ environment, node string }

// checkFolder validates a part of the repository and prints the problems.
func checkFolder(ctx context.Context, a *app, path string, within scope, output string) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return fmt.Errorf("open repository: %w", err)
	}
	defer func() { _ = root.Close() }()
	fsys := limits.On(root.FS(), a.settings.Limits)
	results, err := apart.Do(ctx, func() ([]desired.Checked, error) { return checkNodes(a, fsys, within) }, nil)
	if err != nil {
		return err
	}
	scan, err := apart.Do(ctx, func() (desired.Checked, error) {
		return desired.Scan(fsys, within.environment, within.node).Without(results), nil
	}, nil)
	if err != nil {
		return err
	}
	all := append(results, scan)
	for i := range all {
		all[i] = all[i].Sorted()
	}
	switch output {
	case "json":
		err = printJSON(a.stdout, all)
	case "junit":
		err = printJUnit(a.stdout, all)
	case "codequality":
		err = printJSON(a.stdout, codeQuality(all))
	default:
		err = printPage(newPrinter(a.stdout), checkScreen, checkedNodes{results, scan})
	}
	return differentIf(slices.ContainsFunc(all, func(c desired.Checked) bool { return len(c.Problems) > 0 }), err)
}

// findRepository goes up from path to the folder that holds environments/.
func findRepository(path string) (string, scope, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", scope{}, fmt.Errorf("check %s: %w", path, err)
	}
	if _, err := os.Stat(absolute); err != nil {
		return "", scope{}, fault.WithHint(fmt.Errorf("check: %w", err), "name a coin-gitops repository, or a folder in one")
	}
	for dir := absolute; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(filepath.Join(dir, "environments")); err == nil && info.IsDir() {
			return dir, scopeOf(strings.TrimPrefix(absolute, dir)), nil
		}
		if dir == filepath.Dir(dir) {
			return "", scope{}, fault.WithHint(fmt.Errorf("check %s: no folder `environments` here or above", path), "name a coin-gitops repository, or a folder in one")
		}
	}
}

// scopeOf reads the environment and the node from a path in the repository:
// environments/<env>/nodes/<node>.
func scopeOf(path string) scope {
	parts := strings.Split(strings.Trim(path, string(filepath.Separator)), string(filepath.Separator))
	var s scope
	if len(parts) > 1 && parts[0] == "environments" {
		s.environment = parts[1]
	}
	if len(parts) > 3 && parts[2] == "nodes" {
		s.node = parts[3]
	}
	return s
}

func checkNodes(a *app, fsys fs.FS, within scope) ([]desired.Checked, error) {
	environments := []string{within.environment}
	if within.environment == "" {
		all, err := manifests.Environments(fsys)
		if err != nil {
			return nil, err
		}
		if environments = all; len(all) == 0 {
			return nil, errors.New("check: the repository has no environment")
		}
	}
	var results []desired.Checked
	for _, environment := range environments {
		if within.node != "" {
			one := desired.Check(fsys, environment, within.node, judgedBy(a, environment, within.node))
			desired.Dispute(fsys, environment, one)
			results = append(results, one...)
			continue
		}
		config, names := desired.CheckConfig(fsys, environment)
		if len(config.Problems) > 0 {
			results = append(results, config)
		}
		before := len(results)
		for _, name := range names {
			for _, one := range desired.Check(fsys, environment, name, judgedBy(a, environment, name)) {
				results = append(results, one.Without([]desired.Checked{config}))
			}
		}
		desired.Dispute(fsys, environment, results[before:])
		desired.WarnIdle(results[before:])
	}
	return results, nil
}

// obeys judges the node that the settings name by its policy.
func obeys(a *app, node *manifests.Node, stack *compose.Stack) error {
	if node.Environment != a.settings.Environment || node.Name != a.settings.Node {
		return nil
	}
	return policy.Err(a.settings.Policy.Judge(policy.Subject{Stack: stack, Node: node, Engine: a.settings.Engine}))
}

// judgedBy gives the policy for a node, if it is known: settings that name another node have
// that node's.
func judgedBy(a *app, environment, node string) desired.Judged {
	obey := func(node *manifests.Node, stack *compose.Stack) error { return obeys(a, node, stack) }
	if a.settings.Node != "" && (node != a.settings.Node || environment != a.settings.Environment) {
		return desired.Judged{Obeys: obey}
	}
	return desired.Judged{Rules: a.settings.Policy, Obeys: obey}
}
