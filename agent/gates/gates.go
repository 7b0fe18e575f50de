// Package gates holds the conditions before the first write of a rollout. It takes a
// planned sync and gives for each gate whether it lets the plan pass, or what it waits
// for. A gate changes nothing; what it found out for the record is in its ruling.
//
// To add a gate: one new file with a type that implements Gate, and one line in All.
package gates

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	gitsync "coin.internal/coin-agent/sync"
)

// Gate is one condition.
type Gate interface {
	// Name gives the name of the gate.
	Name() record.GateName
	// Ask says what the gate waits for, or that it lets the plan pass. An error means that
	// the plan must not pass at all: the revision fails.
	Ask(ctx context.Context, plan *Plan) (Ruling, error)
	// Next says what a user does about a sync that waits at the gate; "" when it opens by
	// itself.
	Next(sync *record.Sync, waiting record.Gate) string
	// HoldsNewer reports whether the gate would hold a newer commit, as far as its config.yml
	// shows before there is a plan.
	HoldsNewer(config *manifests.Config) bool
}

// Plan is what the gates judge: a planned sync.
type Plan struct {
	Sync       *record.Sync
	Config     *manifests.Config
	Digest     string   // of the plan
	Intent     string   // what it would change, in words
	Unresolved bool     // the digest of an image is not known
	Tag        bool     // the revision was selected by a tag
	PutsBack   bool     // the plan returns to the deployed good state
	Moved      bool     // a tag names another image than the deployed good state has
	Verified   bool     // this node has verified the commit before
	Grants     []string // what the plan newly lets services do on the node or to others
	Since      Since
	Before     []record.Gate // the answers of the round before
	Answers    []record.Gate // the answers of this round, so far
}

// Since is what came after the deployed good state, or after the last commit before that which
// was approved.
type Since struct {
	Deployed string           // that commit; "" for none
	Commits  []gitsync.Commit // up to the plan's commit, the newest first
	Err      error            // why they are not known
}

// Ruling is what a gate says of a plan.
type Ruling struct {
	Waiting string    // what for; "" to let the plan pass
	Passed  string    // why, where that is worth knowing
	Until   time.Time // when it opens by itself, where that is known

	// About is what is waited for, as a keyword: the time of waiting begins anew when it
	// changes. After Limit, unless that is 0, the plan fails with Late.
	About string
	Limit time.Duration
	Late  error
	// Unattended says that the gate opens without a user's action.
	Unattended bool
	// Transient is a failure that prevents a ruling for now: unless another gate waits, the
	// sync is tried again.
	Transient error

	Approval *record.Approval // that the plan has; nil for none
	Group    *record.Group    // that the node takes part in; nil for no change
}

// Answer is what all gates say of a plan.
type Answer struct {
	Gates     []record.Gate
	Waiting   string // what is waited for; "" when every gate lets the plan pass
	Transient error  // why the sync has to be tried again; nil where another gate waits

	Approval *record.Approval
	Group    *record.Group
}

// Ask asks the gates in order. All of them answer, also where the first one waits.
func Ask(ctx context.Context, all []Gate, plan *Plan) (Answer, error) {
	var answer Answer
	var waits []string
	var transient []error
	for _, gate := range all {
		plan.Answers = answer.Gates
		said, err := gate.Ask(ctx, plan)
		if err != nil {
			return answer, err
		}
		if said.Approval != nil {
			answer.Approval = said.Approval
		}
		if said.Group != nil {
			answer.Group = said.Group
		}
		if said.Transient != nil {
			transient = append(transient, said.Transient)
			said.Waiting, said.Unattended = OneLine(said.Transient), true
		}
		one := record.Gate{Name: gate.Name(), Waiting: plan.Sync.Key.In(said.Waiting), Passed: said.Passed, Until: said.Until}
		if said.Waiting != "" {
			one.About, one.Unattended = said.About, said.Unattended
			one.Since = waitingSince(plan.Before, one.Name, said.About)
			waits = append(waits, one.Waiting)
		}
		answer.Gates = append(answer.Gates, one)
		if said.Limit > 0 && time.Since(one.Since) >= said.Limit {
			return answer, said.Late
		}
	}
	switch {
	case len(transient) > 0 && len(waits) == len(transient):
		answer.Transient = errors.Join(transient...)
	case len(waits) > 0:
		answer.Waiting = strings.Join(waits, "; ")
	}
	return answer, nil
}

// waitingSince gives when a gate began to wait for what it waits for.
func waitingSince(before []record.Gate, name record.GateName, about string) time.Time {
	i := slices.IndexFunc(before, func(g record.Gate) bool { return g.Name == name && g.Waiting != "" && g.About == about })
	if i < 0 {
		return time.Now()
	}
	return before[i].Since
}

// Next says what a user does about a sync that waits, for each gate that needs it.
func Next(all []Gate, sync *record.Sync) string {
	var steps []string
	for _, waiting := range sync.Gates {
		i := slices.IndexFunc(all, func(g Gate) bool { return g.Name() == waiting.Name })
		if waiting.Waiting == "" || i < 0 {
			continue
		}
		if step := all[i].Next(sync, waiting); step != "" {
			steps = append(steps, step)
		}
	}
	return strings.Join(steps, "; ")
}

// TakesApproval reports whether a gate waits for what `agent approve` gives.
func TakesApproval(gate record.Gate) bool {
	return gate.Waiting != "" && (gate.Name == record.GateApproval || gate.About == AboutAgreement || gate.About == AboutLifted)
}

// HoldsNewer reports whether a gate would hold a newer commit with this config.yml.
func HoldsNewer(all []Gate, config *manifests.Config) bool {
	return slices.ContainsFunc(all, func(g Gate) bool { return g.HoldsNewer(config) })
}

// OneLine gives joined errors as one text.
func OneLine(err error) string {
	var texts []string
	for _, one := range fault.All(err) {
		texts = append(texts, one.Error())
	}
	return strings.Join(texts, "; ")
}
