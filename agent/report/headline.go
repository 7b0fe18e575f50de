package report

import (
	"fmt"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
)

// Headline gives the first line of a node's status, after its name: a word for its state,
// and what is behind it: the services that are not healthy, how many run, and the commit.
func Headline(s *Status) (word, rest string) {
	word, rest = Verdict(s)
	if counts := Counts(s); counts != "" {
		rest = counts + " · " + rest
	}
	return word, rest
}

// Counts gives the part of the headline about the services; "" while their state is not known.
// During a rollout it says how many are ready: what the last look saw is from before it.
func Counts(s *Status) string {
	switch {
	case !s.Running || s.Left != nil:
		return ""
	case rolling(s) && s.Rollout != nil:
		return s.Rollout.Counts()
	case rolling(s) || s.Unknown != nil || s.Health == nil:
		return ""
	}
	return s.Health.Text()
}

// rolling reports whether a rollout or a rollback writes to the stack now, or waits for its services.
func rolling(s *Status) bool {
	sync := s.Sync
	works := s.Progress != "" || s.Rollout != nil && sync != nil && !sync.State.Final()
	return works && sync != nil && (sync.State == record.Running || sync.RollingBack())
}

// Verdict gives the word of the headline, and its part about the commit.
func Verdict(s *Status) (word, commit string) {
	switch {
	case !s.Running:
		return "the agent does not run", ""
	case s.Left != nil:
		return NotManaged, "taken off the list by " + record.Short(s.Left.Commit)
	case rolling(s) && s.Sync.RollingBack():
		return "ROLLING BACK", headlineSync(s)
	case rolling(s):
		return "ROLLING OUT", headlineSync(s)
	case s.Unknown != nil && s.Unknown.Other != "":
		return fmt.Sprintf("NOT SEEN for %s: the agent rolls out %s", s.Unknown.For(time.Now()), s.Unknown.Other), headlineSync(s)
	case s.Unknown != nil && s.Unknown.Working:
		return "ROLLING OUT", headlineSync(s)
	case s.Unknown != nil:
		return fmt.Sprintf("UNKNOWN for %s: %s", s.Unknown.For(time.Now()), s.Unknown.Why), headlineSync(s)
	case s.Health == nil:
		return headlineSync(s), ""
	}
	word = strings.ToUpper(string(s.Health.State))
	if s.Healthy() && s.Sync != nil && s.Sync.State == record.Failed {
		if word = "FAILED"; s.Sync.Dirty() == 0 {
			word = "FAILED, nothing changed"
		}
	}
	return word, headlineSync(s)
}

// headlineSync says which commit runs, or what is done about it.
func headlineSync(s *Status) string {
	sync, applied := s.Sync, "nothing"
	if s.Applied != nil {
		applied = record.Short(s.Applied.Commit)
	}
	switch {
	case s.Mode != "" && sync != nil && record.Observed(sync):
		return "observing " + record.Short(sync.Commit)
	case s.Mode != "" && s.InSync:
		return "in sync with " + applied + ", observing"
	case s.InSync && s.Pause != nil:
		return "in sync with " + applied + ", paused"
	case s.InSync:
		return "in sync with " + applied
	case sync == nil && s.PollError == "":
		return "starting"
	case sync == nil:
		return lookFailed(s)
	case sync.State == record.Failed && sync.Dirty() == 0 && s.Applied != nil:
		return "still " + applied
	case sync.State == record.Failed:
		return record.Short(sync.Commit) + " failed at " + string(sync.FailedAt())
	case sync.RollingBack():
		return "rolling back to " + Target(sync.Rollback)
	case !sync.State.Final():
		return record.Short(sync.Commit) + " is " + string(sync.State)
	case s.Pinned != nil && len(s.Drift) > 0:
		return "rolled back to " + record.Short(s.Pinned.Commit) + ", drifted"
	case s.Pinned != nil:
		return "rolled back to " + record.Short(s.Pinned.Commit)
	case len(s.Drift) > 0:
		return "drifted from " + applied
	case s.PollError != "":
		return lookFailed(s) + ", still " + applied
	case s.LastLook.IsZero():
		return "starting"
	}
	return "out of sync, still " + applied
}

// lookFailed says that the last look failed, and names the engine unless the headline does.
func lookFailed(s *Status) string {
	if s.PollCode == fault.CodeEngine && s.Unknown == nil {
		return "last look failed: the engine does not answer"
	}
	return "last look failed"
}

// HeadlineState is what a headline stands for.
type HeadlineState int

// The states of a headline, for their colours.
const (
	AllWell   HeadlineState = iota // healthy, and in sync
	Attention                      // healthy, and not in sync
	Alarm                          // not healthy, not known, failed, or the agent does not run
)

// StateOf gives what the headline of a status stands for.
func StateOf(s *Status) HeadlineState {
	switch {
	case s.Running && s.Left != nil:
		return Attention
	case !s.Running:
		return Alarm
	case s.Unknown != nil && s.Unknown.Working, rolling(s):
		return Attention
	case !s.Healthy(), s.Sync != nil && s.Sync.State == record.Failed, s.PollError != "":
		return Alarm
	case s.InSync && s.Pause == nil && s.Mode == "":
		return AllWell
	}
	return Attention
}
