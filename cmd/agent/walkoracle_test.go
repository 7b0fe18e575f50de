package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// right is the oracle: it says what is wrong with the node, given what was committed.
// It takes nothing of the agent's own comparison for granted.
func (w *walk) right() error {
	status, err := w.status()
	if err != nil {
		return err
	}
	if err := w.settled(&status); err != nil {
		return err
	}
	code, out, errs := w.cli("history", "-o", "json", "-n", "40")
	if code != exitDone {
		return fmt.Errorf("history: exit %d: %s", code, errs)
	}
	history := decode[[]record.Sync](w.t, out)
	live, err := w.live()
	if err != nil {
		return err
	}
	w.seen = &status
	return errors.Join(w.rightState(&status, history, live), w.rightSecrets(live), w.rightMigrations(live),
		w.rightStatuses(history), w.rightAudit())
}

// settled says what the agent has still to do.
func (w *walk) settled(status *report.Status) error {
	sync := status.Sync
	switch {
	case status.PollError != "":
		return fmt.Errorf("it cannot look: %s", status.PollError)
	case status.Desired == nil || status.Desired.Commit != w.head:
		return fmt.Errorf("it has not seen %s yet", short(w.head))
	case sync == nil || sync.Commit != w.head:
		return fmt.Errorf("it has done nothing about %s yet", short(w.head))
	case sync.Transient:
		return fmt.Errorf("it tries again: %s", sync.Error)
	case status.Progress != "", !sync.State.Final() && sync.State != record.Waiting:
		return fmt.Errorf("it is at %s: %s", sync.Stage, status.Progress)
	case status.GitLab.Undelivered > 0:
		return fmt.Errorf("%d statuses are not delivered: %s", status.GitLab.Undelivered, status.GitLab.LastError)
	}
	if !status.LastLook.Equal(w.lastLook) {
		w.lastLook = status.LastLook
		w.looked++
	}
	if w.looked < w.looks {
		return errors.New("it has not looked since")
	}
	return nil
}

// liveService is a service as it is, with its tasks.
type liveService struct {
	swarm.Service
	tasks []swarm.Task
}

// live reads the stack's services from the engine.
func (a *application) live() (map[string]liveService, error) {
	mine := filters.NewArgs(filters.Arg("label", "com.docker.stack.namespace="+a.stack))
	services, err := a.swarm.API.ServiceList(a.t.Context(), swarm.ServiceListOptions{Filters: mine})
	if err != nil {
		return nil, err
	}
	live := map[string]liveService{}
	for _, service := range services {
		tasks, err := a.swarm.API.TaskList(a.t.Context(), swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", service.ID))})
		if err != nil {
			return nil, err
		}
		live[strings.TrimPrefix(service.Spec.Name, a.stack+"_")] = liveService{service, tasks}
	}
	return live, nil
}

// unlike says in what a live service differs from what a release asks for.
func (a *application) unlike(live map[string]liveService, name string, want walked) []string {
	service, there := live[name]
	if !there {
		return []string{name + " is not there"}
	}
	var all []string
	differ := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			all = append(all, fmt.Sprintf("%s: %s is %v, want %v", name, what, got, want))
		}
	}
	container := service.Spec.TaskTemplate.ContainerSpec
	environment := map[string]string{}
	for _, line := range container.Env {
		key, value, _ := strings.Cut(line, "=")
		environment[key] = value
	}
	var secrets []string
	for _, secret := range container.Secrets {
		secrets = append(secrets, strings.TrimPrefix(secret.SecretName, a.stack+"_"))
	}
	wanted := want.tasks(name)
	if name == "migrate" {
		wanted = 1
	}
	labels := maps.Clone(service.Spec.Labels)
	maps.DeleteFunc(labels, func(key, _ string) bool {
		return strings.HasPrefix(key, "com.docker.stack.") || strings.HasPrefix(key, "coin-agent.")
	})
	wantLabels := map[string]string{}
	if name == "web" {
		wantLabels["team"] = fmt.Sprint(want.label)
	}
	differ("image", container.Image, want.image(name))
	differ("environment", environment, want.environment(name))
	differ("secrets", secrets, want.secretsOf(name))
	differ("labels", labels, wantLabels)
	differ("replicas", *service.Spec.Mode.Replicated.Replicas, wanted)
	return all
}

