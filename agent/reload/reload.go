// Package reload takes what was read again because of SIGHUP: the node's policy, and which tokens
// of the API are accepted. It gives why a policy was not taken. It guarantees that the audit log
// has the reload before a policy is in force.
package reload

import (
	"cmp"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

// notes writes to the audit log.
type notes interface {
	Add(entries ...audit.Entry) error
}

// Policy takes the policy that was read again into force, or keeps the one before if reading it
// failed. An entry of the audit log comes first: without it nothing changes. It gives why the
// policy was not taken.
func Policy(current *policy.Current, to notes, read *policy.Policy, failed error) error {
	before := current.Policy()
	entry := audit.Entry{Actor: audit.Agent(), Action: audit.Reload, Kind: audit.Policy, Name: "policy"}
	entry.Ended(failed)
	if failed != nil {
		entry.Detail = "reloaded by SIGHUP: policy " + before.Digest() + " stays"
	} else {
		entry.Detail = detail(before, read)
	}
	if err := to.Add(entry); err != nil && failed == nil {
		failed = fault.WithHint(fmt.Errorf("note the policy in the audit log: %w", err), "make the audit log writable, and run systemctl reload coin-agent")
	}
	current.Reload(read, failed)
	return failed
}

// Tokens notes in the audit log which tokens of the API are accepted since SIGHUP, and why
// others are not.
func Tokens(to notes, accepted []string, failed error) error {
	entry := audit.Entry{
		Actor: audit.Agent(), Action: audit.Reload, Kind: audit.Tokens, Name: "api_tokens",
		Detail: "accepted since SIGHUP: " + cmp.Or(strings.Join(accepted, ", "), "none"),
	}
	entry.Ended(failed)
	return to.Add(entry)
}

// detail says which policy replaces which, and in what they differ.
func detail(before, after *policy.Policy) string {
	changed := policy.Changed(before, after)
	if len(changed) == 0 {
		return "reloaded by SIGHUP: policy " + before.Digest() + ", unchanged"
	}
	return fmt.Sprintf("reloaded by SIGHUP: policy %s -> %s, changed: %s", before.Digest(), after.Digest(), strings.Join(changed, ", "))
}
