package simulation_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy/enginetest"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// The oracle of nodes with several stacks has its own reading of the order, by the list of each
// commit.

// nodeStatus is the name of the node's status on a commit, and the beginning of those of its stacks.
const nodeStatus = "coin-agent/" + owner

// render gives what renders stacks: nil for a node with several, whose files are told apart by
// the stack, too.
func (w *world) render() func(*manifests.Node, *secrets.Set, compose.Options) (*compose.Stack, error) {
	if w.layered {
		return nil
	}
	return w.renders.render
}

// watchLayer demands, at a write to the engine, that it is of one of the node's stacks, that it is
// announced, and that the stack before this one has succeeded with the revision.
func (w *world) watchLayer(p *process, call enginetest.Call) {
	if call.Method == "NetworkRemove" {
		return // by its ID: checkLayers misses what is not the node's
	}
	name, _, _ := strings.Cut(call.Name, "_")
	if !slices.Contains(layerNames, name) {
		w.fail("%s %s, which is not in a stack of the node", call.Method, call.Name)
		return
	}
	sync, announced, _ := p.parts.recorded(record.StackKey(name), call.Name)
	w.mu.Lock()
	err := w.log1.read(w.dir)
	started, logged, asked := w.log1.started[sync], w.log1.removal[call.Kind+" "+call.Name], w.removals[name] >= removalAsked
	w.mu.Unlock()
	switch {
	case err != nil:
		w.fail("audit log: %v", err)
	case call.Method == "ServiceRemove":
		if !asked || logged != "started" {
			w.fail("%s is removed: asked for %v, in the audit log %q", call.Name, asked, logged)
		}
	case !announced || !started:
		w.fail("%s %s, and no record announces it (sync %d, state file %v, audit log %v)", call.Method, call.Name, sync, announced, started)
	default:
		if wrong := w.tooEarly(p, name); wrong != "" {
			w.fail("%s %s: %s", call.Method, call.Name, wrong)
		}
	}
}

// tooEarly says which stack has not succeeded with the revision that another one writes; "" for
// none. What puts an earlier state back waits for no stack.
func (w *world) tooEarly(p *process, name string) string {
	last, err := p.parts.store.Stack(record.StackKey(name)).LastSync()
	if err != nil || last == nil || last.Trigger == record.OnDrift || last.RollingBack() {
		return ""
	}
	wants := w.git.find(last.Commit).wants.layers
	before := wants.before(name)
	if before == "" || w.runs(p, name) == wants.image(name) {
		return ""
	}
	if wants.crashes(before) {
		return fmt.Sprintf("%s cannot succeed with %s", before, last.Commit[:10])
	}
	syncs, err := p.parts.store.Stack(record.StackKey(before)).Syncs(100)
	if err != nil || !slices.ContainsFunc(syncs, func(s record.Sync) bool { return s.Commit == last.Commit && s.State == record.Succeeded }) {
		return fmt.Sprintf("%s has not succeeded with %s, %v", before, last.Commit[:10], err)
	}
	return ""
}

// runs gives the image of a stack's last good state; "" before the first.
func (w *world) runs(p *process, name string) string {
	syncs, err := p.parts.store.Stack(record.StackKey(name)).Syncs(100)
	if err != nil {
		return ""
	}
	for _, one := range syncs {
		commit := one.Commit
		if one.State == record.RolledBack {
			commit = one.Rollback.Commit
		} else if one.State != record.Succeeded {
			continue
		}
		wants := w.git.find(commit).wants.layers
		if !slices.Contains(wants.names(), name) {
			return "" // it was removed
		}
		return wants.image(name)
	}
	return ""
}

