package rollout

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/explain"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
)

// finish decides the outcome of a rollback, records it and publishes it. After a transient
// failure the next look tries again; any other failure is final.
func (b *back) finish(ctx context.Context, err error) Outcome {
	a, whole, taken := b.a, b.a.sync, b.a.sync.Rollback
	if err != nil && ctx.Err() != nil {
		return Outcome{Sync: whole, Err: err} // the agent is stopping: the next start continues
	}
	a.clearScreen()
	if err = (entries{a}).end(err); Transient(err) {
		return Outcome{Sync: whole, Err: errors.Join(err, a.use.Delays.Delay(whole, err))}
	}
	b.keep()
	taken.Finished = time.Now()
	whole.Seconds[record.StageRollback] = taken.Finished.Sub(taken.Started).Seconds()
	var good *record.GoodState
	if err == nil {
		good, err = b.succeed()
	}
	if err != nil {
		if failErr := b.fail(err); failErr != nil {
			return Outcome{Sync: whole, Err: failErr}
		}
	}
	publish := a.use.Publish.Sync
	if whole.Quiet() {
		publish = a.use.Publish.Notice
	}
	if publishErr := publish(whole); publishErr != nil {
		return Outcome{Sync: whole, Err: publishErr}
	}
	if saveErr := a.use.Ledger.End(whole, good); saveErr != nil {
		return Outcome{Sync: whole, Err: saveErr}
	}
	return Outcome{Sync: whole, Over: true, Observed: a.observed}
}

// succeed makes the sync rolled back, and gives the good state that is deployed
// now.
func (b *back) succeed() (*record.GoodState, error) {
	whole, taken, to := b.a.sync, b.a.sync.Rollback, b.to
	plan, err := begunPlan(b.a)
	if err != nil {
		return nil, err
	}
	services, err := b.servicesNow()
	if err != nil {
		return nil, err
	}
	applied := *to
	if applied.Ignored, err = ignoredFields(b.a); err != nil {
		return nil, err
	}
	applied.At, applied.Of, applied.Services, applied.Contents = taken.Finished, to.Root(), services, nil
	// What ran before is not judged by a soak time again; what is deployed and drifted still is.
	applied.Unfit, applied.Soak = b.a.changed, nil
	if to.Soak != nil && whole.Quiet() {
		applied.Unfit, applied.Soak = cmp.Or(b.a.changed, to.Soak.Failed), to.Soak
	}
	applied.Resolve = string(compose.ResolveNever) // the images are those that ran, whatever their tags mean now
	if noted := whole.Migration; noted != nil && noted.After != nil {
		applied.Migration = noted.After // it is verified with that now
	}
	applied.Rules = inherit(to, b.a.base.Deployed, manifests.ConfigFile(b.a.use.Node.Environment))
	if deployed := b.a.base.Deployed; deployed != nil {
		applied.Retention = deployed.Retention
		if len(taken.Services) > 0 || len(taken.Left) > 0 {
			secrets, configs := referred(b.all)
			applied.Secrets, applied.Configs = union(to.Secrets, deployed.Secrets, secrets), union(to.Configs, deployed.Configs, configs)
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
func (b *back) servicesNow() ([]byte, error) {
	services, err := json.Marshal(b.all.Services)
	if err != nil {
		return nil, fmt.Errorf("record what was applied: %w", err)
	}
	before, err := json.Marshal(b.before.Services)
	if err != nil {
		return nil, fmt.Errorf("record what was applied: %w", err)
	}
	if bytes.Equal(services, before) {
		return b.to.Services, nil
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

// fail makes the sync failed, and records why the rollback failed. The rollback was refused
// if nothing of its plan was written; it may have stopped jobs.
func (b *back) fail(err error) error {
	a, whole, taken := b.a, b.a.sync, b.a.sync.Rollback
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
		whole.Code = explain.Code(err, record.StageRollback)
	}
	a.use.Log.Error("cannot roll back", "revision", record.Short(whole.Commit), "to", report.Target(taken), "error", text, "hint", hint,
		"code", explain.Code(err, record.StageRollback))
	if !refused {
		return nil // the end of the attempt has recorded it
	}
	return a.journal.Note(audit.Failed, "refused: to "+report.Target(taken), text)
}
