package simulation_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/deploy/enginetest"
)

// attempt is a record of the state file, as far as the oracle reads it.
type attempt struct {
	ID        uint64 `json:"id"`
	Commit    string `json:"commit"`
	State     string `json:"state"`
	Stage     string `json:"stage"`
	Error     string `json:"error"`
	Waiting   string `json:"waiting"`
	Trigger   string `json:"trigger"`
	Transient bool   `json:"retry"`
	Wrote     bool   `json:"touched"`
	Unchanged bool   `json:"unchanged"`
	Upon      uint64 `json:"upon"`
	Degraded  string `json:"degraded"`
	Retries   int    `json:"retries"`

	Started  time.Time            `json:"started"`
	Entered  map[string]time.Time `json:"entered"`
	Approval *struct{}            `json:"approval"`
	Corrects []correction         `json:"corrects"`
	Plan     struct {
		Steps []struct{} `json:"steps"`
	} `json:"plan"`
	Rollback *struct {
		Commit   string    `json:"commit"`
		Wrote    bool      `json:"touched"`
		Stage    string    `json:"stage"` // of the failure in the same sync
		Finished time.Time `json:"finished"`
		Refused  string    `json:"refused"`
		Error    string    `json:"error"`
		Auto     bool      `json:"auto"`
	} `json:"rollback"`
}

// check is the oracle: it says what is wrong with the world now that the agent is idle.
func (w *world) check() {
	if len(w.wrong) > 0 {
		return
	}
	syncs, err := w.records()
	if err != nil {
		w.fail("cannot read the state file: %v", err)
		return
	}
	w.checkRequests(syncs)
	w.checkPace()
	if len(w.wrong) > 0 {
		return
	}
	state := w.engine.State()
	defer w.noteTasks(state)
	w.checkState(syncs, state)
	w.checkGates(syncs)
	w.checkContests(syncs, w.process.parts.look().contested)
	w.checkStatuses(syncs)
	w.checkAudit()
	w.checkPlaintext(state)
	if now := foreignOf(state); now != w.foreign {
		w.fail("objects of another owner changed:\n%s\nwere\n%s", now, w.foreign)
	}
}

// noteTasks adds the tasks to the trace of a world that is not as it is to be.
func (w *world) noteTasks(state enginetest.State) {
	if len(w.wrong) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(state.Tasks)) {
		for _, task := range state.Tasks[name] {
			w.note("task of %s: %s, to be %s, image %s: %s", name, task.Status.State, task.DesiredState, task.Spec.ContainerSpec.Image, task.Status.Err)
		}
	}
}

// records reads the syncs of the state file, the newest first.
func (w *world) records() (syncs []attempt, err error) {
	content, err := w.readStateFile()
	if err != nil {
		return nil, err
	}
	if bytes.Equal(content, w.checked) {
		return w.syncs, nil
	}
	if bytes.Contains(content, []byte(canary)) {
		w.fail("plaintext of a secret in the state file")
	}
	defer func() { w.syncs, w.checked = syncs, append(w.checked[:0], content...) }()
	db, err := w.openCopy(content)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	return syncs, db.View(func(tx *bbolt.Tx) error {
		records := tx.Bucket([]byte("stacks")).Bucket([]byte("default")).Bucket([]byte("syncs"))
		cursor := records.Cursor()
		for key, data := cursor.Last(); key != nil; key, data = cursor.Prev() {
			data = contentOf(records, key, data)
			one, known := w.decoded[string(data)]
			if !known {
				if err := json.Unmarshal(data, &one); err != nil {
					return err
				}
				w.decoded[string(data)] = one
			}
			syncs = append(syncs, one)
		}
		return nil
	})
}

// contentOf gives the record at which a cursor is: a large one is in a bucket of its own.
func contentOf(of *bbolt.Bucket, key, data []byte) []byte {
	if data == nil {
		return of.Bucket(key).Get([]byte("content"))
	}
	return data
}

