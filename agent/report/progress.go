package report

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/deploy"
)

// EventText gives a step for the progress of a command and for the log.
func EventText(event deploy.Event) string {
	text := fmt.Sprintf("%s %s %s", event.Step.Action, event.Step.Kind, event.Step.Name)
	switch {
	case event.Err != nil:
		return text + ": " + event.Err.Error()
	case event.Done:
		return text + ": done"
	}
	return text
}

// WaitingText names the services that are still waited for.
func WaitingText(result deploy.Result) string {
	ready := 0
	var waiting []string
	for _, service := range result.Services {
		if service.State == deploy.Converged {
			ready++
			continue
		}
		text := fmt.Sprintf("%s %d/%d", service.Name, service.Ready, service.Want)
		if service.Error != "" {
			text += " (" + service.Error + ")"
		}
		waiting = append(waiting, text)
	}
	text := fmt.Sprintf("%d of %d services ready", ready, len(result.Services))
	if len(waiting) > 3 {
		waiting = append(waiting[:3], fmt.Sprintf("and %d more", len(waiting)-3))
	}
	if len(waiting) > 0 {
		text += "; waiting for " + strings.Join(waiting, ", ")
	}
	return text
}
