package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/record"
)

// NextSteps lists what users do after the rollback, with the commands.
func (r *rollbackReport) NextSteps() []string {
	var steps []string
	add := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }
	switch {
	case r.Back.Refused != "":
		add("Nothing was rolled back, and the failed version still runs. Check that it serves its users, or stop it.")
		steps = append(steps, r.hint()...)
		if r.Back.To == 0 {
			break
		}
		if !strings.Contains(r.Back.Hint, "--force-migrations") { // the hint names it if migrations are the reason
			add("Then run `agent rollback --to %d --reason …`.", r.Back.To)
			break
		}
		add("To roll back across the migrations on your own responsibility: `agent rollback --to %d --force-migrations --reason …`.", r.Back.To)
	case r.Back.Finished.IsZero():
		add("Wait until the rollback has finished: `agent status --watch` shows its progress.")
	case !r.Succeeded():
		add("The stack may be a mix of both versions: `agent status` shows each service.")
		steps = append(steps, r.hint()...)
		add("When the cause is fixed: `agent rollback --to %d --reason …`.", r.Back.To)
	default:
		add("The node stays at %s until a new commit changes its files, or until `agent resume`.", r.GoodState())
	}
	for _, service := range r.Unready()[:min(3, len(r.Unready()))] {
		add("Find the cause in %s: `docker service logs %s`, `docker service ps --no-trunc %s`.", service.Name, service.Name, service.Name)
	}
	if r.Sync.Deployment != nil && len(r.Sync.Deployment.Nodes) > 1 {
		others := slices.DeleteFunc(slices.Clone(r.Sync.Deployment.Nodes), func(name string) bool { return name == r.Node.Name })
		add("Check the other nodes (%s): the statuses of commit %s in GitLab show their results.", strings.Join(others, ", "), record.Short(r.Sync.Commit))
	}
	add("Fix or revert commit %s with a merge request, and deploy the fix to a lower environment first.", record.Short(r.Sync.Commit))
	return steps
}

// hint gives the hint of the rollback as a step; none if it has no hint.
func (r *rollbackReport) hint() []string {
	switch hint := r.Back.Hint; {
	case hint == "":
		return nil
	case strings.HasPrefix(hint, "docker "):
		return []string{"Run `" + hint + "`."}
	default:
		return []string{sentence(hint)}
	}
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
		add(r.Sync.Approval.At, "Approved by %s", strings.Join(r.Sync.Approval.By, ", "))
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
