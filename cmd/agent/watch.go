package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// watchPeriod is how often the status is read.
const watchPeriod = 500 * time.Millisecond

// watchStatus shows the status until ctx ends. On a terminal it takes the whole screen and its
// keys. In a pipe it prints a line for each change; as JSON, an object a line.
func watchStatus(ctx context.Context, a *app, output string, all bool) error {
	if file, ok := a.stdout.(*os.File); ok && output == "text" && isTerminal(file) {
		return watchOnScreen(ctx, a, file, all)
	}
	show := statusShower(a.stdout, output)
	tick := time.NewTicker(watchPeriod)
	defer tick.Stop()
	for {
		status, err := readStatus(ctx, a)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := show(status); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// statusShower gives the function that shows each status in a pipe.
func statusShower(stdout io.Writer, output string) func(report.Status) error {
	changed := changes{stdout, map[string]string{}}
	if output == "json" {
		return func(status report.Status) error { return changed.printJSON(status) }
	}
	return func(status report.Status) error {
		lines := map[string]string{"": statusLine(status)}
		for _, one := range status.Stacks {
			lines["stack "+one.Stack] = fmt.Sprintf("%s/%s/%s %s", status.Environment, status.Node, one.Stack, one.Text)
		}
		if err := changed.print("", lines); err != nil {
			return err
		}
		if waiting(status) {
			return changed.print(roughly(time.Since(status.Rollout.Started))+"  ", rolloutLines(status.Rollout))
		}
		return changed.print("", serviceLines(status))
	}
}

// waiting reports whether a rollout waits for services. After the sync has ended, the
// rollout is the record of a failed sync; the services may have changed since.
func waiting(s report.Status) bool {
	return s.Rollout != nil && s.Sync != nil && !s.Sync.State.Final()
}

// statusLine gives the state of the node in a line.
func statusLine(s report.Status) string {
	first := fmt.Sprintf("%s/%s %s", s.Environment, s.Node, verdict(printer{}, s))
	if s.Sync != nil {
		first += fmt.Sprintf("; sync #%d of %s %s", s.Sync.ID, short(s.Sync.Commit), s.Sync.State)
		switch {
		case s.Sync.State == record.Waiting:
			first += ": " + tidy(s.Sync.Waiting)
		case !s.Sync.State.Final():
			first += " at " + string(s.Sync.Stage)
		case s.Sync.Error != "":
			first += " at " + string(s.Sync.Stage) + ": " + s.Sync.Error
		}
	}
	return first
}

// serviceLines gives the state of each service in a line, by name.
func serviceLines(s report.Status) map[string]string {
	lines := map[string]string{}
	for _, service := range s.Services {
		lines[service.Name] = fmt.Sprintf("%s %s %s", service.Name, tasks(service), serviceState(printer{}, service, ""))
	}
	return lines
}
