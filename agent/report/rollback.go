package report

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

//go:embed rollback.md.tmpl
var rollbackText string

// rollbackTemplate makes the report of a rollbackReport. Its functions item, escape, cell, span
// and code escape the texts, because errors, log lines, names and subjects may contain anything.
var rollbackTemplate = template.Must(template.New("rollback").Funcs(template.FuncMap{
	"author": audit.AuthorName, "item": item, "escape": escape, "cell": cell, "span": span, "code": code, "stamp": stamp, "short": record.Short, "outcome": Outcome, "message": Message,
	"summary": checks.Summary, "planTexts": planTexts, "unhealthy": unhealthy, "sentence": sentence,
	"contains": strings.Contains, "hasPrefix": strings.HasPrefix,
	"join":     func(texts []string) string { return strings.Join(texts, ", ") },
	"subtract": func(a, b int) int { return a - b },
}).Parse(rollbackText))

// Rollback gives the report of a rollback, or of its refusal, in Markdown. Its sections are
// those of the report that engineers wrote before the agent.
func Rollback(node Node, sync *record.Sync) (string, error) {
	if sync.Rollback == nil {
		return "", fault.New(fault.Place{}, fmt.Sprintf("`agent show %d` shows what it did; `agent history` marks the syncs with a rollback", sync.ID),
			"sync #%d has no rollback", sync.ID)
	}
	read, err := recordOf(sync)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if err := rollbackTemplate.Execute(&text, &rollbackReport{Node: node, Sync: sync, Back: sync.Rollback, Read: read}); err != nil {
		return "", fmt.Errorf("write the rollback report: %w", err)
	}
	return text.String(), nil
}

// rollbackReport is what the template of a rollback report shows.
type rollbackReport struct {
	Node Node
	Sync *record.Sync
	Back *record.Rollback
	Read *contents

	steps int // so far
}

// Step gives the number of the next step.
func (r *rollbackReport) Step() int {
	r.steps++
	return r.steps
}

// Outcome gives the result of a rollback in a few words.
func Outcome(back *record.Rollback) string {
	switch {
	case back.Refused != "":
		return "refused: nothing was changed"
	case back.Finished.IsZero():
		return "running"
	case back.Error != "" && back.Wrote:
		return "failed: " + back.Error
	case back.Error != "":
		return "failed before the first write: " + back.Error
	}
	return "succeeded"
}

// unhealthy gives the services that have not converged.
func unhealthy(services []deploy.ServiceResult) []deploy.ServiceResult {
	return slices.DeleteFunc(slices.Clone(services), func(one deploy.ServiceResult) bool { return one.State == deploy.Converged })
}

// planTexts gives the lines of a plan without their tones.
func planTexts(plan *deploy.RecordedPlan) []string {
	var texts []string
	for _, line := range PlanLines(*plan) {
		texts = append(texts, line.Text)
	}
	return texts
}

// Message gives the last task error of a service, and what a rollout waits for.
func Message(result deploy.ServiceResult) string {
	if result.Error != "" && result.Message != "" {
		return result.Error + "; " + result.Message
	}
	return result.Error + result.Message
}

// Succeeded reports whether the good state was applied and verified.
func (r *rollbackReport) Succeeded() bool {
	return r.Back.Refused == "" && r.Back.Error == "" && !r.Back.Finished.IsZero()
}

// GoodState names the good state of the rollback.
func (r *rollbackReport) GoodState() string {
	if r.Back.To == 0 {
		return "none is recorded"
	}
	text := fmt.Sprintf("commit %s, verified by sync #%d", record.Short(r.Back.Commit), r.Back.To)
	if r.Back.Release != "" {
		text = "release " + r.Back.Release + ", " + text
	}
	return text
}

// Replaced lists the images of the failed version that replaced others.
func (r *rollbackReport) Replaced() []record.Image {
	if r.Sync.Deployment == nil || !r.Back.Auto {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Sync.Deployment.Services), func(image record.Image) bool { return image.Before == "" })
}

// Unready gives the services that had not converged when the rollout failed.
func (r *rollbackReport) Unready() []deploy.ServiceResult {
	return deploy.Result{Services: r.Read.Services}.Waiting()
}

