package rollout

import (
	"context"
	"slices"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/migrations"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// dueJobs are the jobs that Swarm would start again after a rollback.
type dueJobs struct{ b *back }

// stopText says that the rollback stops a job.
func stopText(name string) string {
	return name + " is scaled to 0 before the rollback: it has not succeeded, and Swarm would start it again"
}

// names names the jobs that the rollback stops. A sync that restores what ran stops none, and one
// that has written has done so.
func (d dueJobs) names(ctx context.Context) ([]string, error) {
	b := d.b
	if b.a.note.Wrote || b.a.sync.Trigger == record.OnDrift {
		return nil, nil
	}
	jobs, err := b.a.use.Engine.Jobs(ctx, b.before.Name)
	if err != nil {
		return nil, fault.Transient(err)
	}
	return d.stoppable(jobs), nil
}

// stoppable are the due jobs that this agent made or a user adopted.
func (d dueJobs) stoppable(jobs deploy.Jobs) []string {
	return slices.DeleteFunc(jobs.Due, func(name string) bool { return !slices.Contains(d.b.live, name) })
}

// stop stops the jobs that Swarm would start again, so that no migration of the newer
// release runs under the older one. One that runs is not interrupted: the stage waits a short
// time for its end. Between the look at the database and the stop a job may have migrated it,
// so the database is asked again.
func (d dueJobs) stop(ctx context.Context) error {
	b, a := d.b, d.b.a
	if a.note.Wrote || a.sync.Trigger == record.OnDrift {
		return nil
	}
	jobs, err := migrations.AtWork(ctx, a.use.Engine, b.before.Name, a.show)
	if err != nil {
		return err
	}
	for _, name := range jobs.Lasting {
		a.warn(name + " has not succeeded, and Swarm will start it again: `docker service rm " + name + "` stops it, and a write would run it")
	}
	due := d.stoppable(jobs)
	if len(due) == 0 {
		return nil
	}
	for _, name := range due {
		a.warn(stopText(name))
	}
	if err := a.save(); err != nil {
		return err
	}
	if err := a.use.Engine.StopJobs(ctx, b.before.Name, due, d.note); err != nil {
		return err
	}
	d.leave(due)
	return a.database.guard(ctx, b.to)
}

// leave makes 0 replicas of the stopped jobs part of what the rollback leaves.
func (d dueJobs) leave(names []string) {
	b, left := d.b, d.b.a.sync.Rollback.Left
	b.a.stack, b.all = deploy.Stopped(b.a.stack, names), deploy.Stopped(b.all, names)
	for _, name := range names {
		if _, stays := b.all.Services[name]; stays && !slices.Contains(left, name) {
			left = append(slices.Clone(left), name)
		}
	}
	slices.Sort(left)
	b.a.sync.Rollback.Left = left
}

// note writes the stop of a job to the audit log, before and after it.
func (d dueJobs) note(event deploy.Event) error {
	b := d.b
	entry := b.entry()
	entry.Action, entry.Kind, entry.Name = audit.ScaleDown, audit.Service, event.Step.Name
	entry.Outcome, entry.Detail = audit.Started, stopText(event.Step.Name)
	b.a.show(report.EventText(event))
	b.a.tell(event)
	if event.Done {
		entry.Ended(event.Err)
		b.a.use.Log.Warn("stopped a job before a rollback", "revision", record.Short(b.a.sync.Commit), "stack", b.before.Name, "service", event.Step.Name)
	}
	return fault.Transient(b.a.use.Audit.Append(entry))
}