// notRunning says which tasks a service lacks.
func notRunning(name string, service liveService, want int) []string {
	running, wanted := 0, 0
	for _, task := range service.tasks {
		if task.DesiredState != swarm.TaskStateRunning {
			continue
		}
		wanted++
		if task.Status.State == swarm.TaskStateRunning && slices.Equal(task.Spec.ContainerSpec.Env, service.Spec.TaskTemplate.ContainerSpec.Env) {
			running++
		}
	}
	if running != want || wanted != want {
		return []string{fmt.Sprintf("%s: %d tasks run, %d are to, want %d", name, running, wanted, want)}
	}
	return nil
}

// proven is a state that the history calls good: the release that each service is of.
type proven map[string]walked

func whole(r walked) proven {
	all := proven{}
	for _, name := range walkServices {
		all[name] = r
	}
	return all
}

// goodStates reads from the history what was proven, by sync, and what is now.
func (w *walk) goodStates(history []record.Sync) (now proven) {
	settled := false // what is now is what ran before the sync
	for _, sync := range slices.Backward(history) {
		switch taken := sync.Rollback; {
		case sync.Unchanged, sync.State == record.Superseded && !sync.Wrote:
			continue
		case sync.State == record.Succeeded:
			now = whole(w.releases[sync.Commit])
		case sync.State == record.RolledBack && len(taken.Services) == 0:
			now = w.proven[taken.To]
		case sync.State == record.RolledBack:
			if known, seen := w.proven[sync.ID]; seen {
				now = known
			} else {
				now = w.partly(now, taken, settled && !w.tampered)
			}
		default:
			settled = false
			continue
		}
		w.proven[sync.ID], settled = now, true
	}
	return now
}

// partly is what runs after some services went back. The others are left as they were,
// which nobody knows unless all was well before.
func (w *walk) partly(from proven, taken *record.Rollback, known bool) proven {
	now := proven{}
	for _, name := range walkServices {
		switch release, there := from[name]; {
		case slices.Contains(taken.Services, w.stack+"_"+name):
			if of, there := w.proven[taken.To][name]; there {
				now[name] = of
			}
		case known && there:
			now[name] = release
		}
	}
	return now
}

// rightState compares what runs with what the last sync's state promises.
func (w *walk) rightState(status *report.Status, history []record.Sync, live map[string]liveService) error {
	sync, head, good := status.Sync, w.releases[w.head], w.goodStates(history)
	switch sync.State {
	case record.Succeeded:
		if head.trouble != sound {
			return fmt.Errorf("a release with %s has succeeded", head.trouble)
		}
		return w.equals(status, live, good)
	case record.RolledBack:
		if taken := sync.Rollback; taken != nil && taken.Auto && head.trouble == sound && !w.excused[w.head] {
			return fmt.Errorf("nothing is wrong with the release, and it was rolled back: %s: %s", sync.Stage, sync.Error)
		}
		return w.equals(status, live, good)
	case record.Waiting:
		if sync.Waiting == "" || !w.paused {
			return fmt.Errorf("it waits for %q", sync.Waiting)
		}
		return w.rightWaiting(history, live, good)
	case record.Failed:
		return w.rightFailure(sync, history, good)
	case record.Pending, record.Running, record.Superseded:
	}
	return fmt.Errorf("the last sync is %s", sync.State)
}

// rightWaiting demands that a sync that waits has written nothing: what ran before it
// still runs.
func (w *walk) rightWaiting(history []record.Sync, live map[string]liveService, good proven) error {
	i := slices.IndexFunc(history, func(s record.Sync) bool {
		return s.State.Final() && (s.Wrote || !s.Unchanged && s.State != record.Superseded)
	})
	if w.tampered || i < 0 || history[i].State != record.Succeeded && history[i].State != record.RolledBack {
		return nil
	}
	var all []string
	for _, name := range walkServices {
		if release, known := good[name]; known && (name != "migrate" || history[i].State == record.Succeeded) {
			all = append(all, w.unlike(live, name, release)...)
		}
	}
	if len(all) > 0 {
		return fmt.Errorf("while it waits: %s", strings.Join(all, "; "))
	}
	return nil
}

