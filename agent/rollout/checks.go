package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// questions are config.yml's checks of this node, ready to be asked.
type questions struct {
	a       *attempt
	list    []checks.Check
	keys    []string // where config.yml has each
	options checks.Options
	digest  string // of what config.yml says of them
}

// readyChecks finds everything that the checks need, before the first write. It refuses a
// check that would send a credential to a host that the node does not allow.
func readyChecks(a *attempt) error {
	node := a.desired.Node
	if err := a.desired.Bounded(); err != nil {
		return err
	}
	if err := desired.CheckServices(node, a.stack); err != nil {
		return err
	}
	entries, keys := node.Checks()
	digest, err := questionsDigest(node, entries)
	if err != nil {
		return err
	}
	q := &questions{a: a, keys: keys, digest: digest}
	kept := &compose.Stack{Secrets: a.stack.Secrets}
	masks := sync.OnceValue(func() *deploy.Masks { return deploy.NewMasks(kept) }) // few checks need them
	q.options = checks.Options{
		Facts: node.Facts(), Secrets: map[string]checks.Secret{}, Execer: a.use.Exec,
		Mask:    func(text string) string { return masks().Text(text) },
		Unknown: func(service string) string { return masks().Unknown(a.stack.Services[a.stack.Name+"_"+service]) },
		Progress: func(p checks.Progress) {
			text := fmt.Sprintf("%d of %d checks passed", p.Passed, p.All)
			if p.Last != "" {
				text += "; " + p.Last
			}
			a.show(text)
		},
	}
	var faults []error
	for i, entry := range entries {
		check, err := a.desired.Check(entry)
		if a.use.looks && errors.Is(err, desired.ErrUnread) {
			continue // it is not asked
		}
		if err != nil {
			faults = append(faults, fault.New(node.Config.Place(keys[i]), fault.Hint(err), "check %s: %w", entry.Name, err))
			continue
		}
		q.list = append(q.list, check)
		for _, name := range entry.Secrets() {
			value, err := a.desired.Known(name)
			if err != nil && (!a.use.looks || !errors.Is(err, desired.ErrUnread)) {
				faults = append(faults, fault.New(node.Config.Place(keys[i]), fault.Hint(err), "check %s: %w", entry.Name, err))
			}
			q.options.Secrets[name] = value
		}
	}
	a.questions, a.note.Checks = q, nil
	a.database.check, err = migrations.Of(a.desired)
	if a.use.looks && errors.Is(err, desired.ErrUnread) {
		err = nil
	}
	faults = append(faults, err)
	return fault.Transient(errors.Join(faults...)) // the files of this node are not the revision's
}

// questionsDigest gives a digest of the checks and the migration check, to compare two
// lists.
func questionsDigest(node *manifests.Node, entries []manifests.Check) (string, error) {
	var all any = entries
	if check := node.Config.Deployment.MigrationCheck; check.Enabled {
		all = []any{entries, check, node.Config.Database, node.ExpectedMigration}
	}
	said, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("record checks: %w", err)
	}
	digest := sha256.Sum256(said)
	return hex.EncodeToString(digest[:]), nil
}

// due reports whether the checks and the migrations are to be asked. They are not asked
// if nothing was written and the same ones passed here before, unless a user requested
// the sync.
func (q *questions) due() (bool, error) {
	a := q.a
	if a.note.Wrote || a.sync.Trigger == record.OnRequest {
		return true, nil
	}
	syncs, err := a.use.Records.Syncs(2)
	if err != nil {
		return false, fmt.Errorf("read the last syncs: %w", err)
	}
	for _, before := range syncs {
		if before.ID < a.sync.ID {
			return before.State != record.Succeeded || before.ChecksDigest != q.digest, nil
		}
	}
	return true, nil
}

// askDue asks about migrations and the checks, if they are due, and reports whether there are any.
func (q *questions) askDue(ctx context.Context) (asked bool, err error) {
	if due, err := q.due(); err != nil || !due {
		return false, err
	}
	if err := q.a.database.after(ctx); err != nil {
		return true, err
	}
	return len(q.list) > 0 || q.a.database.check != nil, q.ask(ctx)
}

// ask runs the checks and records their results. A failed check is the revision's fault,
// unless the engine could not be asked.
func (q *questions) ask(ctx context.Context) error {
	a := q.a
	if len(q.list) == 0 {
		a.use.Metrics.Checked(nil)
		return nil
	}
	results := checks.Run(ctx, q.list, q.options)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	slow, err := q.compareTimes(results)
	if err != nil {
		return err
	}
	if a.note.Checks, err = json.Marshal(results); err != nil {
		return fmt.Errorf("record checks: %w", err)
	}
	a.use.Log.Info("checked", "revision", record.Short(a.sync.Commit), "stack", a.stack.Name, "summary", checks.Summary(results))
	var faults []error
	for i, result := range results {
		if cause := result.Cause(); errors.Is(cause, deploy.ErrUnavailable) {
			return fault.Transient(cause)
		}
		if failure := result.Failure(); failure != "" {
			faults = append(faults, fault.New(fault.Place{}, "check the logs of the services, and run the check by hand from this node; the check is at "+
				a.config().Place(q.keys[i]).String(), "%s", failure))
		}
	}
	return errors.Join(append(faults, slow)...)
}

// compareTimes compares the checks' times with those of earlier good releases.
func (q *questions) compareTimes(results []checks.Result) (slow error, err error) {
	a := q.a
	earlier, err := a.use.Records.CheckTimes(a.sync.Commit)
	if err != nil {
		return nil, fmt.Errorf("read the times of earlier checks: %w", err)
	}
	rule := a.config().Deployment.Performance
	var faults []error
	for i := range results {
		result := &results[i]
		result.Compare(earlier[result.Name], rule.MaxDegradation)
		switch {
		case !result.Slower:
		case rule.Fail:
			faults = append(faults, fault.New(fault.Place{}, "find what became slower; deployment.performance of config.yml sets the bound", "%s", result.Slowness(rule.MaxDegradation)))
		default:
			a.note.Warnings = append(a.note.Warnings, result.Slowness(rule.MaxDegradation))
		}
	}
	return errors.Join(faults...), nil
}
