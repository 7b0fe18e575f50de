package rollout

import (
	"errors"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/drift"
	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// entries are what the audit log says about the whole of an attempt.
type entries struct{ a *attempt }

// found notes the steps that an interrupted attempt took without an entry.
func (e entries) found() error {
	a := e.a
	if !a.note.Wrote {
		return nil
	}
	begun, err := begunPlan(a)
	if err != nil {
		return err
	}
	return a.journal.Found(begun.Steps, a.plan.Steps, journal.NewUses(e.deployedSecrets(), a.stack))
}

// deployedSecrets are what the services of the last good state refer to.
func (e entries) deployedSecrets() journal.SecretNames {
	a := e.a
	if a.base.Deployed == nil {
		return nil
	}
	stack, err := drift.Applied(a.base.Deployed)
	if err != nil {
		return nil // all are new then
	}
	return journal.StackSecrets(stack)
}

// startDetail adds what the commit loosens, and an approval, to what the audit log says before the first write.
func (e entries) startDetail(detail string) string {
	a := e.a
	if a.note.Wrote {
		return "continued: " + report.PlanIntent(a.plan.Recorded())
	}
	if loosens := report.Loosens(a.sync); loosens != "" {
		detail += "; " + loosens
	}
	if a.sync.Approval != nil {
		detail += "; " + gates.ApprovalText(a.sync.Approval)
	}
	return detail
}

// end notes once how an apply ended, with what verify has seen. err is the outcome.
// The result also contains the errors of the log itself.
func (e entries) end(err error) error {
	a := e.a
	if !a.journal.Started() && (!a.note.Wrote || Transient(err)) {
		return err
	}
	outcome, detail, failure := audit.Succeeded, "", ""
	if err != nil {
		outcome, detail = audit.Failed, "in "+string(a.stage)
		failure, _, _ = faults(err)
	}
	if writeErr := a.journal.Note(outcome, detail, failure); writeErr != nil {
		at := stageError{stage: a.stage}
		_ = errors.As(err, &at)
		return stageError{stage: at.stage, err: errors.Join(at.err, writeErr)}
	}
	head := a.use.Audit.Head()
	a.use.Log.Info("audit log", "entries", head.Seq, "head", head.Hash, "revision", record.Short(a.commit))
	return err
}