// Downtime gives the upper bound of the downtime. The agent does not measure how long a
// service did not answer.
func (r *rollbackReport) Downtime() string {
	var down []string // the services that had no ready task when the rollout failed
	for _, result := range r.Read.Services {
		if result.State != deploy.Converged && result.Ready == 0 && result.Want > 0 {
			down = append(down, result.Name)
		}
	}
	what := ""
	if len(down) > 0 {
		what = "; without a ready task when the rollout failed: " + strings.Join(down, ", ")
	} else if len(r.Sync.Services) > 0 && r.Back.Auto {
		what = "; each service had a ready task when the rollout failed"
	}
	begun := r.Back.Started
	if r.Back.Auto && r.Sync.Wrote && !r.Sync.Entered["apply"].IsZero() {
		begun = r.Sync.Entered["apply"]
	}
	switch {
	case !r.Succeeded():
		return "not known: it may continue, because no good state is verified" + what
	case len(r.Restarted()) == 0:
		return "none caused by the agent: no task was replaced"
	}
	took := r.Back.Finished.Sub(begun).Round(time.Second)
	return fmt.Sprintf("not measured; at most %s, from the first write to the verified good state%s", took, what)
}

// Restarted lists the services whose tasks the rollout or the rollback replaces.
func (r *rollbackReport) Restarted() []string {
	var names []string
	for _, plan := range []*deploy.RecordedPlan{r.Read.Plan, r.Read.BackPlan} {
		if plan == nil {
			continue
		}
		for _, step := range plan.Steps {
			if step.Kind == deploy.Service && step.Restarts {
				names = append(names, step.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Data says what the rollout did to the database.
func (r *rollbackReport) Data() string {
	where := r.Sync.Migration
	switch {
	case where == nil || where.Before == nil && where.After == nil:
		return "not known: the agent does not read the migrations (`deployment.migration_check`)"
	case where.After == nil:
		return fmt.Sprintf("the migrations of %s were not read both before and after; before: %d", where.Table, *where.Before)
	case where.Before == nil:
		return fmt.Sprintf("the migrations of %s were not read both before and after; after: %d", where.Table, *where.After)
	case *where.Before == *where.After:
		return fmt.Sprintf("no migration was added to %s: the last one is %d", where.Table, *where.After)
	}
	text := fmt.Sprintf("%s went from migration %d to %d, and a rollback of services does not revert migrations", where.Table, *where.Before, *where.After)
	if where.Forced {
		text += "; a user forced the rollback"
	}
	return text
}

// OtherNodes lists the nodes of the environment besides this one.
func (r *rollbackReport) OtherNodes() []string {
	if r.Sync.Deployment == nil || len(r.Sync.Deployment.Nodes) < 2 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Sync.Deployment.Nodes), func(name string) bool { return name == r.Node.Name })
}

// moment is a row of the timeline.
type moment struct {
	At   time.Time
	What string
}

// Timeline lists what happened, the earliest first.
func (r *rollbackReport) Timeline() []moment {
	var moments []moment
	add := func(at time.Time, format string, args ...any) {
		if !at.IsZero() {
			moments = append(moments, moment{at, fmt.Sprintf(format, args...)})
		}
	}
	add(r.Sync.Started, "Sync #%d started (%s)", r.Sync.ID, r.Sync.Trigger)
	if r.Sync.Approval != nil {
		add(r.Sync.Approval.At, "Approved by %s", strings.Join(r.Sync.Approval.People(), ", "))
	}
	if r.Back.Auto {
		if r.Sync.Wrote {
			add(r.Sync.Entered["apply"], "First write to the engine")
			add(r.Sync.Entered["verify"], "All changes written, verification started")
		}
		add(r.Back.Started, "Failure detected at %s", r.Sync.FailedAt())
	}
	switch {
	case r.Back.Refused != "":
		add(r.Back.Started, "Rollback refused")
	case r.Succeeded():
		add(r.Back.Started, "Rollback started")
		add(r.Back.Finished, "Rollback completed, services restored")
	default:
		add(r.Back.Started, "Rollback started")
		add(r.Back.Finished, "Rollback failed")
	}
	add(r.Sync.Finished, "Sync finished: %s", r.Sync.State)
	slices.SortStableFunc(moments, func(a, b moment) int { return a.At.Compare(b.At) })
	return moments
}
