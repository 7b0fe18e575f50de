package deploy

import (
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// Err is nil when all services have converged. Else it joins a fault for each
// service that has failed, sorted by name, then for each that was in trouble when
// the wait ended, and one that names the rest, which were merely not ready yet.
func (r Result) Err() error {
	var failed, troubled []error
	var late []string
	for _, service := range r.Services {
		switch {
		case service.State == Converged:
		case service.State == Failed:
			failed = append(failed, service.fault(""))
		case service.Error != "", service.unwell() != "":
			troubled = append(troubled, service.fault("not ready when the wait ended: "))
		default:
			late = append(late, fmt.Sprintf("%s %d/%d", service.Name, service.Ready, service.Want))
		}
	}
	if len(late) > 0 {
		troubled = append(troubled, fault.New(fault.Place{}, "nothing is wrong with them so far: see to the others first",
			"not ready when the wait ended: %s", strings.Join(late, ", ")))
	}
	return errors.Join(append(failed, troubled...)...)
}

// fault puts the task's own error first: that is what a reader with little room
// has to see.
func (s ServiceResult) fault(before string) error {
	why := before + s.Message
	if unwell := s.unwell(); unwell != "" {
		why = unwell + "; " + why
	}
	if s.Error != "" && s.Error != s.Message {
		why = s.Error + s.lastWords() + "; " + why
	}
	if s.ExitCode != 0 && !strings.Contains(s.Error, fmt.Sprintf("non-zero exit (%d)", s.ExitCode)) {
		why += fmt.Sprintf(", exit code %d", s.ExitCode)
	}
	if s.Node != "" {
		why += " (on " + s.Node + ")"
	}
	return &fault.Error{Message: fmt.Sprintf("service %s: %s", s.Name, why), Hint: s.hint()}
}

// lastWords gives the last line of a job that failed: it mostly says why.
func (s ServiceResult) lastWords() string {
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

// unwell gives the last line of a health check that failed, "" of any other.
func (s ServiceResult) unwell() string {
	if len(s.Health) == 0 || s.Health[0] == healthOK {
		return ""
	}
	return "health check: " + s.Health[len(s.Health)-1]
}

func (s ServiceResult) hint() string {
	switch {
	case strings.Contains(s.Error, noSuchImage):
		return "check the tag, or push the image to its registry"
	case s.Error == "" && s.State == Failed && strings.HasPrefix(s.Message, tooLate):
		return "give it more time with the label coin-agent.timeout, or see what it waits for: docker service ps --no-trunc " + s.Name
	case len(s.Logs) > 0:
		return "its last lines are in `agent status`; the rest: docker service logs " + s.Name
	}
	return "docker service ps --no-trunc " + s.Name
}
