package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/settings"
)

// TestEveryCommandHasAnExampleAndAGroup demands what the help shows of each command.
func TestEveryCommandHasAnExampleAndAGroup(t *testing.T) {
	t.Parallel()
	root := (&app{settings: settings.Default()}).root()
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, below := range cmd.Commands() {
			if cmd == root && below.GroupID == "" {
				t.Errorf("%s is in no group", below.CommandPath())
			}
			if !below.HasSubCommands() && !strings.Contains(below.Example, below.CommandPath()) {
				t.Errorf("%s has no example", below.CommandPath())
			}
			visit(below)
		}
	}
	visit(root)
}

// TestCompletion asks as a shell does.
func TestCompletion(t *testing.T) {
	const example = "../../examples/coin-gitops"
	for line, want := range map[string]string{
		"explain en":         "engine\tThe engine cannot be used",
		"status -o ":         "json",
		"render -o ":         "specs",
		"history --state wa": "waiting",
		"check --repo " + example + " --environment ":                                     "sandbox",
		"check --repo " + example + " --environment sandbox --node ":                      "node3",
		"render --repo ../../examples/layers --environment sandbox --node node1 --stack ": "platform",
		"sy": "sync\tSync now",
		"release promote --repo " + example + " ":         "sandbox",
		"release promote --repo " + example + " sandbox ": "production",
		"help stack d": "deploy\tDeploy",
		"completion ":  "zsh",
	} {
		var out, errs strings.Builder
		code := run(context.Background(), append([]string{"__complete"}, strings.Split(line, " ")...), &out, &errs)
		if code != exitDone || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit %d, %s%s; want %s", line, code, out.String(), errs.String(), want)
		}
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 22, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"23:30": "2026-11-29T23:30:00Z", "08:00": "2026-11-30T08:00:00Z", "2026-12-01T08:00": "2026-12-01T08:00:00Z",
		"2026-12-01 08:00": "2026-12-01T08:00:00Z", "2026-12-01T08:00:00+01:00": "2026-12-01T08:00:00+01:00",
	} {
		at, err := untilWhen(text, now)
		if err != nil || at.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v, want %s", text, at, err, want)
		}
	}
	for _, text := range []string{"", "soon", "25:00", "2026-11-29T21:00", "2020-01-01T00:00:00Z"} {
		if at, err := untilWhen(text, now); err == nil {
			t.Errorf("%q is %s", text, at)
		}
	}
}
