// Package consent takes the live objects of a rendered stack and what is on record of the
// stack, and gives what a user has to adopt before the plan is applied. It does no I/O. It
// guarantees that no plan touches an object which neither this agent made nor a user adopted.
package consent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/plural"
)

// Record is what is on record of the stack of a node.
type Record struct {
	Owner    string                   `json:"owner"`              // <environment>/<node>
	Adoption *record.Adoption         `json:"adoption,omitempty"` // nil before the first rollout, and of an earlier version
	Deployed string                   `json:"deployed,omitempty"` // the stack of the deployed good state; "" if there is none
	Objects  map[deploy.Kind][]string `json:"objects,omitempty"`  // of that good state by full name, without external ones
}

// NewRecord makes the Record of a stack.
func NewRecord(owner string, adopted *record.Adoption, good *record.GoodState) (Record, error) {
	made := Record{Owner: owner, Adoption: adopted}
	if good == nil {
		return made, nil
	}
	made.Deployed, made.Objects = good.StackName, map[deploy.Kind][]string{}
	for kind, recorded := range map[deploy.Kind]json.RawMessage{deploy.Service: good.Services, deploy.Network: good.Networks} {
		var objects map[string]json.RawMessage
		if len(recorded) > 0 {
			if err := json.Unmarshal(recorded, &objects); err != nil {
				return made, fmt.Errorf("recall what was applied: %w", err)
			}
		}
		if names := slices.Sorted(maps.Keys(objects)); len(names) > 0 {
			made.Objects[kind] = names
		}
	}
	for kind, recorded := range map[deploy.Kind][]record.Object{deploy.Secret: good.Secrets, deploy.Config: good.Configs} {
		for _, one := range recorded {
			if one.Key != "" {
				made.Objects[kind] = append(made.Objects[kind], one.Name)
			}
		}
	}
	return made, nil
}

// Stack gives the name of the stack on record; "" if there is none.
func (r Record) Stack() string {
	if r.Adoption != nil {
		return r.Adoption.Stack
	}
	return r.Deployed
}

// deploys reports whether an object is part of the deployed good state of a stack.
func (r Record) deploys(stack string, one deploy.Unowned) bool {
	return r.Deployed == stack && slices.Contains(r.Objects[one.Kind], one.Name)
}

// Needed gives what a user has to adopt before the plan for a stack is applied; nil for
// nothing. The name of the stack must be the one on record. Objects without a label of this
// agent must be adopted, or be part of the deployed good state. Without a record, services
// with this agent's label show that the stack is its own: the state file was lost.
func Needed(live *deploy.Live, want *compose.Stack, plan deploy.Plan, on Record) *record.Takeover {
	known := on.Stack()
	own := known == want.Name || known == "" && deploy.Owns(live.Services, want)
	asked := &record.Takeover{Stack: want.Name}
	if known != want.Name {
		asked.Before = known
	}
	for _, one := range deploy.UnownedOf(live, want) {
		if own && (accepted(one, on) || on.deploys(want.Name, one)) {
			continue
		}
		asked.Objects = append(asked.Objects, record.Unowned{Kind: string(one.Kind), Name: one.Name, ID: one.ID, Fate: fate(one, plan)})
	}
	if asked.Before == "" && len(asked.Objects) == 0 {
		return nil
	}
	return asked
}

// Overwritten names the services of others that a rollback to a good state would overwrite.
func Overwritten(live *deploy.Live, want *compose.Stack, on Record) []string {
	return others(live, want, on, true)
}

// Newcomers names the services of others that came into the stack after it was adopted, and
// that the stack does not have. None are known of a stack without an adoption on record.
func Newcomers(live *deploy.Live, want *compose.Stack, on Record) []string {
	if on.Adoption == nil {
		return nil
	}
	return others(live, want, on, false)
}

// others names the services that neither this agent made nor a user adopted, of those that
// the stack has (wanted) or of those that it does not have.
func others(live *deploy.Live, want *compose.Stack, on Record, wanted bool) (names []string) {
	for _, one := range deploy.UnownedOf(live, want) {
		if one.Kind == deploy.Service && one.Wanted == wanted && !on.Adoption.Has(string(one.Kind), one.Name, one.ID) && !on.deploys(want.Name, one) {
			names = append(names, one.Name)
		}
	}
	return names
}

// accepted reports whether an object of the own stack needs no user. The agent never writes
// networks, secrets and configs that it did not make, so those that the stack does not have
// do no harm. Those of a stack without a record were adopted before the record was lost, or
// by an earlier version.
func accepted(one deploy.Unowned, on Record) bool {
	if on.Adoption.Has(string(one.Kind), one.Name, one.ID) {
		return true
	}
	if one.Kind == deploy.Service {
		return false
	}
	return !one.Wanted || on.Adoption == nil && (on.Deployed == "" || one.InStack)
}

// fate says what a plan does to an object.
func fate(one deploy.Unowned, plan deploy.Plan) string {
	fate := record.FateKeep
	for _, step := range plan.Steps {
		if step.Kind == one.Kind && step.Name == one.Name && step.Action != deploy.ScaleDown {
			fate = string(step.Action)
		}
	}
	return fate
}

// Adopt gives the record of a stack whose rollout begins: its name, and the objects without
// a label that belong to it. given is the consent to what Needed gave, nil where that was
// nothing. An object that came after the consent is not part of the stack.
func Adopt(live *deploy.Live, want *compose.Stack, on Record, given *record.Consent, now time.Time) *record.Adoption {
	adopted := &record.Adoption{Stack: want.Name, Since: now.UTC(), Consent: given}
	before := on.Adoption
	if before != nil && before.Stack != want.Name {
		before = nil
	}
	if before != nil {
		adopted.Since = before.Since
		if given == nil {
			adopted.Consent = before.Consent
		}
	}
	for _, one := range deploy.UnownedOf(live, want) {
		kind := string(one.Kind)
		if before == nil || before.Has(kind, one.Name, one.ID) || given.Has(kind, one.Name, one.ID) {
			adopted.Objects = append(adopted.Objects, record.Unowned{Kind: kind, Name: one.Name, ID: one.ID, Fate: record.FateKeep})
		}
	}
	return adopted
}

// shown is how many objects a text names.
const shown = 5

// Text says in a line what a user has to adopt.
func Text(asked *record.Takeover) string {
	var texts []string
	if asked.Before != "" {
		texts = append(texts, fmt.Sprintf("config.yml names the stack %s, and this node keeps the stack %s", asked.Stack, asked.Before))
	}
	if count := len(asked.Objects); count > 0 {
		names := make([]string, 0, shown)
		for _, one := range asked.Objects[:min(shown, count)] {
			names = append(names, one.Kind+" "+one.Name)
		}
		text := fmt.Sprintf("%s without this agent's label in stack %s: %s", plural.Count(count, "object"), asked.Stack, strings.Join(names, ", "))
		if more := count - shown; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}
