package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/deploy"
)

func (r *rollbackReport) impact() {
	r.item("Downtime", r.downtime())
	if touched := r.restarted(); len(touched) > 0 {
		r.item("Services whose tasks were replaced", strings.Join(touched, ", "))
	}
	r.item("Affected users", "not known to the agent")
	r.item("Data", r.data())
}

// downtime tells what is known of it: its bounds. How long a service answered
// nobody is measured by whoever asks it all the time.
func (r *rollbackReport) downtime() string {
	down := r.without()
	what := ""
	if len(down) > 0 {
		what = "; without a ready task when the rollout was given up: " + strings.Join(down, ", ")
	} else if len(r.sync.Services) > 0 && r.back.Auto {
		what = "; each service had a ready task when the rollout was given up"
	}
	begun := r.back.Started
	if r.back.Auto && r.sync.Wrote && !r.sync.Entered["apply"].IsZero() {
		begun = r.sync.Entered["apply"]
	}
	switch {
	case !proven(r.back):
		return "not known: it may go on, since no good state is proven" + what
	case len(r.restarted()) == 0:
		return "none by the agent: no task was replaced"
	}
	took := r.back.Finished.Sub(begun).Round(time.Second)
	return fmt.Sprintf("not measured; at most %s, from the first write to the proven good state%s", took, what)
}

// without lists the services that had no ready task when the rollout failed.
func (r *rollbackReport) without() []string {
	var names []string
	for _, result := range r.services {
		if result.State != deploy.Converged && result.Ready == 0 && result.Want > 0 {
			names = append(names, result.Name)
		}
	}
	return names
}

// restarted lists the services whose tasks the rollout or the way back replaces.
func (r *rollbackReport) restarted() []string {
	var names []string
	for _, plan := range []*deploy.RecordedPlan{r.plan, r.wayBack} {
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
		return "not known to the agent: it reads no migrations here (`deployment.migration_check`)"
	case where.Before == nil || where.After == nil:
		return fmt.Sprintf("the migrations of %s were not read both before and after; %s", where.Table, oneReading(where.Before, where.After))
	case *where.Before == *where.After:
		return fmt.Sprintf("no migration was added to %s: it stands at %d", where.Table, *where.After)
	}
	text := fmt.Sprintf("%s went from migration %d to %d, which no rollback of services takes back", where.Table, *where.Before, *where.After)
	if where.Forced {
		text += "; a person had the services go back all the same"
	}
	return text
}

func (r *rollbackReport) cause() {
	switch before := r.back.After; {
	case r.sync.Error == "" && before != nil:
		r.item(fmt.Sprintf("Sync #%d had failed", before.Sync), string(before.Stage)+": "+before.Error)
		r.gap()
		r.line(fmt.Sprintf("`agent show %d` has what its services left behind.", before.Sync))
		return
	case r.sync.Error == "":
		r.line("No failure is on record: it was asked for.")
		return
	}
	for _, one := range r.sync.All() {
		r.item(string(r.sync.FailedAt()), one.Error)
		r.item("Hint", one.Hint)
	}
	for _, service := range r.unready() {
		r.evidence(service)
	}
	r.gap()
	r.WriteString("These are the symptoms. What brought them about is for a person to find.\n")
}

// unready are the services that were not what they declare when the rollout failed.
func (r *rollbackReport) unready() []deploy.ServiceResult {
	return deploy.Result{Services: r.services}.Waiting()
}

// evidence is what a service left behind that was not ready.
func (r *rollbackReport) evidence(service deploy.ServiceResult) {
	if service.Error == "" && len(service.Health)+len(service.Logs) == 0 {
		return
	}
	r.heading(3, service.Name)
	r.item("Ready", fmt.Sprintf("%d of %d tasks", service.Ready, service.Want))
	r.item("Task error", service.Error)
	if service.ExitCode != 0 {
		r.item("Exit code", fmt.Sprint(service.ExitCode))
	}
	r.item("Node", service.Node)
	for _, output := range []struct {
		title string
		lines []string
	}{{"What its health check said", service.Health}, {"Its last log lines", service.Logs}} {
		if len(output.lines) > 0 {
			r.gap()
			r.WriteString(output.title + ":\n")
			r.code(output.lines)
		}
	}
}

// next lists what is to be done, with the commands for it.
func (r *rollbackReport) next() {
	var steps []string
	add := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }
	switch {
	case r.back.Refused != "":
		add("Nothing was put back, and what failed goes on to run: see to it that it serves, or take it out of use.")
		if r.back.Hint != "" {
			add("%s", sentence(r.back.Hint))
		}
		if r.back.To == 0 {
			break
		}
		if !strings.Contains(r.back.Hint, "--force-migrations") { // which it has where migrations are the reason
			add("When that is mended: `agent rollback --to %d --reason …`.", r.back.To)
			break
		}
		add("To go back across the migrations on your own word: `agent rollback --to %d --force-migrations --reason …`.", r.back.To)
	case r.back.Finished.IsZero():
		add("Wait: the rollback goes on by itself; `agent status --watch` follows it.")
	case !proven(r.back):
		add("The stack is neither the new nor the old one: `agent status` shows each service.")
		if r.back.Hint != "" {
			add("%s", sentence(r.back.Hint))
		}
		add("When the cause is gone: `agent rollback --to %d --reason …`.", r.back.To)
	default:
		add("The node stays at %s until a next commit that concerns it, or `agent resume`.", goodState(r.back))
	}
	for _, service := range r.unready()[:min(3, len(r.unready()))] {
		add("Find the cause in %s: `docker service logs %s`, `docker service ps --no-trunc %s`.", service.Name, service.Name, service.Name)
	}
	if r.sync.Deployment != nil && len(r.sync.Deployment.Nodes) > 1 {
		add("See what commit %s did on the other nodes (%s): its statuses in GitLab say so.", short(r.sync.Commit), strings.Join(others(r.sync.Deployment.Nodes, r.node.Name), ", "))
	}
	add("Mend or revert commit %s by a merge, and see it through a lower environment first.", short(r.sync.Commit))
	r.numbered(steps)
}

func others(nodes []string, own string) []string {
	return slices.DeleteFunc(slices.Clone(nodes), func(name string) bool { return name == own })
}

// oneReading says the one of two readings that there is.
func oneReading(before, after *int64) string {
	switch {
	case before != nil:
		return fmt.Sprintf("before: %d", *before)
	case after != nil:
		return fmt.Sprintf("after: %d", *after)
	}
	return "neither is known"
}
