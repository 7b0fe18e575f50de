// Package decision decides what the agent does next with one stack: from its record, from
// what was observed so far, and without I/O. The loop asks Next, makes the observation or
// takes the action that it names, and asks again after an observation.
package decision

import (
	"coin.internal/coin-agent/agent/record"
)

// Record is what is on record of the stack when a look begins.
type Record struct {
	Last     *record.Sync      // nil before the first sync
	Deployed *record.GoodState // nil before the first good state
	Observes bool              // the agent changes nothing; it is paused as well
	Paused   bool              // a user's pause is in force
	Frozen   bool              // a freeze of the deployed config.yml is in force
	Corrects bool              // the deployed config.yml wants drift to be corrected
	Degraded bool              // the deployed release did not stay healthy, and is to be rolled back
	Rules    string            // digest of the node's policy and limits
}

// Observed is what the look has observed so far. A nil part is not observed yet.
type Observed struct {
	Trigger record.Trigger // OnRequest for a user's request, else OnCommit
	Remote  *Remote
	Group   *Group
	Lineage *Lineage
	Files   *Files
	Drift   *Drift
}

// Remote is the revision that the remote selects.
type Remote struct {
	Err    error // the remote does not answer
	Commit string
	Ref    string
	Tag    bool
}

// Group is how the other nodes of a blue-green group do with the last commit.
type Group struct {
	Failed string // the node that failed, and of which that is not noted yet; "" for none
}

// Lineage is how the selected commit relates to the last one.
type Lineage string

// The relations of two commits of a branch.
const (
	Follows  Lineage = "follows"  // it descends from the last one
	Behind   Lineage = "behind"   // the last one descends from it: the refs lag behind
	Diverged Lineage = "diverged" // the history was rewritten
)

// Files is what the fetch of a commit shows.
type Files struct {
	Refused bool // no listed signer signed it: no file was read
	Same    bool // no file differs that the last sync read
}

// Drift is how the live services differ from the deployed good state.
type Drift struct {
	Services  int  // that differ
	Contested int  // of them; the agent leaves those as they are
	Unowned   int  // of them; no agent made them, and only a rollout may remove them
	Refused   bool // the node's policy refuses the deployed good state: nothing is put back
}

// Action is what the loop does next.
type Action string

// Observations. The loop makes it and asks again.
const (
	AskRemote  Action = "ask-remote"
	AskGroup   Action = "ask-group"
	AskLineage Action = "ask-lineage"
	AskFiles   Action = "ask-files" // fetch the commit
	AskDrift   Action = "ask-drift" // read the live services
)

// Actions. They end a look.
const (
	Wait          Action = "wait"           // nothing is due until the next look
	Unreachable   Action = "unreachable"    // the remote does not answer: report it and wait
	CarryBack     Action = "carry-back"     // carry on with a rollback that was interrupted
	LeaveGroup    Action = "leave-group"    // another node of the group failed: roll back
	LeaveRelease  Action = "leave-release"  // the deployed release did not stay healthy: roll back
	RefusePinned  Action = "refuse-pinned"  // a user rolled this commit back
	RefuseRewrite Action = "refuse-rewrite" // the history of the branch was rewritten
	RefuseSigner  Action = "refuse-signer"  // no listed signer signed the commit
	Share         Action = "share"          // the commit changes nothing here: record that
	Sync          Action = "sync"           // start a sync, carry one on, or ask its gates again
	CorrectSync   Action = "correct-sync"   // correct the drift by a sync of the commit
	CorrectBack   Action = "correct-back"   // correct the drift by the deployed good state
)

// Writes reports whether an action begins or continues an attempt, which may write.
func (a Action) Writes() bool { return a.Works() && a != AskFiles }

// Works reports whether an action reads a commit, or begins or continues an attempt.
func (a Action) Works() bool {
	switch a {
	case AskFiles, CarryBack, LeaveGroup, LeaveRelease, Sync, CorrectSync, CorrectBack:
		return true
	case Wait, Unreachable, AskRemote, AskGroup, AskLineage, AskDrift, RefusePinned, RefuseRewrite, RefuseSigner, Share:
	}
	return false
}

// Policy is what the node's settings say.
type Policy struct {
	AllowRewrite bool // follow a branch whose history was rewritten
	Group        bool // other nodes can be asked
}

