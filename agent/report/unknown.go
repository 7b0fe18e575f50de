package report

import (
	"fmt"
	"time"
)

// Unknown says that the state of the services is not known: the last look at them is too
// old for a verdict.
type Unknown struct {
	Since   time.Time `json:"since"` // the last look
	Why     string    `json:"why"`
	Working bool      `json:"working,omitempty"` // a rollout or rollback is running, which looks at the services that it changes
	Other   string    `json:"other,omitempty"`   // the stack that it is of; "" for this one
}

// For gives how long the state has not been known, in steps: "40 s", "12 min", "3 h".
func (u *Unknown) For(now time.Time) string {
	age := now.Sub(u.Since)
	switch {
	case age < time.Minute:
		return fmt.Sprintf("%d s", int(age.Seconds())/5*5)
	case age < time.Hour:
		return fmt.Sprintf("%d min", int(age.Minutes()))
	}
	return fmt.Sprintf("%d h", int(age.Hours()))
}