// checkLayers says what is wrong with a node with several stacks now that the agent is idle.
func (w *world) checkLayers() {
	if len(w.wrong) > 0 {
		return
	}
	syncs, err := w.layerRecords()
	if err != nil {
		w.fail("cannot read the state file: %v", err)
		return
	}
	state := w.engine.State()
	defer w.noteTasks(state)
	w.checkLayerState(syncs, state)
	w.checkLayerStatuses(syncs)
	w.checkAudit()
	if now := foreignOf(state); now != w.foreign {
		w.fail("objects of another owner changed:\n%s\nwere\n%s", now, w.foreign)
	}
}

// layerRecords reads the syncs of each stack, the newest first.
func (w *world) layerRecords() (map[string][]attempt, error) {
	content, err := w.readStateFile()
	if err != nil {
		return nil, err
	}
	db, err := w.openCopy(content)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	syncs := map[string][]attempt{}
	return syncs, db.View(func(tx *bbolt.Tx) error {
		for _, name := range layerNames {
			of := tx.Bucket([]byte("stacks")).Bucket([]byte(name))
			if of == nil || of.Bucket([]byte("syncs")) == nil {
				continue
			}
			records := of.Bucket([]byte("syncs"))
			cursor := records.Cursor()
			for key, data := cursor.Last(); key != nil; key, data = cursor.Prev() {
				var one attempt
				if err := json.Unmarshal(contentOf(records, key, data), &one); err != nil {
					return err
				}
				syncs[name] = append(syncs[name], one)
			}
		}
		return nil
	})
}

// checkLayerState compares the engine with what the records and the list promise.
func (w *world) checkLayerState(syncs map[string][]attempt, state enginetest.State) {
	wants := w.git.head.wants.layers
	for _, name := range layerNames {
		service, there := state.Services[name+"_app"]
		if !slices.Contains(wants.names(), name) {
			w.mu.Lock()
			approved := w.removals[name] == removalApproved
			w.mu.Unlock()
			if approved && there {
				w.fail("the stack %s is off the list and its removal is approved, and it is still there", name)
			}
			continue
		}
		w.mu.Lock()
		delete(w.removals, name) // it is listed
		w.mu.Unlock()
		if len(syncs[name]) == 0 {
			w.fail("%s was never synced", name)
			continue
		}
		if wrong := layerVerdict(syncs, wants, name); wrong != "" {
			w.fail("%s: %s", name, wrong)
		}
		listed := func(commit string) bool { return slices.Contains(w.git.find(commit).wants.layers.names(), name) }
		if wrong := backTooFar(syncs[name], listed); wrong != "" {
			w.fail("%s: %s", name, wrong)
		}
		desk, err := w.process.parts.agent.Desk(record.StackKey(name))
		if err != nil {
			w.fail("%v", err)
			continue
		}
		last, drifted := syncs[name][0], len(lookAt(desk).drift) > 0
		if last.State != "succeeded" || drifted {
			continue
		}
		if !there {
			w.fail("%s succeeded, and its service is not there", name)
			continue
		}
		container := service.Spec.TaskTemplate.ContainerSpec
		if image, _, _ := strings.Cut(container.Image, "@"); image != wants.image(name) || len(container.Env) > 0 {
			w.fail("%s succeeded, and runs %s %v, want %s", name, image, container.Env, wants.image(name))
		}
	}
}

// layerVerdict says why the outcome of a stack's last sync does not fit the head; "" if it does.
func layerVerdict(syncs map[string][]attempt, wants layers, name string) string {
	last, before := syncs[name][0], wants.before(name)
	switch {
	case last.State == "succeeded" && wants.crashes(name):
		return "a release that crashes succeeded"
	case last.State == "waiting" && (before == "" || syncs[before][0].State == "succeeded"):
		return "waits, and the stack before it succeeded: " + last.Waiting
	case last.State == "failed" && last.Transient:
		return "a transient failure is not tried again: " + last.Error
	}
	return ""
}

