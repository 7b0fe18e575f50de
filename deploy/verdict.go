package deploy

import (
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// Err is nil if all services have converged. Else it joins a fault for each failed
// service, a fault for each pending service with an error of its own, and one fault that
// names the other pending services.
func (r Result) Err() error {
	var failed, pending []error
	var late []string
	for _, service := range r.Services {
		switch {
		case service.State == Converged:
		case service.State == Failed:
			failed = append(failed, service.fault(""))
		case service.Error != "", service.unhealthy() != "":
			pending = append(pending, service.fault("not ready when the wait ended: "))
		default:
			late = append(late, fmt.Sprintf("%s %d/%d", service.Name, service.Ready, service.Want))
		}
	}
	if len(late) > 0 {
		pending = append(pending, fault.New(fault.Place{}, "still starting; fix the failed services first",
			"not ready when the wait ended: %s", strings.Join(late, ", ")))
	}
	return errors.Join(append(failed, pending...)...)
}

// fault puts the task's error first, so that a shortened text still shows it.
func (s ServiceResult) fault(before string) error {
	why := before + s.Message
	if check := s.unhealthy(); check != "" {
		why = check + "; " + why
	}
	if s.Error != "" && s.Error != s.Message {
		why = s.Error + s.lastLine() + "; " + why
	}
	if s.ExitCode != 0 && !strings.Contains(s.Error, fmt.Sprintf("non-zero exit (%d)", s.ExitCode)) {
		why += fmt.Sprintf(", exit code %d", s.ExitCode)
	}
	if s.Node != "" {
		why += " (on " + s.Node + ")"
	}
	return &fault.Error{Message: fmt.Sprintf("service %s: %s", s.Name, why), Hint: s.hint()}
}

// lastLine gives the last log line of a failed job, which usually says why it failed.
func (s ServiceResult) lastLine() string {
	const limit = 160
	if !s.job || len(s.Logs) == 0 {
		return ""
	}
	runes := []rune(s.Logs[len(s.Logs)-1])
	if len(runes) > limit {
		runes = append(runes[:limit], '…')
	}
	return ": " + string(runes)
}

// unhealthy gives the last line of a failed health check; "" if the check passed.
func (s ServiceResult) unhealthy() string {
	if len(s.Health) == 0 || s.Health[0] == healthOK {
		return ""
	}
	return "health check: " + s.Health[len(s.Health)-1]
}

func (s ServiceResult) hint() string {
	switch {
	case s.lacksImage:
		return "check the tag, or push the image to its registry; `agent doctor` checks that this node can reach it and log in"
	case s.Error == "" && s.State == Failed && strings.HasPrefix(s.Message, tooLate):
		return "give it more time with the label coin-agent.timeout, or see what it waits for: docker service ps --no-trunc " + s.Name
	case len(s.Logs) > 0:
		return "its last lines are in `agent status`; the rest: docker service logs " + s.Name
	}
	return "docker service ps --no-trunc " + s.Name
}
