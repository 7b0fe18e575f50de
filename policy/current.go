package policy

import (
	"sync/atomic"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// Warning is what users are told of a node without a policy.
const Warning = "no policy: a commit can take over this node"

// State is the policy in force, as `agent status -o json` gives it.
type State struct {
	Rules *Policy   `json:"rules"` // nil: there is none
	Read  time.Time `json:"read"`  // when it was read

	Error string `json:"error,omitempty"` // why the last reload failed: the policy before it is in force
	Hint  string `json:"hint,omitempty"`
}

// Current is the policy in force. Several goroutines may use it.
type Current struct{ state atomic.Pointer[State] }

// NewCurrent makes a Current with the policy that the agent starts with.
func NewCurrent(p *Policy) *Current {
	c := &Current{}
	c.state.Store(&State{Rules: p, Read: time.Now()})
	return c
}

// Policy gives the policy in force; nil if there is none.
func (c *Current) Policy() *Policy { return c.State().Rules }

// State gives the policy in force, and what became of the last reload.
func (c *Current) State() State { return *c.state.Load() }

// Reload replaces the policy by one that was read again. If reading it failed, the policy
// stays, and the state has the error.
func (c *Current) Reload(p *Policy, err error) {
	if err == nil {
		c.state.Store(&State{Rules: p, Read: time.Now()})
		return
	}
	kept := c.State()
	kept.Error, kept.Hint = err.Error(), fault.Hint(err)
	c.state.Store(&kept)
}
