package desk

import (
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
)

// approveRemoval has a stack removed that was taken off the list, if its last entry allows that
// and the request names the commit that took it off. It overrides a freeze if the request says so,
// also of a removal that was approved before.
func (d *Desk) approveRemoval(actor audit.Actor, asked request.Approve, left *report.Left, why string) (*record.Approval, error) {
	commit := strings.ToLower(asked.Commit)
	switch {
	case !left.Prune:
		return nil, request.Refuse(request.Conflict, "list it again with prune: true, and take it off after that", "config.yml did not say prune: true of the stack before %s took it off the list: it is left running", record.Short(left.Commit))
	case left.Removes && !asked.OverrideFreeze:
		return nil, request.Refuse(request.Conflict, "`agent status` shows how far that is", "the removal was approved before")
	case d.parts.Daemon.Mode != "":
		return nil, request.Refuse(request.Conflict, "remove `mode: observe` from agent.yml first", "the agent only observes")
	case len(commit) < shortest:
		return nil, request.Refuse(request.Invalid, "write at least 7 digits, as `agent status` shows them", "%q does not name a commit", asked.Commit)
	case !strings.HasPrefix(left.Commit, commit):
		return nil, request.Refuse(request.Conflict, "look at it first: `agent status`", "the commit that took the stack off the list is %s, not %s", record.Short(left.Commit), asked.Commit)
	}
	given := &record.Approval{Source: record.FromNode, By: []string{actor.String()}, Reason: why, Actor: &actor, At: time.Now().UTC()}
	var entries []audit.Entry
	note := func(what audit.Action, detail string) {
		entry := d.userEntry(actor, what, detail)
		entry.Revision = left.Commit
		entries = append(entries, entry)
	}
	if !left.Removes {
		note(audit.Approve, "remove the stack, which "+record.Short(left.Commit)+" took off the list: "+why)
	}
	var freeze *record.Override
	if asked.OverrideFreeze {
		freeze = &record.Override{Actor: actor, Reason: why, At: given.At}
		note(audit.Override, "remove the stack: "+why)
	}
	if err := d.parts.Note(entries...); err != nil {
		return nil, err
	}
	if err := d.parts.Remove(given, freeze); err != nil {
		return nil, err
	}
	d.parts.Log.Info("approved the removal", "actor", actor.String(), "revision", record.Short(left.Commit), "reason", why, "override_freeze", asked.OverrideFreeze)
	d.parts.Loop.Nudge()
	return given, nil
}
