package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// finishRollback decides the outcome of a rollback, records it and reports it. After a
// transient failure the next look tries again; any other failure is final.
func (r *reconcile) finishRollback(ctx context.Context, err error) outcome {
	whole, taken := r.sync, r.sync.Rollback
	if err != nil && ctx.Err() != nil {
		return outcome{sync: whole, err: err} // the agent is stopping: the next start continues
	}
	r.update(func(v *view) { v.progress, v.rollout = "", nil })
	if err = r.noteEnd(err); transient(err) {
		return outcome{sync: whole, err: errors.Join(err, r.announceDelay(whole, err))}
	}
	r.noteAttempt()
	taken.Finished = time.Now()
	whole.Seconds[record.StageRollback] = taken.Finished.Sub(taken.Started).Seconds()
	var applied *record.GoodState
	if err == nil {
		applied, err = r.succeedRollback()
	}
	if err != nil {
		if failErr := r.failRollback(err); failErr != nil {
			return outcome{sync: whole, err: failErr}
		}
	}
	reportErr := r.announce(whole)
	if whole.Trigger != record.OnDrift { // GitLab knows the outcome of the commit already
		reportErr = errors.Join(reportErr, r.queueStatus(whole, reportStates[whole.State]))
	}
	if reportErr != nil {
		return outcome{sync: whole, err: reportErr}
	}
	if saveErr := r.record(whole, applied); saveErr != nil {
		return outcome{sync: whole, err: saveErr}
	}
	_, lookErr := r.observe(ctx)
	if lookErr == nil && whole.State == record.RolledBack {
		r.surveyNow(ctx)
	}
	return outcome{sync: whole, err: lookErr}
}

// succeedRollback makes the sync rolled back, and gives the good state that is deployed
// now.
func (r *reconcile) succeedRollback() (*record.GoodState, error) {
	whole, taken, to := r.sync, r.sync.Rollback, r.rollback.to
	plan, err := r.begun()
	if err != nil {
		return nil, err
	}
	services, err := r.servicesNow()
	if err != nil {
		return nil, err
	}
	applied := *to
	applied.At, applied.Of, applied.Services, applied.Contents = taken.Finished, to.Root(), services, nil
	applied.Resolve = string(compose.ResolveNever) // the images are those that ran, whatever their tags mean now
	if noted := r.sync.Migration; noted != nil && noted.After != nil {
		applied.Migration = noted.After // it is verified with that now
	}
	if v := r.snapshot(); v.deployed != nil {
		applied.Retention = v.deployed.Retention
		if len(taken.Services) > 0 || len(taken.Left) > 0 {
			secrets, configs := referred(r.rollback.all)
			applied.Secrets, applied.Configs = union(to.Secrets, v.deployed.Secrets, secrets), union(to.Configs, v.deployed.Configs, configs)
		}
	}
	if err := whole.Apply(record.FinishRollback, taken.Finished); err != nil {
		return nil, err
	}
	whole.Stage = taken.Stage
	taken.Summary = report.Summary(plan)
	whole.Summary = report.RollbackText(whole)
	if taken.Since.IsZero() {
		taken.Since = taken.Finished
	}
	return &applied, nil
}

// servicesNow gives the deployed specs, in the same bytes as the good state if they are
// equal.
func (r *reconcile) servicesNow() ([]byte, error) {
	services, err := json.Marshal(r.rollback.all.Services)
	if err != nil {
		return nil, fmt.Errorf("record what was applied: %w", err)
	}
	before, err := json.Marshal(r.rollback.before.Services)
	if err != nil {
		return nil, fmt.Errorf("record what was applied: %w", err)
	}
	if bytes.Equal(services, before) {
		return r.rollback.to.Services, nil
	}
	return services, nil
}

// referred lists the secrets and configs that services of a stack have.
func referred(stack *compose.Stack) (secrets, configs []record.Object) {
	for _, spec := range stack.Services {
		container := spec.TaskTemplate.ContainerSpec
		if container == nil {
			continue
		}
		for _, secret := range container.Secrets {
			secrets = append(secrets, record.Object{Name: secret.SecretName})
		}
		for _, config := range container.Configs {
			configs = append(configs, record.Object{Name: config.ConfigName})
		}
	}
	return secrets, configs
}

// union joins lists of objects, sorted by name, each once, as the first list has it.
func union(lists ...[]record.Object) []record.Object {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b record.Object) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b record.Object) bool { return a.Name == b.Name })
}

// failRollback makes the sync failed, and records why the rollback failed. The rollback
// was refused if nothing was written.
func (r *reconcile) failRollback(err error) error {
	whole, taken := r.sync, r.sync.Rollback
	var at stageError
	if errors.As(err, &at) {
		err = at.err
	}
	text, hint, all := faults(err)
	refused := !taken.Wrote && at.stage != record.StageVerify && at.stage != record.StageApply
	if applyErr := whole.Apply(record.Fail, taken.Finished); applyErr != nil {
		return applyErr
	}
	whole.Stage = taken.Stage
	taken.Hint = hint
	if refused {
		taken.Refused = text
	} else {
		taken.Error = text
	}
	if whole.Error == "" {
		whole.Stage, whole.Error, whole.Hint, whole.Faults = record.StageRollback, text, hint, all
	}
	r.Log.Error("cannot roll back", "revision", short(whole.Commit), "to", report.Target(taken), "error", text, "hint", hint)
	if !refused {
		return nil // noteEnd has recorded it
	}
	entry := r.syncEntry()
	entry.Outcome, entry.Error, entry.Detail = audit.Failed, text, "refused: to "+report.Target(taken)
	return r.write(entry)
}

// pinnedError refuses to roll out a commit that a user rolled back from.
type pinnedError struct{ error }

func (e pinnedError) Unwrap() error { return e.error }

func errPinned(last *record.Sync) error {
	at := report.PinnedAt(last)
	return pinnedError{fault.New(fault.Place{}, "`agent resume` follows "+last.Ref+" again", "%s is not rolled out: pinned at %s since %s by %s",
		short(last.Commit), report.Target(last.Rollback), at.Since.Local().Format(time.DateTime), at.By)}
}