// readStateFile reads the state file into the memory that it was read into before.
func (w *world) readStateFile() ([]byte, error) {
	file, err := os.Open(filepath.Join(w.dir, "state.db"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	w.stateFile.Reset()
	_, err = w.stateFile.ReadFrom(file)
	return w.stateFile.Bytes(), err
}

// goal gives the commit whose release is to run after the syncs, "" for none. Back says
// that a rollback led there, which runs no one-shot service again; mixed that the node may
// be between two releases.
func goal(syncs []attempt) (commit string, back, mixed bool) {
	for i, one := range syncs {
		switch {
		case one.State == "succeeded":
			return one.Commit, false, false
		case one.State == "rolled_back":
			return one.Rollback.Commit, true, false
		case i == 0 && (one.Wrote || one.Upon != 0 || one.Rollback != nil && one.Rollback.Error != ""):
			return "", false, true
		}
	}
	return "", false, false
}

// applied gives a commit's release with the config.yml that is in force when it runs: a commit
// that changes nothing but config.yml has its good state, and a rollback to it keeps that.
func (w *world) applied(syncs []attempt, commit string) release {
	var deployed string
	inForce, made := map[string]release{}, map[string]string{} // by the commit that made a good state; that commit
	for _, one := range slices.Backward(syncs) {
		switch one.State {
		case "rolled_back":
			deployed = made[one.Rollback.Commit]
		case "succeeded":
			now := w.git.commits[one.Commit].wants
			if before, known := inForce[deployed]; !known || !before.same(now) {
				deployed = one.Commit
			}
			inForce[deployed], made[one.Commit] = now, deployed
		}
	}
	return inForce[made[commit]]
}

// checkState compares the engine with what the records promise.
func (w *world) checkState(syncs []attempt, state enginetest.State) {
	if len(syncs) == 0 {
		w.fail("no sync is recorded")
		return
	}
	last, now := syncs[0], w.process.parts.look()
	if !w.refused && last.Commit != w.git.head.hash {
		w.fail("the last sync is of %s, the branch is at %s", last.Commit, w.git.head.hash)
	}
	if wrong := verdict(&last, w.git.commits[last.Commit].wants, w.meddled, w.refused); wrong != "" {
		w.fail("%s", wrong)
	}
	if wrong := unproven(&last, w.git.commits[last.Commit].wants, now, w.meddled); wrong != "" {
		w.fail("%s", wrong)
	}
	commit, back, mixed := goal(syncs)
	if mixed {
		w.checkMixture(state)
		return
	}
	applied, wants := w.applied(syncs, commit), map[string]wanted{}
	if commit != "" {
		wants = applied.services()
	}
	differ := w.differences(state, wants)
	if back {
		delete(differ, oneShot)
	}
	if last.State == "waiting" || w.refused {
		// The agent asks the gates, or refuses the branch, and does not look for drift.
		if len(differ) > 0 && !w.meddled {
			w.fail("%s, nothing was written, and the engine differs from %s: %v", last.State, commit, differ)
		}
		return
	}
	drift := slices.DeleteFunc(slices.Clone(now.drift), func(name string) bool { return name == intruder })
	slices.Sort(drift)
	if names := slices.Sorted(maps.Keys(differ)); !slices.Equal(names, slices.Compact(drift)) {
		w.fail("%s, and the engine differs from %s: %v; the status says that %v drifted", last.State, commit, differ, drift)
	}
	if len(differ) == 0 {
		w.meddled = false
		if applied.trouble != sours {
			w.checkTasks(state, wants)
		}
		return
	}
	maps.DeleteFunc(differ, func(name, _ string) bool { return slices.Contains(now.contested, name) || justOver(syncs, name) })
	if len(differ) > 0 && applied.correct && time.Since(applied.frozen) > 2*interval && !now.paused && !w.intruder {
		w.fail("a drift is not corrected: %v", differ)
	}
}

// verdict says why the outcome of the last sync does not fit its release; "" if it does.
// Meddled says that a user changed the engine, refused that the agent does not follow the
// branch: then it does not try again what the engine made fail.
func verdict(last *attempt, wants release, meddled, refused bool) string {
	const idle = "has no running task" // a user scaled it to none, and this release, or the one before, ignores that
	excused := meddled || wants.ignores && strings.Contains(last.Error, idle) || strings.Contains(last.Error, intruder) || last.Trigger == "rollback" || refused && last.Transient
	switch {
	case last.State == "succeeded" && (wants.trouble == sours || meddled):
		return "" // see unproven
	case last.State == "succeeded" && wants.trouble != sound:
		return fmt.Sprintf("a release that is %s succeeded", wants.trouble)
	case last.State == "failed" && last.Error == "":
		return "a sync failed without a reason"
	case last.State == "failed" && last.Transient && !refused:
		return fmt.Sprintf("a transient failure is not tried again: %s: %s", last.Stage, last.Error)
	case last.State == "failed" && wants.trouble == sound && !excused:
		return fmt.Sprintf("a sound release failed: %s: %s", last.Stage, last.Error)
	case last.State == "failed" && last.Wrote && !last.Transient && wants.automatic && last.Rollback == nil:
		return "a release that failed after its first write is not rolled back"
	case last.State == "failed" && last.Rollback != nil && last.Rollback.Error != "" && !excused && !strings.Contains(last.Rollback.Error, idle):
		return "a rollback failed: " + last.Rollback.Error
	case last.State == "waiting" && last.Waiting == "":
		return "a sync waits for nothing"
	}
	return ""
}

// unproven says what is wrong with a bad release that succeeded: one that did not stay healthy, after
// its soak time, or one whose services a user changed while the agent waited for them; "" for nothing.
func unproven(last *attempt, wants release, now seen, meddled bool) string {
	switch {
	case last.State != "succeeded" || wants.trouble == sound:
	case wants.trouble != sours && now.unfit == "":
		return fmt.Sprintf("a rollback can return to a release that is %s", wants.trouble)
	case wants.trouble != sours || meddled:
	case last.Degraded == "":
		return "a release that does not stay healthy is not degraded"
	case now.unfit == "":
		return "a rollback can return to a release that did not stay healthy"
	case wants.automatic && !now.paused && last.Rollback == nil:
		return "a release that did not stay healthy is not rolled back"
	}
	return ""
}

// differences says by service in what the engine differs from a release.
func (w *world) differences(state enginetest.State, wants map[string]wanted) map[string]string {
	differ := map[string]string{}
	for name, service := range state.Services {
		if service.Spec.Labels["com.docker.stack.namespace"] == stack && service.Spec.Labels["coin-agent.owner"] == owner {
			if _, known := wants[name]; !known {
				differ[name] = "is not wanted"
			}
		}
	}
	for name, want := range wants {
		live, there := state.Services[name]
		if !there {
			differ[name] = "is not there"
			continue
		}
		if text := w.difference(&live.Spec, want); text != "" {
			differ[name] = text
		}
	}
	return differ
}

// difference says in what a service differs from what is wanted; "" for nothing.
func (w *world) difference(spec *swarm.ServiceSpec, want wanted) string {
	container := spec.TaskTemplate.ContainerSpec
	image, digest, _ := strings.Cut(container.Image, "@")
	var secrets []string
	for _, one := range container.Secrets {
		secrets = append(secrets, one.SecretName)
	}
	switch {
	case image != want.image || digest != "" && digest != w.engine.Digest(want.image):
		return fmt.Sprintf("image %s, want %s", container.Image, want.image)
	case !slices.Equal(container.Env, want.env):
		return fmt.Sprintf("environment %v, want %v", container.Env, want.env)
	case *spec.Mode.Replicated.Replicas != want.replicas && !want.scales:
		return fmt.Sprintf("%d replicas, want %d", *spec.Mode.Replicated.Replicas, want.replicas)
	case !slices.Equal(secrets, want.secrets):
		return fmt.Sprintf("secrets %v, want %v", secrets, want.secrets)
	case spec.Labels["coin-agent.owner"] != owner:
		return "owner " + spec.Labels["coin-agent.owner"]
	}
	return ""
}

// checkMixture demands that each service is as some commit wants it, unless a user has
// changed the engine.
func (w *world) checkMixture(state enginetest.State) {
	if w.meddled {
		return
	}
	for name, service := range state.Services {
		if service.Spec.Labels["com.docker.stack.namespace"] != stack || service.Spec.Labels["coin-agent.owner"] != owner {
			continue
		}
		known := false
		for _, one := range w.git.commits {
			want, has := one.wants.services()[name]
			if name == oneShot && *service.Spec.Mode.Replicated.Replicas == 0 {
				want.replicas = 0 // an earlier rollback has stopped it
			}
			known = known || has && w.difference(&service.Spec, want) == ""
		}
		if !known {
			w.fail("%s is as no commit wants it: %s, %d replicas", name, service.Spec.TaskTemplate.ContainerSpec.Image, *service.Spec.Mode.Replicated.Replicas)
		}
	}
}

// checkTasks demands that each service has the tasks that it declares.
func (w *world) checkTasks(state enginetest.State, wants map[string]wanted) {
	for name, want := range wants {
		if name == oneShot {
			continue // its task has ended
		}
		running := uint64(0)
		for _, task := range state.Tasks[name] {
			if task.Status.State == swarm.TaskStateRunning && task.DesiredState == swarm.TaskStateRunning &&
				task.Spec.ContainerSpec.Image == state.Services[name].Spec.TaskTemplate.ContainerSpec.Image {
				running++
			}
		}
		count := want.replicas
		if want.scales {
			count = *state.Services[name].Spec.Mode.Replicated.Replicas
		}
		if running != count {
			w.fail("%d tasks of %s run, want %d", running, name, count)
		}
	}
}

// foreignNow gives the objects of other owners as text, and those in the stack that no agent
// made: no user of this world adopts them.
func (w *world) foreignNow() string { return foreignOf(w.engine.State()) }

func foreignOf(state enginetest.State) string {
	state = state.Only(func(labels map[string]string) bool {
		by := labels["coin-agent.owner"]
		return by == "sandbox/node9" || by == "" && labels["com.docker.stack.namespace"] == stack
	})
	var all []string
	for name, one := range state.Services {
		text, _ := json.Marshal(one.Spec)
		all = append(all, name+" "+string(text))
	}
	all = slices.Concat(all, slices.Collect(maps.Keys(state.Networks)), slices.Collect(maps.Keys(state.Secrets)))
	slices.Sort(all)
	return strings.Join(all, "\n")
}
