package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

func statusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Show the desired state, the live state and the current sync", Args: noArgs}
	output := outputFlag(cmd, "text", "json")
	watch := cmd.Flags().Bool("watch", false, "show the status again after each change")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *watch {
			return watchStatus(cmd.Context(), a, *output)
		}
		status, err := readStatus(cmd.Context(), &a.settings)
		if err != nil {
			return err
		}
		err = printScreen(a.stdout, *output, "status", status)
		if err == nil && !status.Running {
			return fault.WithHint(fmt.Errorf("%w %s", control.ErrNotRunning, a.settings.Socket), "start it: systemctl start coin-agent")
		}
		return differentIf(!status.InSync || !status.Healthy(), err)
	}
	return cmd
}

// readStatus asks the daemon. Without a daemon it reads the state file.
func readStatus(ctx context.Context, settings *settings.Settings) (report.Status, error) {
	status, err := control.NewClient(settings.Socket).Status(ctx)
	if !errors.Is(err, control.ErrNotRunning) {
		return status, err
	}
	opened, storeErr := store.OpenReadOnly(settings.StateDir)
	switch {
	case errors.Is(storeErr, store.ErrDamaged):
		return status, storeErr
	case storeErr != nil:
		return status, err // the daemon does not run, and there is no state file
	}
	defer func() { _ = opened.Close() }()
	return report.StoredStatus(nodeOf(settings), opened.Stack(record.OnlyStack), time.Now())
}

// verdict gives the state of the node in one line.
func verdict(p printer, s report.Status) string {
	colour := map[report.HeadlineState]string{report.AllWell: green, report.Attention: yellow, report.Alarm: red}[report.StateOf(&s)]
	word, rest := report.Headline(&s)
	if rest == "" {
		return p.paint(colour, word)
	}
	return p.paint(colour, word) + "  " + rest
}

func byWhom(subject, author string) string {
	if author == "" {
		return subject
	}
	return fmt.Sprintf("%q by %s", subject, author)
}

// printServices lists the services, with their drift. It prints nothing if there are none.
func printServices(p printer, s report.Status) {
	if len(s.Services) == 0 {
		return
	}
	drifted := map[string]string{}
	for _, step := range s.Drift {
		drifted[step.Name] = driftText(step)
		if slices.Contains(drift.Contested(s.Contests), step.Name) {
			drifted[step.Name] += ", contested"
		}
	}
	rows := make([][]string, 0, len(s.Services))
	for _, service := range s.Services {
		rows = append(rows, []string{service.Name, path.Base(service.Image), tasks(service), serviceState(p, service, drifted[service.Name])})
		delete(drifted, service.Name)
	}
	p.table([]string{"SERVICE", "IMAGE", "TASKS", "STATE"}, rows)
	for _, step := range s.Drift {
		if text, missing := drifted[step.Name]; missing {
			p.line("%s: %s", step.Name, p.paint(yellow, text))
		}
	}
}

func tasks(service deploy.ServiceStatus) string {
	return fmt.Sprintf("%d/%d", service.Running, service.Desired)
}

func serviceState(p printer, service deploy.ServiceStatus, drift string) string {
	switch {
	case drift != "":
		return p.paint(yellow, "drifted: "+drift)
	case service.OneShot && service.Running == 0:
		return "done"
	case service.Message != "":
		return p.paint(red, service.UpdateState+": "+service.Message)
	case service.UpdateState == "updating":
		return p.paint(yellow, "updating")
	case service.Running == 0 && (service.OneShot || service.Completed > 0):
		return "ended"
	case service.Desired == 0:
		return "stopped"
	case service.MissesTasks():
		return p.paint(red, "not running")
	}
	return p.paint(green, "running")
}

func driftText(step deploy.Step) string {
	if step.Action != deploy.Update {
		return "to " + string(step.Action)
	}
	return report.ChangeLabels(step)
}

// pauseEnd says when a pause ends.
func pauseEnd(pause *record.Pause) string {
	if pause.Until.IsZero() {
		return "a user runs `agent resume`"
	}
	return gates.Clock(pause.Until.Local(), time.Now())
}

// waits gives each gate that a sync waits at, since when, and until when.
func waits(sync *record.Sync) []string {
	var texts []string
	for _, gate := range sync.Gates {
		if gate.Waiting == "" {
			continue
		}
		text := tidy(gate.Waiting)
		if !gate.Since.IsZero() {
			text += ", for " + roughly(time.Since(gate.Since))
		}
		if !gate.Until.IsZero() && !strings.Contains(gate.Waiting, "until ") {
			text += ", until " + gates.Clock(gate.Until.Local(), time.Now())
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return []string{tidy(sync.Waiting)}
	}
	return texts
}
