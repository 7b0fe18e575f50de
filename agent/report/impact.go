package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/deploy"
)

func (r *rollbackReport) impact() {
	r.out.item("Downtime", r.downtime())
	if touched := r.restarted(); len(touched) > 0 {
		r.out.item("Services whose tasks were replaced", strings.Join(touched, ", "))
	}
	r.out.item("Affected users", "not known to the agent")
	r.out.item("Data", r.data())
}

// downtime gives the upper bound of the downtime. The agent does not measure how long a
// service did not answer.
func (r *rollbackReport) downtime() string {
	down := r.down()
	what := ""
	if len(down) > 0 {
		what = "; without a ready task when the rollout failed: " + strings.Join(down, ", ")
	} else if len(r.sync.Services) > 0 && r.back.Auto {
		what = "; each service had a ready task when the rollout failed"
	}
	begun := r.back.Started
	if r.back.Auto && r.sync.Wrote && !r.sync.Entered["apply"].IsZero() {
		begun = r.sync.Entered["apply"]
	}
	switch {
	case !succeeded(r.back):
		return "not known: it may continue, because no good state is verified" + what
	case len(r.restarted()) == 0:
		return "none caused by the agent: no task was replaced"
	}
	took := r.back.Finished.Sub(begun).Round(time.Second)
	return fmt.Sprintf("not measured; at most %s, from the first write to the verified good state%s", took, what)
}

// down lists the services that had no ready task when the rollout failed.
func (r *rollbackReport) down() []string {
	var names []string
	for _, result := range r.read.services {
		if result.State != deploy.Converged && result.Ready == 0 && result.Want > 0 {
			names = append(names, result.Name)
		}
	}
	return names
}

// restarted lists the services whose tasks the rollout or the rollback replaces.
func (r *rollbackReport) restarted() []string {
	var names []string
	for _, plan := range []*deploy.RecordedPlan{r.read.plan, r.read.backPlan} {
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

func (r *rollbackReport) data() string {
	where := r.sync.Migration
	switch {
	case where == nil || where.Before == nil && where.After == nil:
		return "not known: the agent does not read the migrations (`deployment.migration_check`)"
	case where.Before == nil || where.After == nil:
		return fmt.Sprintf("the migrations of %s were not read both before and after; %s", where.Table, oneReading(where.Before, where.After))
	case *where.Before == *where.After:
		return fmt.Sprintf("no migration was added to %s: the last one is %d", where.Table, *where.After)
	}
	text := fmt.Sprintf("%s went from migration %d to %d, and a rollback of services does not revert migrations", where.Table, *where.Before, *where.After)
	if where.Forced {
		text += "; a user forced the rollback"
	}
	return text
}

func (r *rollbackReport) cause() {
	switch before := r.back.After; {
	case r.sync.Error == "" && before != nil:
		r.out.item(fmt.Sprintf("Sync #%d failed", before.Sync), string(before.Stage)+": "+before.Error)
		r.out.gap()
		r.out.line(fmt.Sprintf("`agent show %d` shows the output of its services.", before.Sync))
		return
	case r.sync.Error == "":
		r.out.line("No failure is recorded: a user requested the rollback.")
		return
	}
	for _, one := range r.sync.All() {
		r.out.item(string(r.sync.FailedAt()), one.Error)
		r.out.item("Hint", one.Hint)
	}
	for _, service := range r.unready() {
		r.evidence(service)
	}
	r.out.gap()
	r.out.WriteString("These are the symptoms. An engineer has to find the cause.\n")
}

// unready gives the services that had not converged when the rollout failed.
func (r *rollbackReport) unready() []deploy.ServiceResult {
	return deploy.Result{Services: r.read.services}.Waiting()
}

// evidence shows the errors and output of a service that was not ready.
func (r *rollbackReport) evidence(service deploy.ServiceResult) {
	if service.Error == "" && len(service.Health)+len(service.Logs) == 0 {
		return
	}
	r.out.heading(3, service.Name)
	r.out.item("Ready", fmt.Sprintf("%d of %d tasks", service.Ready, service.Want))
	r.out.item("Task error", service.Error)
	if service.ExitCode != 0 {
		r.out.item("Exit code", fmt.Sprint(service.ExitCode))
	}
	r.out.item("Node", service.Node)
	for _, output := range []struct {
		title string
		lines []string
	}{{"Output of its health check", service.Health}, {"Its last log lines", service.Logs}} {
		if len(output.lines) > 0 {
			r.out.gap()
			r.out.WriteString(output.title + ":\n")
			r.out.code(output.lines)
		}
	}
}

// next lists the next steps, with their commands.
func (r *rollbackReport) next() {
	var steps []string
	add := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }
	switch {
	case r.back.Refused != "":
		add("Nothing was rolled back, and the failed version still runs. Check that it serves its users, or stop it.")
		r.addHint(add)
		if r.back.To == 0 {
			break
		}
		if !strings.Contains(r.back.Hint, "--force-migrations") { // the hint names it if migrations are the reason
			add("Then run `agent rollback --to %d --reason …`.", r.back.To)
			break
		}
		add("To roll back across the migrations on your own responsibility: `agent rollback --to %d --force-migrations --reason …`.", r.back.To)
	case r.back.Finished.IsZero():
		add("Wait until the rollback has finished: `agent status --watch` shows its progress.")
	case !succeeded(r.back):
		add("The stack may be a mix of both versions: `agent status` shows each service.")
		r.addHint(add)
		add("When the cause is fixed: `agent rollback --to %d --reason …`.", r.back.To)
	default:
		add("The node stays at %s until a new commit changes its files, or until `agent resume`.", goodState(r.back))
	}
	for _, service := range r.unready()[:min(3, len(r.unready()))] {
		add("Find the cause in %s: `docker service logs %s`, `docker service ps --no-trunc %s`.", service.Name, service.Name, service.Name)
	}
	if r.sync.Deployment != nil && len(r.sync.Deployment.Nodes) > 1 {
		add("Check the other nodes (%s): the statuses of commit %s in GitLab show their results.", strings.Join(others(r.sync.Deployment.Nodes, r.node.Name), ", "), short(r.sync.Commit))
	}
	add("Fix or revert commit %s with a merge request, and deploy the fix to a lower environment first.", short(r.sync.Commit))
	r.out.numbered(steps)
}

// addHint adds the hint of the rollback, if there is one.
func (r *rollbackReport) addHint(add func(string, ...any)) {
	switch hint := r.back.Hint; {
	case hint == "":
	case strings.HasPrefix(hint, "docker "):
		add("Run `%s`.", hint)
	default:
		add("%s", sentence(hint))
	}
}

func others(nodes []string, own string) []string {
	return slices.DeleteFunc(slices.Clone(nodes), func(name string) bool { return name == own })
}

// oneReading describes the one reading that there is.
func oneReading(before, after *int64) string {
	if before != nil {
		return fmt.Sprintf("before: %d", *before)
	}
	return fmt.Sprintf("after: %d", *after)
}
