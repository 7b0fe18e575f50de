package board

import (
	"cmp"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/plural"
)

// publisher takes events for their readers.
type publisher interface{ Publish(event events.Event) }

// tell publishes what a change of the view means to readers.
func (b *Board) tell(before, after View) {
	if b.Events == nil {
		return
	}
	news := append(syncNews(before.Last, after.Last), rolloutNews(before.Rollout, after.Rollout)...)
	if now := after.Health; now.State != before.Health.State && now.State != "" {
		text := "the services are " + string(now.State)
		var names []string
		for _, service := range now.Services {
			names = append(names, service.String())
		}
		if len(names) > 0 {
			text += ": " + strings.Join(names, ", ")
		}
		news = append(news, events.Event{Kind: events.Verdict, State: string(now.State), Text: text})
	}
	for _, event := range news {
		event.Stack = b.Name
		if event.Sync == 0 && after.Last != nil {
			event.Sync, event.Commit = after.Last.ID, after.Last.Commit
		}
		b.Events.Publish(event)
	}
}

// syncNews gives what is new of a sync that was recorded.
func syncNews(before, after *record.Sync) (news []events.Event) {
	if after == nil || before == after {
		return nil
	}
	if before == nil || before.ID != after.ID {
		before = &record.Sync{}
	}
	add := func(kind events.Kind, state, text string) {
		news = append(news, events.Event{Kind: kind, Sync: after.ID, Commit: after.Commit, State: state, Text: text})
	}
	about := fmt.Sprintf("sync #%d of %s", after.ID, record.Short(after.Commit))
	if after.Stage != before.Stage && after.Stage != "" && !after.State.Final() {
		add(events.Stage, string(after.Stage), about+": "+string(after.Stage))
	}
	if after.State == record.Waiting && (before.State != record.Waiting || before.Waiting != after.Waiting) {
		add(events.Gate, string(after.State), about+" waits: "+after.Waiting)
	}
	if before.State == record.Waiting && after.State != record.Waiting && !after.State.Final() {
		add(events.Gate, string(after.State), about+": the gates let it pass")
	}
	if after.State.Final() && after.State != before.State {
		text := fmt.Sprintf("%s: %s: %s", about, after.State, cmp.Or(after.Error, after.Summary))
		add(events.Outcome, string(after.State), text)
	}
	return news
}

// rolloutNews gives what is new of the services that an attempt waits for.
func rolloutNews(before, after *report.Rollout) (news []events.Event) {
	if after == nil || before == after {
		return nil
	}
	known := map[string]deploy.ServiceResult{}
	if before != nil {
		for _, service := range before.Services {
			known[service.Name] = service
		}
	}
	for _, service := range after.Services {
		old := known[service.Name]
		event := events.Event{Kind: events.Progress, Service: service.Name, State: string(service.State)}
		event.Text = fmt.Sprintf("%s %d/%d %s", service.Name, service.Ready, service.Want, service.State)
		if service.Error != "" && service.Error != old.Error {
			event.Kind, event.Text = events.Failure, event.Text+": "+service.Error
			if service.Node != "" {
				event.Text += " on " + service.Node
			}
			news = append(news, event)
			continue
		}
		if service.State != old.State || service.Ready != old.Ready || service.Want != old.Want {
			if text := report.Message(service); text != "" {
				event.Text += ": " + text
			}
			news = append(news, event)
		}
	}
	return news
}

// LookEvent says what a look at a stack has seen.
func LookEvent(stack string, v View) events.Event {
	event := events.Event{Kind: events.Look, Stack: stack, State: "in_sync", Text: "looked: nothing is selected"}
	if v.Desired != nil {
		event.Commit = v.Desired.Commit
		event.Text = fmt.Sprintf("looked: %s selects %s", v.Desired.Ref, record.Short(v.Desired.Commit))
	}
	switch {
	case v.LookError != nil:
		event.State, event.Text = "failed", "cannot look: "+v.LookError.Error()
	case len(v.Drift) > 0:
		event.State = "drifted"
		event.Text += "; drifted: " + plural.Count(len(v.Drift), "live service")
	case !v.InSync():
		event.State = "out_of_sync"
	default:
		event.Text += ", which runs"
	}
	return event
}