// Next gives the next action.
func Next(r Record, o Observed, p Policy) Action {
	if r.Last.RollingBack() && !r.Observes {
		return CarryBack
	}
	if o.Remote == nil {
		return AskRemote
	}
	if o.Remote.Err != nil {
		return first(watchGroup(r, o, p), watchRelease(r, o), Unreachable)
	}
	if o.Trigger == record.OnRequest && r.Last.PinnedByUser() && r.Last.Commit == o.Remote.Commit {
		return RefusePinned
	}
	if r.Observes && begun(r.Last, o.Remote.Commit) {
		return idle(r, o, p)
	}
	if r.Last.DueFor(o.Remote.Commit, o.Trigger) || r.Last.RefusedByOther(r.Rules) {
		return due(r, o, p)
	}
	return idle(r, o, p)
}

// begun reports whether a sync has begun to write, and would write when it is carried on.
func begun(last *record.Sync, commit string) bool {
	return last.RollingBack() || last.CarriesOn() && last.Wrote && last.Commit == commit
}

// due decides about a commit that needs a sync.
func due(r Record, o Observed, p Policy) Action {
	moved := r.Last != nil && r.Last.Commit != o.Remote.Commit
	if moved && r.Last.InOpenGroup() && p.Group && o.Group == nil {
		return AskGroup // before the group is left behind, note whether it is complete
	}
	if moved && r.Last.Ref == o.Remote.Ref && !o.Remote.Tag {
		switch {
		case o.Lineage == nil:
			return AskLineage
		case *o.Lineage == Behind && o.Trigger != record.OnRequest && r.Last.CarriesOn():
			return Wait // the last commit goes on once the refs have caught up
		case *o.Lineage == Behind && o.Trigger != record.OnRequest:
			return idle(r, o, p)
		case *o.Lineage == Diverged && !p.AllowRewrite:
			if o.Trigger == record.OnRequest {
				return RefuseRewrite
			}
			return first(watchGroup(r, o, p), watchRelease(r, o), RefuseRewrite) // what runs is judged all the same
		}
	}
	if o.Files == nil {
		return AskFiles
	}
	if o.Files.Refused {
		return RefuseSigner
	}
	if moved && o.Files.Same && r.Last.Settled() && shares(r, o) {
		return Share
	}
	return Sync
}

// shares reports whether a commit that changes nothing may share the outcome of the last
// one. A user's request rolls it out all the same, unless a user pinned the stack.
func shares(r Record, o Observed) bool {
	return (o.Trigger != record.OnRequest || r.Last.PinnedByUser()) && !r.Last.Resumed() && !r.Last.RolledBackByGroup()
}

// idle decides when no commit is due: it watches the group and the live services.
func idle(r Record, o Observed, p Policy) Action {
	if action := watchGroup(r, o, p); action != "" {
		return action
	}
	if o.Drift == nil {
		return AskDrift
	}
	if action := watchRelease(r, o); action != "" {
		return action
	}
	switch {
	case o.Drift.Services == o.Drift.Contested+o.Drift.Unowned || !r.Corrects || r.Paused || r.Frozen || o.Drift.Refused:
		return Wait
	case o.Lineage != nil && *o.Lineage == Behind:
		return Wait // a correction needs the last commit, and must not end a sync that is not over
	case r.Last.State == record.Succeeded:
		return CorrectSync
	}
	return CorrectBack
}

// watchGroup looks after the other nodes of the group; "" when there is nothing to do.
func watchGroup(r Record, o Observed, p Policy) Action {
	switch {
	case !r.Last.InOpenGroup() || !p.Group:
	case o.Group == nil:
		return AskGroup
	case o.Group.Failed != "" && !r.Paused:
		return LeaveGroup
	}
	return ""
}

// watchRelease leaves a release that did not stay healthy, if that is still so; "" when there
// is nothing to do.
func watchRelease(r Record, o Observed) Action {
	switch {
	case !r.Degraded || r.Paused:
	case o.Drift == nil:
		return AskDrift
	default:
		return LeaveRelease
	}
	return ""
}

func first(actions ...Action) Action {
	for _, action := range actions {
		if action != "" {
			return action
		}
	}
	return Wait
}
