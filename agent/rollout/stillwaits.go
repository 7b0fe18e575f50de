package rollout

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
)

// asked is the plan that the gates of a waiting sync were asked about, and what it was made of. It
// is kept in memory, so that a look at a sync that waits decrypts, renders and plans nothing while
// all of that is the same. It has no values of secrets.
type asked struct {
	sync  uint64
	of    makings
	facts deploy.Facts // what the engine answered
	plan  *gates.Plan
}

// makings are what a plan is made of, beside the commit and the engine's answers.
type makings struct {
	rules, keys string // of the policy and limits; of the key files
	signer      string
	deployed    *record.GoodState
	others      string // the good states of the node's other stacks, if those judge the commit
	earlier     bool   // the plan waits for stacks of the node
}

// makings gives those of a plan of a commit that is made now.
func (p *Parts) makings(deployed *record.GoodState, commit, signer string) makings {
	made := makings{rules: RulesOf(p.Policy(), p.Settings.Limits), signer: signer, deployed: deployed}
	if p.KeyState != nil {
		made.keys = p.KeyState()
	}
	if deployed == nil && p.Others != nil {
		for _, one := range p.Others() {
			made.others += fmt.Sprintf(" %d", one.SyncID)
		}
	}
	made.earlier = p.Gates.Earlier != nil && gates.Behind(p.Gates.Earlier(), commit)
	return made
}

// stillWaits asks the gates again about the plan of a sync that waits, if it would be the same now.
// If they let it pass, or refuse it, or if anything differs, the sync takes all of its stages again:
// nothing is written of a plan that is not new. Registries, Vault and the signatures of images are
// asked anew with the verdict about the release, after verdictAge at the latest.
func stillWaits(ctx context.Context, f *forward, to Commit) (Outcome, bool) {
	r, last := f.rollouts, f.a.base.Last
	known, released := r.asked, r.released
	if known == nil || released == nil || !onlySelected(to.Cause) || last == nil || last.State != record.Waiting || last.ID != known.sync ||
		last.Commit != to.Checkout.Revision.Commit || last.Ref != to.Checkout.Revision.Ref ||
		released.of != last.Commit+" "+known.plan.Digest || time.Since(released.at) >= verdictAge ||
		r.use.makings(f.a.base.Deployed, last.Commit, to.Signer) != known.of {
		return Outcome{}, false
	}
	if same, err := known.facts.Same(ctx); err != nil || !same {
		return Outcome{}, false
	}
	plan, now := *known.plan, last.Copy()
	plan.Sync, plan.Before, plan.Answers = now, last.Gates, nil
	parts := r.use.Gates
	parts.Release = func(context.Context) (gates.Ruling, error) {
		return gates.Ruling{Passed: strings.Join(released.verdict.Passed, "; ")}, nil
	}
	limited, cancel := context.WithTimeout(ctx, r.use.Settings.Limits.OrDefault().GateTime)
	defer cancel()
	answer, err := gates.Ask(limited, gates.All(parts), &plan)
	if err != nil || answer.Waiting == "" {
		return Outcome{}, false
	}
	takeAnswer(now, answer)
	if now.Waiting == last.Waiting && reflect.DeepEqual([]any{now.Gates, now.Approval, now.Group}, []any{last.Gates, last.Approval, last.Group}) {
		return Outcome{Sync: last}, true
	}
	f.a.sync, f.waited = now, last.Waiting
	return f.publishWaiting(), true
}

// onlySelected reports whether a sync has no cause but that the remote selects its commit.
func onlySelected(cause Cause) bool {
	return cause.Trigger == record.OnCommit && cause.Override == nil && cause.Chosen == nil && !cause.Adopt && cause.Correction.Fields == nil && cause.Correction.Leaves == nil
}

// takeAnswer notes in a sync what the gates say of its plan.
func takeAnswer(sync *record.Sync, answer gates.Answer) {
	sync.Gates, sync.Approval = answer.Gates, answer.Approval
	if answer.Group != nil {
		sync.Group = answer.Group
	}
	if answer.Waiting == "" {
		return
	}
	sync.Waiting = answer.Waiting
	if loosens := report.Loosens(sync); loosens != "" {
		sync.Waiting = loosens + "; " + answer.Waiting
	}
}

// remember keeps the plan of a sync that waits. A plan about which a registry or the remote could
// not be asked is made anew at once.
func remember(f *forward) {
	f.rollouts.asked = nil
	if plan := f.admission.plan; plan != nil && !plan.Unresolved && plan.Since.Err == nil && f.a.sync.Trigger != record.OnDrift {
		kept := *plan
		kept.Sync, kept.Before, kept.Answers = nil, nil, nil
		f.rollouts.asked = &asked{sync: f.a.sync.ID, of: f.of, facts: f.a.facts, plan: &kept}
	}
}
