package record

import (
	"slices"
	"time"

	"coin.internal/coin-agent/agent/audit"
)

// Unowned is a live object that has no label of an agent, and what the plan does to it.
type Unowned struct {
	Kind string `json:"kind"` // service, network, secret or config
	Name string `json:"name"` // full name in the engine
	ID   string `json:"id"`   // in the engine: another object of the same name has another one
	Fate string `json:"fate"` // create, update, replace or remove, or keep
}

// FateKeep is the fate of an object that the plan does not write.
const FateKeep = "keep"

// Adoption is the stack that the node keeps, on record since its first rollout.
type Adoption struct {
	Stack   string    `json:"stack"`
	Since   time.Time `json:"since"`
	Objects []Unowned `json:"objects,omitempty"` // of it that have no label of this agent
	Consent *Consent  `json:"consent,omitempty"` // of a user; nil where none was needed
}

// Takeover is what a rollout would take over. A user has to agree to it.
type Takeover struct {
	Stack   string    `json:"stack"`
	Before  string    `json:"before,omitempty"`  // the stack on record; "" if there is none, or the same
	Objects []Unowned `json:"objects,omitempty"` // sorted by kind and name
}

// Consent is a user's decision to adopt a stack.
type Consent struct {
	To     Takeover    `json:"to"`
	Plan   string      `json:"plan"` // the digest of the plan that the user has seen
	Actor  audit.Actor `json:"actor"`
	Reason string      `json:"reason,omitempty"`
	At     time.Time   `json:"at"`
}

// Covers reports whether the consent is about everything that a rollout would take over: the
// same stack in place of the same one, and no object that the user has not seen, or that the
// plan treats otherwise.
func (c *Consent) Covers(asked *Takeover) bool {
	if c == nil || c.To.Stack != asked.Stack || c.To.Before != asked.Before {
		return false
	}
	return !slices.ContainsFunc(asked.Objects, func(one Unowned) bool { return !slices.Contains(c.To.Objects, one) })
}

// Has reports whether an object belongs to the adopted stack, whatever a plan does to it.
func (a *Adoption) Has(kind, name, id string) bool { return a != nil && has(a.Objects, kind, name, id) }

// Has reports whether the user agreed to adopt an object.
func (c *Consent) Has(kind, name, id string) bool {
	return c != nil && has(c.To.Objects, kind, name, id)
}

func has(objects []Unowned, kind, name, id string) bool {
	return slices.ContainsFunc(objects, func(one Unowned) bool { return one.Kind == kind && one.Name == name && one.ID == id })
}
