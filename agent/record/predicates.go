package record

// The predicates on the last sync of a stack. Each question has one answer here; a nil
// sync, of a stack without a history, is allowed.

// IsRollback reports whether the sync was started as a rollback: no rollout failed in it.
func (s *Sync) IsRollback() bool { return s.Trigger == OnRollback }

// Quiet reports whether GitLab keeps what it was told of the commit before the sync: the sync
// puts drifted services of a good state back, and no rollout of the commit ran in it.
func (s *Sync) Quiet() bool {
	return s.Trigger == OnDrift && s.Rollback != nil && !s.Rollback.FollowsFailure()
}

// Verified reports whether the deployed specs are those of a good state: the sync was
// rolled out and verified, or it returned to a good state.
func (s *Sync) Verified() bool {
	return s != nil && (s.State == Succeeded || s.State == RolledBack)
}

// Ended reports whether a sync came to an end of its own, which says whether its commit could be
// deployed. A superseded one says nothing.
func Ended(s *Sync) bool { return s.State.Final() && s.State != Superseded }

// Dirty gives the ID of the sync whose unverified changes are deployed: this one, or an
// earlier one; 0 when a good state is deployed.
func (s *Sync) Dirty() uint64 {
	switch {
	case s == nil || s.Verified():
		return 0
	case s.Wrote:
		return s.ID
	}
	return s.DirtySince
}

// Pinned reports whether a rollback keeps the stack at a good state. A newer commit, or
// a user's `agent resume`, ends that.
func (s *Sync) Pinned() bool {
	return s != nil && s.State == RolledBack && s.Rollback != nil && s.Rollback.Resumed.IsZero()
}

// PinnedByUser reports whether a user asked for the rollback that keeps the stack at a
// good state.
func (s *Sync) PinnedByUser() bool { return s.Pinned() && !s.Rollback.Auto }

// Resumed reports whether a user has ended the stay at a good state: the commit is due
// again.
func (s *Sync) Resumed() bool {
	return s != nil && s.State == RolledBack && s.Rollback != nil && !s.Rollback.Resumed.IsZero()
}

// RolledBackByGroup reports whether the stack rolled back because another node of its
// group failed. It did not fail itself, and takes part in the next commit.
func (s *Sync) RolledBackByGroup() bool {
	return s != nil && s.State == RolledBack && s.Group != nil && s.Group.Failed != ""
}

// RollingBack reports whether a rollback is under way. It is carried on before anything
// else. That of a sync that another one superseded, or that left the list with its stack, is not.
func (s *Sync) RollingBack() bool { return s != nil && !s.Rollback.Over() && !s.State.Final() }

// Held reports whether the commit failed here and is not tried again until git changes or
// a user runs `agent retry`.
func (s *Sync) Held() bool {
	return s != nil && (s.State == Failed && !s.Transient || s.Pinned() && s.Rollback.Auto)
}

// CarriesOn reports whether the sync is not over, or waits for its next attempt. The next
// attempt at the same commit continues it, under its number; another sync supersedes it.
func (s *Sync) CarriesOn() bool {
	return s != nil && (!s.State.Final() || s.State == Failed && s.Transient)
}

// Settled reports whether the commit came to an end of its own here, so that a later
// commit that changes nothing shares the outcome. A superseded commit, a transient
// failure, and a commit that did not pass its gates, or the policy and the limits of the node,
// are still to be rolled out.
func (s *Sync) Settled() bool {
	return s != nil && s.State.Final() && !s.Transient && s.State != Superseded &&
		(s.State == Succeeded || s.Rules == "" && (s.State != Failed || s.Stage != StageGate && s.Stage != StagePolicy))
}

// RefusedByOther reports whether the node's policy, its keys or limits refused the commit, and
// have changed since: their digest is rules now. The agent may have rolled back after the
// refusal, if a sync before it had written.
func (s *Sync) RefusedByOther(rules string) bool {
	return s.Held() && s.Rules != "" && s.Rules != rules
}

// InOpenGroup reports whether the stack has rolled out, and the other nodes of its group
// have not all succeeded yet.
func (s *Sync) InOpenGroup() bool {
	return s != nil && s.State == Succeeded && s.Group != nil && len(s.Group.Nodes) > 0 && !s.Group.Complete
}

// DueFor reports whether a commit needs a sync after this one. A commit that failed here
// is held until something changes or a user asks.
func (s *Sync) DueFor(commit string, trigger Trigger) bool {
	switch {
	case s == nil || s.Commit != commit || trigger == OnRequest || s.Resumed():
		return true
	case s.CarriesOn():
		return true
	}
	return s.State == Superseded // replaced by a sync that never began
}

// NextGroup gives the group of a sync of a commit that follows this one. A group that is
// not complete goes on with the next commit.
func (s *Sync) NextGroup(commit string) *Group {
	switch {
	case s == nil || s.Group == nil || s.State == RolledBack:
		return nil
	case s.Commit == commit && s.State == Succeeded:
		return s.Group
	case s.Group.Complete:
		return nil
	}
	return &Group{Nodes: s.Group.Nodes, Back: s.Group.Back, Base: s.Group.Base}
}

// Shared gives the rollback of a sync as a later commit shares it that changes nothing here;
// nil unless the sync ended in it.
func (b *Rollback) Shared(of State) *Rollback {
	if b == nil || of != RolledBack {
		return nil
	}
	taken := *b
	taken.Plan, taken.ServicesOf, taken.Checks, taken.Seconds = nil, nil, nil, nil
	return &taken
}
