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
// commit. A commit that this stack has verified already, such as for the correction of a drift,
// passes.
type stack struct{ parts Parts }

func (stack) Name() record.GateName { return record.GateStack }

func (g stack) Ask(_ context.Context, plan *Plan) (Ruling, error) {
	if g.parts.Earlier == nil || plan.Verified || plan.PutsBack {
		return Ruling{}, nil
	}
	var waits, about []string
	user := false
	for _, one := range g.parts.Earlier() {
		said, held := one.standing(plan.Sync.Commit)
		if said == "" {
			continue
		}
		waits, about = append(waits, "the stack "+one.Name+", which "+said), append(about, one.Name)
		user = user || held
	}
	if len(waits) == 0 {
		return Ruling{}, nil
	}
	return Ruling{Waiting: "waiting for " + strings.Join(waits, ", and ") + "; what runs stays", About: strings.Join(about, " "), Unattended: !user}, nil
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

func (stack) Next(_ *record.Sync, waiting record.Gate) string {
	if waiting.Unattended {
		return ""
	}
	first, _, _ := strings.Cut(waiting.About, " ")
	return fmt.Sprintf("look after the stack that it waits for: `agent status --stack %s`", first)
}

// HoldsNewer says no: the stacks before this one take the newer commit first.
func (stack) HoldsNewer(*manifests.Config) bool { return false }
