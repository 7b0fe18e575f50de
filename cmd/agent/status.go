package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

func statusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Show the desired state, the live state and the current sync", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	watch := cmd.Flags().Bool("watch", false, "show the status again after each change")
	all := cmd.Flags().Bool("all", false, "list the healthy services, too, and all lines however small the terminal is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *watch {
			return watchStatus(cmd.Context(), a, *output, *all)
		}
		status, err := readStatus(cmd.Context(), a)
		if err != nil {
			return err
		}
		err = printStatus(a, *output, statusView{status, *all})
		if err == nil && !status.Running {
			return fault.WithHint(fmt.Errorf("%w %s", control.ErrNotRunning, a.settings.Socket), "start it: systemctl start coin-agent")
		}
		return differentIf(!status.InSync || !status.Healthy(), err)
	}
	return cmd
}

// errorLines are what the error that no agent runs takes below the status on a narrow terminal.
const errorLines = 5

// printStatus prints a status. On a terminal it leaves out the last lines, which matter least,
// where they would move the first ones out of sight.
func printStatus(a *app, output string, of statusView) error {
	if output == "json" {
		return printJSON(a.stdout, of.status)
	}
	p := newPrinter(a.stdout)
	if !of.status.Running && p.height > 0 {
		p.height = max(1, p.height-errorLines)
	}
	s := &page{p: p}
	statusScreen(s, of)
	lines := s.lines()
	if room := p.height - 1; !of.all && p.height > 5 && len(lines) > room {
		left := len(lines) - room + 1
		lines = append(lines[:room-1], fmt.Sprintf("… %d more lines: agent status --all", left))
	}
	if _, err := io.WriteString(p, strings.Join(lines, "\n")+"\n"); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// readStatus asks the daemon. Without a daemon it reads the state file.
func readStatus(ctx context.Context, a *app) (report.Status, error) {
	status, err := a.client().Status(ctx)
	if !errors.Is(err, control.ErrNotRunning) {
		return status, err
	}
	settings := &a.settings
	opened, storeErr := store.OpenReadOnly(settings.StateDir)
	switch {
	case errors.Is(storeErr, store.ErrDamaged):
		return status, storeErr
	case storeErr != nil:
		return status, err // the daemon does not run, and there is no state file
	}
	defer func() { _ = opened.Close() }()
	status, err = storedStatus(a, opened)
	status.Policy = &policy.State{Rules: settings.Policy, Read: time.Now()}
	return status, err
}

// verdict gives the state of the node in one line.
func verdict(p printer, s report.Status) markup {
	colour := headlineColours[report.StateOf(&s)]
	word, rest := report.Headline(&s)
	if rest == "" {
		return p.paint(colour, word)
	}
	return p.paint(colour, word) + "  " + shown(rest)
}

func byWhom(subject, author string) string {
	if author == "" {
		return subject
	}
	return fmt.Sprintf("%q by %s", subject, audit.AuthorName(author))
}

func tasks(service deploy.ServiceStatus) string {
	return fmt.Sprintf("%d/%d", service.Running, service.Wanted())
}

// headlineColours are the colours of what a headline, or the state of a service, stands for.
var headlineColours = map[report.HeadlineState]string{report.AllWell: green, report.Attention: yellow, report.Alarm: red}

// serviceState gives the state of a service in its colour.
func serviceState(p printer, service deploy.ServiceStatus, drift string) markup {
	text, state := report.ServiceState(service, drift)
	if state == report.AllWell && text != "running" {
		return shown(text)
	}
	return p.paint(headlineColours[state], text)
}

// pauseEnd says when a pause ends.
func pauseEnd(pause *record.Pause) string {
	if pause.Until.IsZero() {
		return "a user runs `agent resume`"
	}
	return gates.Clock(pause.Until.Local(), time.Now())
}
