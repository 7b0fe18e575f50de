package gates

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/oneline"
	"coin.internal/coin-agent/manifests"
)

// Earlier is a stack of the node that this one waits for.
type Earlier struct {
	Name string
	Last *record.Sync // nil before its first one
}

// stack waits until the stacks of the node that this one waits for have succeeded with the
// commit. It waits as well for those for which the commit itself no longer has it wait. A commit
// that this stack has verified already, such as for the correction of a drift, passes.
type stack struct{ parts Parts }

func (stack) Name() record.GateName { return record.GateStack }

func (g stack) Ask(_ context.Context, plan *Plan) (Ruling, error) {
	if g.parts.Earlier == nil || plan.Verified || plan.PutsBack {
		return Ruling{}, nil
	}
	freed, err := g.freed(plan)
	if err != nil {
		return Ruling{}, err
	}
	var waits, about, released []string
	user := false
	for _, one := range g.parts.Earlier(freed...) {
		said, held := one.standing(plan.Sync.Commit)
		if said == "" {
			continue
		}
		if slices.Contains(freed, one.Name) {
			released = append(released, "the stack "+one.Name+", for which this commit no longer has it wait, and which "+said)
			continue
		}
		waits, about = append(waits, "the stack "+one.Name+", which "+said), append(about, one.Name)
		user = user || held
	}
	if len(waits) == 0 && len(released) > 0 {
		return Ruling{Waiting: "waiting for " + strings.Join(released, ", and ") + "; what runs stays", About: AboutLifted}, nil
	}
	if len(waits) == 0 {
		return Ruling{}, nil
	}
	return Ruling{Waiting: "waiting for " + strings.Join(waits, ", and ") + "; what runs stays", About: strings.Join(about, " "), Unattended: !user}, nil
}

// freed lists the stacks for which the commit no longer has this one wait. A user who approves this
// very plan on the node lets it pass without them.
func (g stack) freed(plan *Plan) (names []string, err error) {
	for _, one := range plan.Config.Freed {
		if one.Stack == g.parts.Stack && !slices.Contains(names, one.From) {
			names = append(names, one.From)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	asked, err := g.parts.asked(plan)
	if err != nil || asked.Given != nil && asked.Given.PlanDigest == plan.Digest {
		return nil, err
	}
	return names, nil
}

// Behind reports whether one of the stacks lets a commit not pass yet.
func Behind(earlier []Earlier, commit string) bool {
	return slices.ContainsFunc(earlier, func(one Earlier) bool {
		said, _ := one.standing(commit)
		return said != ""
	})
}

// standing says in words that follow the stack's name why it does not let the commit pass; "" if
// it does. held says that a user has to look after it.
func (e Earlier) standing(commit string) (said string, held bool) {
	last := e.Last
	switch {
	case last == nil || last.Commit != commit:
		return "has not taken this commit yet", false
	case last.State == record.Succeeded && last.Degraded == "":
		return "", false
	case last.State == record.Succeeded:
		return "is degraded: " + oneline.Cut(last.Degraded, most), true
	case last.State == record.Waiting:
		return "waits itself: " + oneline.Cut(last.Waiting, most), true
	case last.State == record.RolledBack:
		return "was rolled back", true
	case last.State == record.Failed && last.Transient:
		return "is tried again: " + oneline.Cut(last.Error, most), false
	case last.State == record.Failed:
		return fmt.Sprintf("failed at %s: %s", last.Stage, oneline.Cut(last.Error, most)), true
	case last.State == record.Superseded:
		return "has not taken this commit yet", false
	}
	return "is being rolled out", false
}

// most bounds what is said of another stack.
const most = 100

func (stack) Next(sync *record.Sync, waiting record.Gate) string {
	switch {
	case waiting.Unattended:
		return ""
	case waiting.About == AboutLifted:
		return fmt.Sprintf("`agent approve %s --reason …` passes without it", record.Short(sync.Commit))
	}
	first, _, _ := strings.Cut(waiting.About, " ")
	return fmt.Sprintf("look after the stack that it waits for: `agent status --stack %s`", first)
}

// HoldsNewer says no: the stacks before this one take the newer commit first.
func (stack) HoldsNewer(*manifests.Config) bool { return false }
