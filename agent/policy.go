package agent

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

// ReloadPolicy takes the policy in force that was read again because of SIGHUP, or keeps the
// one before if reading it failed. An entry of the audit log comes first: without it nothing
// changes. It gives why the policy was not taken.
func (a *Agent) ReloadPolicy(read *policy.Policy, failed error) error {
	current := a.parts.Policy
	before := current.Policy()
	entry := audit.Entry{Actor: audit.Agent(), Action: audit.Reload, Kind: audit.Policy, Name: "policy", Outcome: audit.Succeeded}
	if failed != nil {
		entry.Outcome, entry.Error, entry.Detail = audit.Failed, failed.Error(), "reloaded by SIGHUP: policy "+before.Digest()+" stays"
	} else {
		entry.Detail = reloadDetail(before, read)
	}
	notes := journal.Notes{Log: a.parts.Audit, Heads: a.parts.Store, Moved: a.parts.auditMoved}
	if err := notes.Add(entry); err != nil && failed == nil {
		failed = fault.WithHint(fmt.Errorf("note the policy in the audit log: %w", err), "make the audit log writable, and run systemctl reload coin-agent")
	}
	current.Reload(read, failed)
	if failed == nil {
		a.parts.Notices.Forget()
	}
	return failed
}

// reloadDetail says which policy replaces which, and in what they differ.
func reloadDetail(before, after *policy.Policy) string {
	changed := policy.Changed(before, after)
	if len(changed) == 0 {
		return "reloaded by SIGHUP: policy " + before.Digest() + ", unchanged"
	}
	return fmt.Sprintf("reloaded by SIGHUP: policy %s -> %s, changed: %s", before.Digest(), after.Digest(), strings.Join(changed, ", "))
}
