package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// Execer runs a command in a running container of a service on this node.
type Execer interface {
	Exec(ctx context.Context, service string, command []string) (code int, output string, err error)
}

// questions are config.yml's checks of this node, ready to be asked.
type questions struct {
	list    []checks.Check
	keys    []string // where config.yml has each
	options checks.Options
	digest  string // of what config.yml says of them
}

// readyChecks finds everything that the checks need, before the first write.
func (r *reconcile) readyChecks() error {
	if err := desired.CheckServices(r.node, r.stack); err != nil {
		return err
	}
	entries, keys := r.node.Config.Checks(r.node.Name)
	digest, err := questionsDigest(r.node, entries)
	if err != nil {
		return err
	}
	q := &questions{keys: keys, digest: digest}
	q.options = checks.Options{
		Facts: r.node.Facts(), Secrets: map[string]checks.Secret{}, Execer: r.Exec,
		Mask: func(text string) string { return deploy.MaskText(text, r.stack) },
		Progress: func(p checks.Progress) {
			text := fmt.Sprintf("%d of %d checks passed", p.Passed, p.All)
			if p.Last != "" {
				text += "; " + p.Last
			}
			r.showProgress(text)
		},
	}
	var faults []error
	for i, entry := range entries {
		check, err := r.desired.Check(entry)
		if err != nil {
			faults = append(faults, fault.New(r.node.Config.Place(keys[i]), fault.Hint(err), "check %s: %w", entry.Name, err))
			continue
		}
		q.list = append(q.list, check)
		for _, name := range entry.Secrets() {
			value, err := r.desired.Known(name)
			if err != nil {
				faults = append(faults, fault.New(r.node.Config.Place(keys[i]), fault.Hint(err), "check %s: %w", entry.Name, err))
			}
			q.options.Secrets[name] = value
		}
	}
	r.questions, r.attempt.Checks = q, nil
	r.migrations, err = migrations.Of(r.desired)
	faults = append(faults, err)
	if err := errors.Join(faults...); err != nil {
		return environmentError{err} // the files of this node are not the revision's
	}
	return nil
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
func (r *reconcile) due() (bool, error) {
	if r.attempt.Wrote || r.sync.Trigger == record.OnRequest || r.rollback != nil {
		return true, nil
	}
	syncs, err := r.records.Syncs(2)
	if err != nil {
		return false, fmt.Errorf("read the last syncs: %w", err)
	}
	for _, before := range syncs {
		if before.ID < r.sync.ID {
			return before.State != record.Succeeded || before.ChecksDigest != r.questions.digest, nil
		}
	}
	return true, nil
}

// ask runs the checks and records their results. A failed check is the revision's fault,
// unless the engine could not be asked.
func (r *reconcile) ask(ctx context.Context) error {
	r.sync.ChecksDigest = r.questions.digest
	due, err := r.due()
	if err != nil || !due {
		return err
	}
	if len(r.questions.list) == 0 {
		r.Metrics.Checked(nil)
		return nil
	}
	results := checks.Run(ctx, r.questions.list, r.questions.options)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	slow, err := r.compareTimes(results)
	if err != nil {
		return err
	}
	if r.attempt.Checks, err = json.Marshal(results); err != nil {
		return fmt.Errorf("record checks: %w", err)
	}
	r.Log.Info("checked", "revision", short(r.sync.Commit), "stack", r.stack.Name, "summary", checks.Summary(results))
	var faults []error
	for i, result := range results {
		if cause := result.Cause(); errors.Is(cause, deploy.ErrUnavailable) {
			return environmentError{cause}
		}
		if failure := result.Failure(); failure != "" {
			faults = append(faults, fault.New(fault.Place{}, "check the logs of the services, and run the check by hand from this node; the check is at "+
				r.node.Config.Place(r.questions.keys[i]).String(), "%s", failure))
		}
	}
	return errors.Join(append(faults, slow)...)
}

// compareTimes compares the checks' times with those of earlier good releases.
func (r *reconcile) compareTimes(results []checks.Result) (slow error, err error) {
	earlier, err := r.records.CheckTimes(r.sync.Commit)
	if err != nil {
		return nil, fmt.Errorf("read the times of earlier checks: %w", err)
	}
	rule := r.node.Config.Deployment.Performance
	var faults []error
	for i := range results {
		result := &results[i]
		result.Compare(earlier[result.Name], rule.MaxDegradation)
		switch {
		case !result.Slower:
		case rule.Fail:
			faults = append(faults, fault.New(fault.Place{}, "find what became slower; deployment.performance of config.yml sets the bound", "%s", result.Slowness(rule.MaxDegradation)))
		default:
			r.attempt.Warnings = append(r.attempt.Warnings, result.Slowness(rule.MaxDegradation))
		}
	}
	return errors.Join(faults...), nil
}