// backTooFar says that a stack's last sync returned to what ran before the stack was removed; "" if it
// did not. The record of a removal is of the commit that took the stack off the list.
func backTooFar(syncs []attempt, listed func(commit string) bool) string {
	last := syncs[0]
	if last.State != "rolled_back" {
		return ""
	}
	for _, one := range syncs {
		switch {
		case one.State == "succeeded" && one.Commit == last.Rollback.Commit:
			return ""
		case !listed(one.Commit):
			return "rolled back to what ran before the stack was removed"
		}
	}
	return ""
}

// checkLayerStatuses compares what GitLab has with the records: the status of each stack, and the
// node's, which is a success only once all stacks of the commit have succeeded.
func (w *world) checkLayerStatuses(syncs map[string][]attempt) {
	for hash, made := range w.git.commits {
		told := map[string][]string{} // states by the name of a status
		descriptions := map[string]string{}
		for _, post := range w.gitlab.Statuses(hash).Posts {
			states := told[post.Name]
			if n := len(states); n > 0 && states[n-1] == post.State && descriptions[post.Name] == post.Description {
				w.fail("%s %s: %s was posted twice: %s", hash[:10], post.Name, post.State, post.Description)
			} else if n > 0 && states[n-1] == "running" && post.State == "pending" {
				w.fail("%s %s: pending after running", hash[:10], post.Name)
			} else if n > 0 && post.Name != nodeStatus && post.State == "canceled" && final(states[n-1]) {
				w.fail("%s %s: canceled after %s", hash[:10], post.Name, states[n-1])
			}
			told[post.Name], descriptions[post.Name] = append(states, post.State), post.Description
			if post.Name == nodeStatus && post.State == "success" {
				w.checkSuccess(hash, made.wants.layers, told)
			}
		}
		for _, name := range made.wants.layers.names() { // of another one there is the record of its removal
			last := lastOf(told[nodeStatus+"/"+name])
			stays := last != "" && final(last) // what was told before a sync is superseded
			if want := layerStatus(syncs[name], hash); want != "" && last != want && (want != "canceled" || !stays) {
				w.fail("%s of %s: GitLab shows %v, want %s", name, hash[:10], told[nodeStatus+"/"+name], want)
			}
		}
		if hash == w.git.head.hash {
			w.checkNodeStatus(syncs, made.wants.layers, lastOf(told[nodeStatus]))
		}
	}
}

func lastOf(states []string) string {
	if len(states) == 0 {
		return ""
	}
	return states[len(states)-1]
}

// layerStatus is what GitLab is to show of a stack's last sync with a commit; "" for nothing.
func layerStatus(syncs []attempt, hash string) (status string) {
	var state string
	for _, one := range slices.Backward(syncs) {
		if one.Commit != hash {
			continue
		}
		if one.State == "rolled_back" && one.Trigger == "drift" && one.Rollback.Stage == "" && state != "" {
			continue // the correction of a drift tells GitLab nothing new
		}
		state, status = one.State, shown(one)
	}
	return status
}

// checkSuccess demands that all stacks of a commit have succeeded when the node has.
func (w *world) checkSuccess(hash string, wants layers, told map[string][]string) {
	for _, name := range wants.names() {
		if state := lastOf(told[nodeStatus+"/"+name]); state != "success" {
			w.fail("%s: the node is a success, and %s is %q", hash[:10], name, state)
		}
	}
}

// checkNodeStatus demands that the node's status of the head is that of the worst stack.
func (w *world) checkNodeStatus(syncs map[string][]attempt, wants layers, last string) {
	want, failed := "success", false
	for _, name := range wants.names() {
		switch status := layerStatus(syncs[name], w.git.head.hash); {
		case status == "canceled":
			return // it may have the outcome that was told before
		case status == "failed":
			failed = true
		case status != "success":
			want = "not all"
		}
	}
	if failed {
		want = "failed"
	}
	if want == "not all" && last != "success" {
		return
	}
	if last != want {
		w.fail("the node's status of the head is %q, want %q", last, want)
	}
}
