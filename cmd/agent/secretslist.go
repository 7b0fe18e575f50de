package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/deploy"
)

func secretsListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the node's secrets in Swarm: live version, age, users, rotation, and which old versions stay, and why",
		Args:  noArgs,
	}
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		found, err := survey(cmd.Context(), a)
		if err != nil {
			return err
		}
		if *output == "json" {
			return printJSON(a.stdout, found.Secrets)
		}
		return printPage(newPrinter(a.stdout), secretsListScreen, found)
	}
	return cmd
}

// survey asks the daemon. Without a daemon it reads the engine and the state file.
func survey(ctx context.Context, a *app) (*inventory.Survey, error) {
	found, err := a.client().Survey(ctx)
	return orStateFile(&a.settings, found, err, func(s *store.Store) (*inventory.Survey, error) {
		key, err := storedKey(a, s)
		if err != nil {
			return nil, err
		}
		engine, err := a.connect()
		if err != nil {
			return nil, err
		}
		defer func() { _ = engine.Close() }()
		return inventory.Look(ctx, inventory.Sources{
			Engine: engine, Records: s.Stack(key), Usage: s.Objects(), Others: s.Lists().GoodBut(key), Newest: storedNewest(s),
		}, time.Now())
	})
}

func usersText(version *deploy.Version) string {
	if len(version.Uses) == 0 {
		return "no service"
	}
	texts := make([]string, 0, len(version.Uses))
	for _, use := range version.Uses {
		texts = append(texts, use.Service+" "+use.Target)
	}
	return strings.Join(texts, ", ")
}

// fateText gives the reasons why a version stays, or that it will be removed.
func fateText(version deploy.Version) string {
	if version.Collectable() {
		return "will be removed at the next collection"
	}
	return "stays: " + strings.Join(version.Kept, "; ")
}
