package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
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
		return printAs(a.stdout, *output, found.Secrets, func(p printer) { printSecrets(p, found) })
	}
	return cmd
}

// survey asks the daemon. Without a daemon it reads the engine and the state file.
func survey(ctx context.Context, a *app) (*inventory.Survey, error) {
	found, err := control.NewClient(a.settings.Socket).Survey(ctx)
	if !errors.Is(err, control.ErrNotRunning) {
		return found, err
	}
	return fromStateFile(&a.settings, func(s *store.Store) (*inventory.Survey, error) {
		engine, err := a.connect()
		if err != nil {
			return nil, err
		}
		defer func() { _ = engine.Close() }()
		return inventory.Look(ctx, inventory.Sources{Engine: engine, Records: s.Stack(record.OnlyStack), Usage: s}, time.Now())
	})
}

func printSecrets(p printer, survey *inventory.Survey) {
	var rows [][]string
	for _, secret := range survey.Secrets {
		name := secret.Secret
		if live := secret.Live; live != nil {
			rows = append(rows, append(versionColumns(name, *live, survey.At), rotationText(secret, survey.At), usersText(*live)))
			name = ""
		}
		for _, old := range secret.Others {
			rows = append(rows, append(versionColumns(name, old, survey.At), "", p.paint(dim, fateText(old))))
			name = ""
		}
	}
	p.table([]string{"SECRET", "VERSION", "CREATED", "AGE", "ROTATION", "USED BY, OR WHY IT STAYS"}, rows)
}

func versionColumns(secret string, version deploy.Version, now time.Time) []string {
	return []string{secret, version.Name, version.Created.Local().Format(time.DateTime), roughly(now.Sub(version.Created))}
}

func rotationText(secret inventory.ListedSecret, now time.Time) string {
	switch {
	case secret.Due.IsZero():
		return "-"
	case secret.Overdue:
		return "overdue by " + roughly(now.Sub(secret.Due))
	}
	return "due in " + roughly(secret.Due.Sub(now))
}

func usersText(version deploy.Version) string {
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

func printOverdue(p printer, s report.Status) {
	now := time.Now()
	for _, rotation := range s.Overdue {
		p.line("  rotation  %s", p.paint(yellow, fmt.Sprintf("%s is %s old and should have been rotated %s ago",
			rotation.Name, roughly(now.Sub(rotation.Created)), roughly(rotation.Overdue(now)))))
		p.line("            hint: agent secrets rotate %s --environment %s", rotation.Secret, s.Environment)
	}
}
