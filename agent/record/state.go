package record

// State is the state of a revision on a stack (design, "One reconcile").
type State string

// The states of a sync. Pending, Waiting and Running are not final.
const (
	Pending    State = "pending"     // recorded; nothing is written yet
	Waiting    State = "waiting"     // a gate holds it
	Running    State = "running"     // the engine is written to, or the result is waited for
	Succeeded  State = "succeeded"   // applied and verified
	Failed     State = "failed"      // the revision is not deployed, or is not verified
	RolledBack State = "rolled_back" // an earlier good state runs again
	Superseded State = "superseded"  // another sync replaced it before it finished
)

// Final reports whether a sync in this state is over.
func (s State) Final() bool {
	switch s {
	case Succeeded, Failed, RolledBack, Superseded:
		return true
	case Pending, Waiting, Running:
	}
	return false
}

// Known reports whether there is such a state.
func (s State) Known() bool {
	switch s {
	case Pending, Waiting, Running, Succeeded, Failed, RolledBack, Superseded:
		return true
	}
	return false
}

// Stage is a step of an attempt, by the name that status, metrics, log and commit
// status use.
type Stage string

// The stages in their order. StageRollback stands for a whole rollback that a sync
// takes; Guard is the gate of a rollback.
const (
	StageSelect   Stage = "select"
	StageSigners  Stage = "signers" // of a revision that they did not sign
	StageFetch    Stage = "fetch"
	StageLoad     Stage = "load"
	StageDecrypt  Stage = "decrypt"
	StageRender   Stage = "render"
	StagePolicy   Stage = "policy"
	StagePlan     Stage = "plan"
	StageGate     Stage = "gate"
	StageGuard    Stage = "guard"
	StageApply    Stage = "apply"
	StageVerify   Stage = "verify"
	StageRollback Stage = "rollback"
)

// Trigger is what made the agent start a sync.
type Trigger string

// The triggers of a sync.
const (
	OnCommit   Trigger = "commit"   // the followed ref moved
	OnRequest  Trigger = "manual"   // a user asked for it
	OnDrift    Trigger = "drift"    // the live services differ from the deployed ones
	OnRollback Trigger = "rollback" // a user, or a failed node of the group, asked for a rollback
)

// GateName names a gate.
type GateName string

// The gates, in the order in which they are asked.
const (
	GateObserve    GateName = "observe"
	GatePause      GateName = "pause"
	GateFreeze     GateName = "freeze"
	GateAutoDeploy GateName = "auto_deploy"
	GateRelease    GateName = "release"
	GateApproval   GateName = "approval"
	GateAdoption   GateName = "adoption"
	GateStack      GateName = "stack"
	GateOrder      GateName = "order"
)

// StackKey is the key of a stack's records. It is the name by which the configuration
// lists the stack, which need not be the stack's name in Swarm.
type StackKey string

// OnlyStack is the key of the stack of a node whose configuration lists none.
const OnlyStack StackKey = "default"
