// Package request takes what users ask of a running agent and gives plain values that
// the agent and the control socket both know. A refused request always says why.
package request

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

type (
	// Sync asks for a sync now.
	Sync struct {
		OverrideFreeze bool   `json:"override_freeze,omitempty"` // a freeze does not hold for it
		Reason         string `json:"reason,omitempty"`          // required for the override
		To             string `json:"to,omitempty"`              // a tag; "" for the one that is followed
	}
	// Pause asks that no rollout begins.
	Pause struct {
		For    string `json:"for,omitempty"` // such as 2h; empty until a user resumes
		Reason string `json:"reason"`
	}
	// Resume ends a pause.
	Resume struct {
		Reason string `json:"reason,omitempty"`
	}
	// Retry has a held revision tried again.
	Retry struct {
		Reason string `json:"reason,omitempty"`
	}
	// Approve approves the plan of a sync that waits for approval.
	Approve struct {
		Commit string `json:"commit"`         // at least the first 7 digits
		Plan   string `json:"plan,omitempty"` // the plan's digest, or how it begins; empty for the present one
		Reason string `json:"reason"`

		OverrideFreeze bool `json:"override_freeze,omitempty"` // a freeze does not hold the removal of a stack
	}
	// Adopt adopts what the sync that waits for adoption would take over.
	Adopt struct {
		Plan   string `json:"plan"` // the digest of the plan that the user has seen, or how it begins
		Reason string `json:"reason,omitempty"`
	}
	// Logs asks for the log lines of a service.
	Logs struct {
		Service string `json:"service"`          // its name, with or without the stack's
		Lines   int    `json:"lines,omitempty"`  // the last ones; 0 for 100
		Follow  bool   `json:"follow,omitempty"` // and those that come
		Failed  bool   `json:"failed,omitempty"` // only of tasks that have failed
	}
	// Rollback asks for a rollback to a good state.
	Rollback struct {
		To       uint64   `json:"to,omitempty"`       // its sync; 0 for the default one
		Services []string `json:"services,omitempty"` // none for the whole stack
		Reason   string   `json:"reason,omitempty"`
		Digest   string   `json:"digest,omitempty"` // of the plan that was shown
		Force    bool     `json:"force,omitempty"`  // across migrations
	}
)

// Resumed is what a resume has ended.
type Resumed struct {
	Pause *record.Pause `json:"pause,omitempty"`
	Pin   string        `json:"pin,omitempty"` // the commit that the node was pinned to by a rollback
}

// RollbackPlan is what a rollback would do.
type RollbackPlan struct {
	To       uint64              `json:"to"`
	Commit   string              `json:"commit"`
	Release  string              `json:"release,omitempty"`
	At       time.Time           `json:"at"` // when it was verified
	Services []string            `json:"services,omitempty"`
	Leaves   string              `json:"leaves"` // the commit that is deployed now
	Digest   string              `json:"digest"`
	Plan     deploy.RecordedPlan `json:"plan"`
}

// AdoptionPlan is what a sync that waits for adoption would take over, and its plan.
type AdoptionPlan struct {
	Commit  string              `json:"commit"`
	Release string              `json:"release,omitempty"`
	Takes   *record.Takeover    `json:"takes"`
	Digest  string              `json:"digest"`
	Plan    deploy.RecordedPlan `json:"plan"`
}

// Run does what was granted, and gives its outcome. progress gets each step.
type Run func(ctx context.Context, progress func(string)) (*record.Sync, error)

// Kind is the kind of a refusal.
type Kind string

// The kinds of refusals.
const (
	Invalid  Kind = "invalid"   // the request itself is wrong
	Conflict Kind = "conflict"  // the state of the node does not allow it
	NotFound Kind = "not found" // what it names does not exist

	Forbidden Kind = "forbidden" // the caller may not ask for it
	Busy      Kind = "busy"      // too many ask for it at the same time
)

// Refused is the error of a request that is not granted.
type Refused struct {
	Kind Kind
	Err  error
}

func (r Refused) Error() string { return r.Err.Error() }

// FaultCode gives the class of the error.
func (r Refused) FaultCode() fault.Code { return fault.CodeRefused }

// Unwrap gives the error with its hint.
func (r Refused) Unwrap() error { return r.Err }

// Refuse makes the error of a request that is not granted.
func Refuse(kind Kind, hint, format string, args ...any) error {
	return Refused{kind, fault.New(fault.Place{}, hint, format, args...)}
}

// maxReason bounds a reason, so that it fits where it is shown.
const maxReason = 200

// Reason gives a user's reason on one line, without control characters.
func Reason(text string, required bool) (string, error) {
	text = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case text == "" && required:
		return "", Refuse(Invalid, "say why with --reason: it is recorded", "a reason is missing")
	case utf8.RuneCountInString(text) > maxReason:
		return "", Refuse(Invalid, "say it shorter", "the reason is longer than %d characters", maxReason)
	}
	return text, nil
}
