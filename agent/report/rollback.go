package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

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
	return (&rollbackReport{Node: node, Sync: sync, Back: sync.Rollback, Read: read}).text(), nil
}

// rollbackReport is the report of a rollback, as far as it is written.
type rollbackReport struct {
	Node Node
	Sync *record.Sync
	Back *record.Rollback
	Read *contents

	out   strings.Builder
	steps int // so far
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

// Message gives the last task error of a service, and what a rollout waits for.
func Message(result deploy.ServiceResult) string {
	if result.Error != "" && result.Message != "" {
		return result.Error + "; " + result.Message
	}
	return result.Error + result.Message
}

// succeeded reports whether the good state was applied and verified.
func (r *rollbackReport) succeeded() bool {
	return r.Back.Refused == "" && r.Back.Error == "" && !r.Back.Finished.IsZero()
}

// goodState names the good state of the rollback.
func (r *rollbackReport) goodState() string {
	if r.Back.To == 0 {
		return "none is recorded"
	}
	text := fmt.Sprintf("commit %s, verified by sync #%d", record.Short(r.Back.Commit), r.Back.To)
	if r.Back.Release != "" {
		text = "release " + r.Back.Release + ", " + text
	}
	return text
}

// replaced lists the images of the failed version that replaced others.
func (r *rollbackReport) replaced() []record.Image {
	if r.Sync.Deployment == nil || !r.Back.Auto {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Sync.Deployment.Services), func(image record.Image) bool { return image.Before == "" })
}

// unready gives the services that had not converged when the rollout failed.
func (r *rollbackReport) unready() []deploy.ServiceResult {
	return deploy.Result{Services: r.Read.Services}.Waiting()
}

// downtime gives the upper bound of the downtime. The agent does not measure how long a
// service did not answer.
func (r *rollbackReport) downtime() string {
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
	case !r.succeeded():
		return "not known: it may continue, because no good state is verified" + what
	case len(r.restarted()) == 0:
		return "none caused by the agent: no task was replaced"
	}
	took := r.Back.Finished.Sub(begun).Round(time.Second)
	return fmt.Sprintf("not measured; at most %s, from the first write to the verified good state%s", took, what)
}

// restarted lists the services whose tasks the rollout or the rollback replaces.
func (r *rollbackReport) restarted() []string {
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

// data says what the rollout did to the database.
func (r *rollbackReport) data() string {
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

// otherNodes lists the nodes of the environment besides this one.
func (r *rollbackReport) otherNodes() []string {
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

// timeline lists what happened, the earliest first.
func (r *rollbackReport) timeline() []moment {
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
	case r.succeeded():
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