// equals compares the stack with what was proven. What differs has to be the very
// drift that the status shows, where drift is only reported.
func (w *walk) equals(status *report.Status, live map[string]liveService, want proven) error {
	if want == nil {
		return errors.New("the history has no good state")
	}
	var all []string
	drifted, maybe := map[string]bool{}, map[string]bool{}
	for _, name := range walkServices {
		release, known := want[name]
		if !known || status.Sync.State == record.RolledBack && name == "migrate" {
			maybe[w.stack+"_"+name] = true
			continue // a job has the spec that it was run with last
		}
		unlike := w.unlike(live, name, release)
		switch {
		case len(unlike) > 0 && release.correct && !w.paused:
			all = append(all, unlike...)
		case len(unlike) > 0:
			drifted[w.stack+"_"+name] = true
		case name != "migrate":
			all = append(all, notRunning(name, live[name], release.tasks(name))...)
		}
	}
	for name := range live {
		if !slices.Contains(walkServices, name) {
			all = append(all, "nobody asked for "+name)
		}
	}
	shown := map[string]bool{}
	for _, step := range status.Drift {
		if !maybe[step.Name] {
			shown[step.Name] = true
		}
	}
	if len(all) == 0 && !maps.Equal(drifted, shown) {
		all = append(all, fmt.Sprintf("drifted: %v, shown: %v", slices.Sorted(maps.Keys(drifted)), slices.Sorted(maps.Keys(shown))))
	}
	if len(all) > 0 {
		return errors.New(strings.Join(all, "; "))
	}
	w.tampered = len(status.Drift) > 0
	return nil
}

// rightFailure says whether a failed sync may be one, and whether it says why.
func (w *walk) rightFailure(sync *record.Sync, history []record.Sync, good proven) error {
	head := w.releases[w.head]
	automatic := head.automatic
	for _, release := range good {
		if head.trouble == badSettings { // what cannot be read cannot say
			automatic = automatic && release.automatic
		}
	}
	last := sync
	for i := range history {
		if last = &history[i]; !last.Unchanged {
			break
		}
	}
	switch {
	case sync.Error == "":
		return errors.New("it failed and does not say why")
	case head.trouble == sound && !w.excused[w.head]:
		return fmt.Errorf("nothing is wrong with the release, and it failed: %s: %s", sync.Stage, sync.Error)
	case automatic && good != nil && (last.Wrote || last.DirtySince != 0) && !w.excused[w.head]:
		return fmt.Errorf("it was not rolled back: %s: %s; %+v", sync.Stage, sync.Error, last.Rollback)
	}
	return nil
}

// rightSecrets demands that the cron service runs or is to, and that each secret that
// a service has is there.
func (w *walk) rightSecrets(live map[string]liveService) error {
	secrets, err := w.swarm.API.SecretList(w.t.Context(), swarm.SecretListOptions{})
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, secret := range secrets {
		there[secret.ID] = true
	}
	for name, service := range live {
		for _, secret := range service.Spec.TaskTemplate.ContainerSpec.Secrets {
			if !there[secret.SecretID] {
				err = errors.Join(err, fmt.Errorf("%s has the secret %s, which is gone", name, secret.SecretName))
			}
		}
	}
	if cron, there := live["cron_service"]; there && *cron.Spec.Mode.Replicated.Replicas == 0 {
		err = errors.Join(err, errors.New("the cron service is left at 0"))
	}
	return err
}

// rightMigrations demands that no migration has been done twice. Where the engine was
// restarted Swarm itself runs a one-shot service again: those tasks do not count.
func (w *walk) rightMigrations(live map[string]liveService) error {
	for _, task := range live["migrate"].tasks {
		if w.restarted {
			w.uncounted[task.ID] = true
		}
		if task.Status.State != swarm.TaskStateComplete || w.uncounted[task.ID] {
			continue
		}
		of := strings.Join(task.Spec.ContainerSpec.Env, " ")
		if before, done := w.migrations[of]; done && before != task.ID {
			return fmt.Errorf("the migration %q was done again", of)
		}
		w.migrations[of] = task.ID
	}
	return nil
}

var toldAs = map[record.State]string{
	record.Succeeded: "success", record.Failed: "failed", record.RolledBack: "failed", record.Superseded: "canceled", record.Waiting: "pending",
}

// rightStatuses demands of GitLab one entry for each commit, with the last outcome.
func (w *walk) rightStatuses(history []record.Sync) error {
	seen := map[string]bool{}
	var all error
	for _, sync := range history {
		if seen[sync.Commit] {
			continue
		}
		seen[sync.Commit] = true
		var last []string
		for _, entry := range w.gitlab.Statuses(sync.Commit).Entries {
			if !entry.Retried {
				last = append(last, entry.Name+" "+entry.Status)
			}
		}
		if want := "coin-agent/sandbox/node3 " + toldAs[sync.State]; len(last) != 1 || last[0] != want {
			all = errors.Join(all, fmt.Errorf("GitLab has %q of %s, which is %s (#%d)", last, short(sync.Commit), sync.State, sync.ID))
		}
	}
	return all
}

// rightAudit demands that the audit log is whole.
func (w *walk) rightAudit() error {
	if code, out, errs := w.cli("audit", "verify"); code != exitDone {
		return fmt.Errorf("audit verify: exit %d: %s%s", code, out, errs)
	}
	return nil
}
