package record

import (
	"fmt"
	"time"
)

// Event is something that happens to a sync.
type Event string

// The events of a sync.
const (
	Begin          Event = "begin"           // the sync is recorded
	ShareSuccess   Event = "share-success"   // the commit changes nothing here; the revision before it succeeded
	ShareFailure   Event = "share-failure"   // likewise, after a failure
	ShareRollback  Event = "share-rollback"  // likewise, after a rollback
	Hold           Event = "hold"            // a gate holds the plan
	Pass           Event = "pass"            // every gate lets the plan pass
	Write          Event = "write"           // the first write follows
	CarryOn        Event = "carry-on"        // the sync is tried again after an interruption or a transient failure
	Succeed        Event = "succeed"         // the deployed specs are verified
	Fail           Event = "fail"            // the attempt ended with an error
	StartRollback  Event = "start-rollback"  // the sync returns to a good state
	FinishRollback Event = "finish-rollback" // the good state is verified
	Unpin          Event = "unpin"           // a user ended the stay at the good state
	Supersede      Event = "supersede"       // another sync takes its place
)

// New is the state of a sync to which nothing has happened.
const New = ""

// transition is one row of the table.
type transition struct {
	from  State
	event Event
	to    State
	only  string // a condition; "" for none
}

// The conditions of transitions.
const (
	transient = "the failure was transient"
	pinned    = "no user has ended the stay yet"
)

// transitions is the table of all allowed transitions. Every other pair is an error.
func transitions() []transition {
	return []transition{
		{New, Begin, Pending, ""},
		{New, ShareSuccess, Succeeded, ""},
		{New, ShareFailure, Failed, ""},
		{New, ShareRollback, RolledBack, ""},

		{Pending, Hold, Waiting, ""},
		{Pending, Pass, Pending, ""},
		{Pending, Write, Running, ""},
		{Pending, CarryOn, Pending, ""},
		{Pending, Succeed, Succeeded, ""},
		{Pending, Fail, Failed, ""},
		{Pending, StartRollback, Running, ""},
		{Pending, Supersede, Superseded, ""},

		{Waiting, Hold, Waiting, ""},
		{Waiting, Pass, Pending, ""},
		{Waiting, CarryOn, Waiting, ""},
		{Waiting, Fail, Failed, ""},
		{Waiting, Supersede, Superseded, ""},

		{Running, Pass, Running, ""},
		{Running, Write, Running, ""},
		{Running, CarryOn, Running, ""},
		{Running, Succeed, Succeeded, ""},
		{Running, Fail, Failed, ""},
		{Running, StartRollback, Running, ""},
		{Running, FinishRollback, RolledBack, ""},
		{Running, Supersede, Superseded, ""},

		{Failed, CarryOn, Pending, transient},
		{Failed, StartRollback, Running, ""},
		{Failed, Supersede, Superseded, transient},

		{RolledBack, Unpin, RolledBack, pinned},
	}
}

// Apply applies an event that happens at a time. It is the only code that assigns a
// sync's state. An event that the table does not have for the state is an error, and
// changes nothing.
func (s *Sync) Apply(event Event, at time.Time) error {
	for _, row := range transitions() {
		if row.from == s.State && row.event == event && row.allowed(s) {
			s.State = row.to
			stamp(s, event, at)
			return nil
		}
	}
	return fmt.Errorf("sync #%d of %s: event %q is not possible in state %q", s.ID, s.Commit, event, s.State)
}

// allowed reports whether the condition of a row holds for a sync.
func (t transition) allowed(s *Sync) bool {
	switch t.only {
	case transient:
		return s.Transient
	case pinned:
		return s.Pinned()
	}
	return true
}

// stamp keeps the fields that follow from the state in step with it.
func stamp(s *Sync, event Event, at time.Time) {
	switch event {
	case Begin:
		s.Started = at
	case Hold:
		return // the gates say what it waits for
	case CarryOn:
		s.Transient, s.Error, s.Hint, s.Faults, s.Finished = false, "", "", nil, time.Time{}
	case Write:
		s.Wrote, s.Waiting = true, ""
	case Succeed:
		s.Finished, s.Transient, s.Retries, s.Faults = at, false, 0, nil
		s.Stage, s.Error, s.Hint, s.Waiting = "", "", "", ""
	case Fail:
		s.Finished, s.Waiting, s.Summary = at, "", ""
	case StartRollback:
		s.Finished, s.Transient = time.Time{}, false
	case FinishRollback:
		s.Finished, s.Waiting, s.Transient = at, "", false
	case Unpin:
		taken := *s.Rollback // others read the one before
		taken.Resumed = at
		s.Rollback = &taken
	case Supersede:
		s.Finished, s.Transient = at, false
	case ShareSuccess, ShareFailure, ShareRollback:
		s.Started, s.Finished, s.Unchanged = at, at, true
	case Pass:
		s.Waiting = ""
	}
}
