package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/control"
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
		err = printAs(a.stdout, *output, status, func(p printer) { printStatus(p, status) })
		if err == nil && !status.Running {
			return fault.WithHint(fmt.Errorf("%w %s", control.ErrNotRunning, a.settings.Socket), "start it: systemctl start coin-agent")
		}
		return differentIf(!status.InSync, err)
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

func printStatus(p printer, s report.Status) {
	p.line("%s/%s  stack %s  %s", s.Environment, s.Node, orDash(s.Stack), verdict(p, s))
	if s.Desired != nil {
		p.line("  desired   %s %s  %s", short(s.Desired.Commit), s.Desired.Ref, byWhom(s.Desired.Subject, s.Desired.Author))
	}
	if s.Applied != nil {
		p.line("  applied   %s release %s, %s", short(s.Applied.Commit), orDash(s.Applied.Release), ago(s.Applied.At))
	}
	printHeld(p, s)
	if s.Sync != nil {
		printSync(p, s.Sync, s.Progress, s.Rollout)
		printWait(p, s)
	}
	if s.Group != "" {
		p.line("  group     %s", p.paint(yellow, s.Group))
	}
	switch {
	case s.PollError != "" && (s.Sync == nil || s.PollError != s.Sync.Error):
		p.line("  looking   %s; again in %s", p.paint(red, s.PollError), roughly(time.Until(s.NextPoll)))
		printHint(p, s.PollHint)
	case s.Running && s.LastLook.IsZero():
		p.line("  looking   for the first time since the agent started, %s", ago(s.Started))
	case s.Running:
		p.line("  looking   last %s, next in %s", ago(s.LastLook), roughly(time.Until(s.NextPoll)))
	}
	printGitLab(p, s)
	printOverdue(p, s)
	printNotices(p, s)
	printServices(p, s)
	p.line("")
	p.line("next: %s", s.Next)
}

// printWait shows the services that the rollout waits for, or the details of the
// services that failed.
func printWait(p printer, s report.Status) {
	switch {
	case s.Rollout == nil:
	case s.Sync.State.Final():
		printDetails(p, s.Rollout)
	default:
		p.line("")
		printRollout(p, s.Rollout)
		p.line("")
	}
}

// verdict gives the state of the node in a few words.
func verdict(p printer, s report.Status) string {
	switch {
	case !s.Running:
		return p.paint(red, "the agent does not run")
	case s.InSync && len(s.Lacking()) > 0:
		return p.paint(red, "in sync, but not healthy")
	case s.InSync && s.Pause != nil:
		return p.paint(green, "in sync") + p.paint(yellow, ", paused")
	case s.InSync:
		return p.paint(green, "in sync")
	case s.Sync != nil && s.Sync.State == record.Failed:
		return p.paint(red, "failed")
	case s.Sync != nil && !s.Sync.State.Final():
		return p.paint(yellow, string(s.Sync.State))
	case s.Pinned != nil && len(s.Drift) > 0:
		return p.paint(yellow, "rolled back, drifted")
	case s.Pinned != nil:
		return p.paint(yellow, "rolled back")
	case len(s.Drift) > 0:
		return p.paint(yellow, "drifted")
	case s.PollError != "":
		return p.paint(red, "last look failed")
	case s.LastLook.IsZero():
		return p.paint(yellow, "starting")
	}
	return p.paint(yellow, "out of sync")
}

func byWhom(subject, author string) string {
	if author == "" {
		return subject
	}
	return fmt.Sprintf("%q by %s", subject, author)
}

func printSync(p printer, sync *record.Sync, progress string, rollout *report.Rollout) {
	where := ""
	if !sync.State.Final() {
		where = " at " + string(sync.Stage)
	}
	p.line("  sync      #%d of %s (%s) %s%s, %s", sync.ID, short(sync.Commit), sync.Trigger, sync.State, where, ago(sync.Started))
	printSyncResult(p, sync)
	if text := checksText(sync); text != "" {
		p.line("            checks: %s", text)
	}
	if text := migrationText(sync.Migration); text != "" {
		p.line("            migrations: %s", text)
	}
	printRollbackResult(p, sync)
	if progress != "" && rollout == nil {
		p.line("            %s", progress)
	}
	for _, warning := range sync.Warnings[:min(mostWarnings, len(sync.Warnings))] {
		p.line("            %s %s", p.paint(yellow, "warning:"), warning)
	}
	if more := len(sync.Warnings) - mostWarnings; more > 0 {
		p.line("            %s", p.paint(dim, counted(more, "more warning", "more warnings")+": see `agent status -o json`"))
	}
}

// mostWarnings is how many warnings of a sync the status shows.
const mostWarnings = 3

func printHint(p printer, hint string) {
	if hint != "" {
		p.line("            hint: %s", hint)
	}
}

func printGitLab(p printer, s report.Status) {
	if s.GitLab == nil {
		return
	}
	health := s.GitLab
	text := "all statuses delivered"
	if health.Undelivered > 0 {
		text = counted(health.Undelivered, "status", "statuses") + " not delivered"
	}
	if !health.TokenExpires.IsZero() {
		text += fmt.Sprintf(", token expires %s", health.TokenExpires.Format(time.DateOnly))
	}
	p.line("  gitlab    %s", text)
	if health.LastError != "" {
		p.line("            %s", p.paint(red, health.LastError))
		printHint(p, health.Hint)
	}
	if health.Refused != nil {
		p.line("            %s", p.paint(yellow, fmt.Sprintf("refused: %s of %s: %s", health.Refused.Report.State, short(health.Refused.Report.Commit), health.Refused.Reason)))
	}
}

// printNotices shows the notices that are not sent, and why. It prints nothing if
// there are no receivers.
func printNotices(p printer, s report.Status) {
	if s.Notices == nil || len(s.Notices.Receivers) == 0 {
		return
	}
	text := "all notices sent"
	if n := s.Notices.Undelivered; n > 0 {
		text = counted(n, "notice", "notices") + " not sent to all receivers"
	}
	if n := s.Notices.Dropped; n > 0 {
		text += fmt.Sprintf(", %d dropped (see the log)", n)
	}
	p.line("  notices   %s", text)
	for _, one := range s.Notices.Receivers {
		if one.Trouble != nil {
			p.line("            %s", p.paint(red, one.String()+": "+one.Trouble.Error))
			printHint(p, one.Trouble.Hint)
		}
		if one.Refused != nil {
			p.line("            %s", p.paint(yellow, fmt.Sprintf("%s: refused %q: %s", one.String(), one.Refused.Title, one.Refused.Reason)))
			printHint(p, one.Refused.Hint)
		}
	}
}

func printServices(p printer, s report.Status) {
	if len(s.Services) == 0 {
		return
	}
	drift := map[string]string{}
	for _, step := range s.Drift {
		drift[step.Name] = driftText(step)
	}
	rows := make([][]string, 0, len(s.Services))
	for _, service := range s.Services {
		rows = append(rows, []string{service.Name, path.Base(service.Image), tasks(service), serviceState(p, service, drift[service.Name])})
		delete(drift, service.Name)
	}
	p.line("")
	p.table([]string{"SERVICE", "IMAGE", "TASKS", "STATE"}, rows)
	for _, step := range s.Drift {
		if text, missing := drift[step.Name]; missing {
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
