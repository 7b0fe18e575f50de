package agent

import (
	"cmp"
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
	if err := a.note(entry); err != nil && failed == nil {
		failed = fault.WithHint(fmt.Errorf("note the policy in the audit log: %w", err), "make the audit log writable, and run systemctl reload coin-agent")
	}
	current.Reload(read, failed)
	if failed == nil {
		a.parts.Notices.Forget()
	}
	return failed
}

// NoteTokens notes in the audit log which tokens of the API are accepted since SIGHUP, and why
// others are not.
func (a *Agent) NoteTokens(accepted []string, failed error) error {
	entry := audit.Entry{
		Actor: audit.Agent(), Action: audit.Reload, Kind: audit.Tokens, Name: "api_tokens", Outcome: audit.Succeeded,
		Detail: "accepted since SIGHUP: " + cmp.Or(strings.Join(accepted, ", "), "none"),
	}
	if failed != nil {
		entry.Outcome, entry.Error = audit.Failed, failed.Error()
	}
	return a.note(entry)
}

// note adds an entry that belongs to no sync to the audit log.
func (a *Agent) note(entry audit.Entry) error {
	notes := journal.Notes{Log: a.parts.Audit, Heads: a.parts.Store, Moved: a.parts.auditMoved}
	return notes.Add(entry)
}

// reloadDetail says which policy replaces which, and in what they differ.
func reloadDetail(before, after *policy.Policy) string {
	changed := policy.Changed(before, after)
	if len(changed) == 0 {
		return "reloaded by SIGHUP: policy " + before.Digest() + ", unchanged"
	}
	return fmt.Sprintf("reloaded by SIGHUP: policy %s -> %s, changed: %s", before.Digest(), after.Digest(), strings.Join(changed, ", "))
}
