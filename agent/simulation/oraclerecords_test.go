package simulation_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy/enginetest"
)

// entry is an entry of the audit log, as far as the oracle reads it.
type entry struct {
	Seq     uint64 `json:"seq"`
	Action  string `json:"action"`
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Sync    uint64 `json:"sync"`
	Outcome string `json:"outcome"`
	Prev    string `json:"prev"`
	Hash    string `json:"hash"`
}

// auditLog is the oracle's own reading of the audit log, as far as it has come.
type auditLog struct {
	offset  int64
	seq     uint64
	hash    string
	hashes  map[uint64]string // of all entries
	key     []byte            // of the state file
	started map[uint64]bool   // syncs whose start is in the log
	removal map[string]string // the last outcome of each removal, by kind and name
	stop    map[string]string // the last outcome of each scale-down, by service
}

// read reads what was added to the log, and checks the chain. A torn last line is left.
func (l *auditLog) read(dir string) error {
	file, err := os.Open(filepath.Join(dir, "audit.log"))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || info.Size() <= l.offset {
		return err
	}
	content := make([]byte, info.Size()-l.offset)
	if _, err := file.ReadAt(content, l.offset); err != nil {
		return err
	}
	for {
		end := bytes.IndexByte(content, '\n')
		if end < 0 {
			return nil
		}
		if err := l.take(content[:end]); err != nil {
			return err
		}
		l.offset += int64(end) + 1
		content = content[end+1:]
	}
}

// take checks one line: its own hash, and that it follows the one before.
func (l *auditLog) take(line []byte) error {
	var one entry
	if err := json.Unmarshal(line, &one); err != nil {
		return fmt.Errorf("entry after %d: %w", l.seq, err)
	}
	bare, rest, found := strings.Cut(string(line), `,"hash":"`)
	sum, mac := sha256.Sum256([]byte(bare+"}\n")), hmac.New(sha256.New, l.key)
	mac.Write([]byte(bare + "}\n"))
	if !found || hex.EncodeToString(sum[:]) != one.Hash || rest != one.Hash+`","seal":"`+hex.EncodeToString(mac.Sum(nil))+`"}` {
		return fmt.Errorf("entry %d: its hash or its seal is not that of its line", one.Seq)
	}
	if one.Seq != l.seq+1 || one.Prev != l.hash {
		return fmt.Errorf("entry %d does not follow entry %d", one.Seq, l.seq)
	}
	if one.Kind == "log" && (one.Action == "gap" || one.Action == "unanchored") {
		return fmt.Errorf("entry %d: the log says %s", one.Seq, one.Action)
	}
	l.seq, l.hash = one.Seq, one.Hash
	if l.started == nil {
		l.started, l.removal, l.stop, l.hashes = map[uint64]bool{}, map[string]string{}, map[string]string{}, map[uint64]string{}
	}
	l.hashes[one.Seq] = one.Hash
	if one.Outcome == "started" && one.Kind == "stack" {
		l.started[one.Sync] = true
	}
	switch one.Action {
	case "remove":
		l.removal[one.Kind+" "+one.Name] = one.Outcome
	case "scale-down":
		l.stop[one.Name] = one.Outcome
	}
	return nil
}

// checkAudit checks the chain, and looks for plaintext.
func (w *world) checkAudit() {
	if err := w.log1.read(w.dir); err != nil {
		w.fail("audit log: %v", err)
	}
	w.checkAnchors()
	content, err := os.ReadFile(filepath.Join(w.dir, "audit.log"))
	if err != nil || bytes.Contains(content, []byte(canary)) {
		w.fail("plaintext of a secret in the audit log, %v", err)
	}
}

// checkAnchors demands that GitLab has the head of the log, each anchor once, and each as
// the log has it.
func (w *world) checkAnchors() {
	var last, after uint64
	var hash string
	for _, note := range w.gitlab.Notes(auditIssue) {
		text, more := note.Body, ""
		if at := strings.Index(text, ", after "); at > 0 {
			text, more = text[:at], text[at:]
		}
		before := last
		_, err := fmt.Sscanf(strings.ReplaceAll(text, "`", ""), "Audit log of sandbox/node3: entry %d, hash %s", &last, &hash)
		if err == nil && more != "" {
			_, err = fmt.Sscanf(more, ", after the anchor of entry %d", &after)
		}
		switch {
		case err != nil:
			w.fail("GitLab has the note %q, which is not an anchor: %v", note.Body, err)
		case last <= before || after != before:
			w.fail("GitLab has an anchor of entry %d after the one of entry %d: %q", last, before, note.Body)
		case w.log1.hashes[last] != hash:
			w.fail("GitLab has another hash of entry %d than the log: %q", last, note.Body)
		}
	}
	if last != w.log1.seq {
		w.fail("GitLab has the log up to entry %d, and it has %d", last, w.log1.seq)
	}
}

// watchWrite demands, at a write to the engine, that state file and audit log announce it.
func (w *world) watchWrite(p *process, call enginetest.Call) {
	if w.layered {
		w.watchLayer(p, call)
		return
	}
	sync, announced, scaledDown := p.parts.recorded(record.OnlyStack, call.Name)
	w.mu.Lock()
	err := w.log1.read(w.dir)
	started, removal, stop := w.log1.started[sync], w.log1.removal[call.Kind+" "+call.Name], w.log1.stop[call.Name]
	w.mu.Unlock()
	if err != nil {
		w.fail("audit log: %v", err)
	}
	collected := (call.Kind == "secret" || call.Kind == "config") && removal == "started"
	if call.Method == "SecretUpdate" {
		return // it compares the content and changes nothing (deploy.Engine.Mismatched)
	}
	if call.Method == "ServiceUpdate" && scaledDown {
		return // a cron service is scaled up again; the audit log has its entry afterwards
	}
	if call.Method == "ServiceUpdate" && call.Name == oneShot && stop == "started" {
		return // a rollback stops a job of the newer release before it begins, with an entry of its own
	}
	if !collected && (!announced || !started) {
		w.fail("%s %s, and no record announces it (sync %d, state file %v, audit log %v)", call.Method, call.Name, sync, announced, started)
	}
}

// watchUpdate demands that an update of a service changes it: any other one takes the spec before it from
// Swarm, and runs a job again.
func (w *world) watchUpdate(before, after *swarm.ServiceSpec) {
	if bare(before) == bare(after) {
		w.fail("%s is written, and nothing of it differs", after.Name)
	}
}

// bare gives a spec as text, without the labels that say who wrote it.
func bare(spec *swarm.ServiceSpec) string {
	own := *spec
	own.Labels = maps.Clone(spec.Labels)
	maps.DeleteFunc(own.Labels, func(name, _ string) bool { return strings.HasPrefix(name, "coin-agent.") && name != "coin-agent.owner" })
	text, err := json.Marshal(own)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// statusOf is what GitLab shows for the state of a sync.
func statusOf(state string) string {
	return map[string]string{
		"pending": "pending", "waiting": "pending", "running": "running", "succeeded": "success",
		"failed": "failed", "rolled_back": "failed", "superseded": "canceled",
	}[state]
}

// shown is what GitLab shows of a sync.
func shown(one attempt) string {
	if one.State == "succeeded" && one.Degraded != "" {
		return "failed" // its services did not stay healthy
	}
	return statusOf(one.State)
}

func final(status string) bool { return status != "pending" && status != "running" }

// checkStatuses compares what GitLab has with the records.
func (w *world) checkStatuses(syncs []attempt) {
	last, attempts := map[string]attempt{}, map[string]int{}
	for _, one := range slices.Backward(syncs) {
		if before, more := last[one.Commit]; more && one.State == "rolled_back" && one.Trigger == "drift" && one.Rollback.Stage == "" {
			one.State = before.State // the correction of a drift tells GitLab nothing new
		}
		last[one.Commit] = one
		attempts[one.Commit] += 1 + one.Retries
	}
	for hash := range w.git.commits {
		posts := w.gitlab.Statuses(hash).Posts
		var states []string
		finals := 0
		for i, post := range posts {
			states = append(states, post.State)
			if final(post.State) {
				finals++
			}
			if i > 0 && post.State == posts[i-1].State && post.Description == posts[i-1].Description {
				w.fail("%s: %s was posted twice: %s", hash[:10], post.State, post.Description)
			}
			if i > 0 && post.State == "pending" && posts[i-1].State == "running" {
				w.fail("%s: pending after running", hash[:10])
			}
			if i > 0 && post.State == "canceled" && final(posts[i-1].State) {
				w.fail("%s: canceled after %s", hash[:10], posts[i-1].State)
			}
		}
		one, synced := last[hash]
		switch {
		case !synced && len(posts) > 0 && states[len(states)-1] != "failed" && !w.sharesOutcome(hash, last):
			w.fail("%s was never synced, and GitLab shows %v", hash[:10], states)
		case synced && one.State == "superseded" && len(states) > 0 && final(lastOf(states)): // an outcome that was told before it stays
		case synced && lastOf(states) != shown(one) && !w.refused:
			w.fail("%s is %s, and GitLab shows %v", hash[:10], one.State, states)
		}
	}
}

// sharesOutcome reports whether a commit changes nothing that the node reads, compared with its
// parent or with the last commit before it that was synced. Its status is queued before its record
// is written: a kill in between leaves the status alone, which is true, and the next commit takes the
// place of the record.
func (w *world) sharesOutcome(hash string, synced map[string]attempt) bool {
	made := w.git.commits[hash]
	for before := made.parent; before != nil; before = before.parent {
		_, is := synced[before.hash]
		if wants := made.wants; is || before == made.parent {
			wants.about, wants.readme = before.wants.about, before.wants.readme
			if wants == before.wants {
				return true
			}
		}
		if is {
			return false
		}
	}
	return false
}

// checkPlaintext looks for the secret's content wherever it must not be.
func (w *world) checkPlaintext(state enginetest.State) {
	requests := w.gitlab.Requests()
	for _, request := range requests[w.scannedBody:] {
		if strings.Contains(request.Body+request.Path, canary) {
			w.fail("plaintext of a secret in a request to GitLab")
		}
	}
	w.scannedBody = len(requests)
	for name, service := range state.Services {
		text, err := json.Marshal(service.Spec)
		if err != nil || bytes.Contains(text, []byte(canary)) {
			w.fail("plaintext of a secret in the spec of %s, %v", name, err)
		}
	}
	w.mu.Lock()
	found := bytes.Contains(w.trace.Bytes(), []byte(canary))
	w.mu.Unlock()
	if found {
		w.fail("plaintext of a secret in the log")
	}
}

// checkPace demands that the agent has not asked the remote more often than it should, also while all fails:
// a look and a rollout that waits ask once an interval each, and a restart, a request and the news of a
// release ask at once.
func (w *world) checkPace() {
	const atOnce = 60
	w.git.set(func(g *git) {
		now := time.Now()
		if most := atOnce + int(3*now.Sub(w.paced)/interval); g.asked > most && !w.paced.IsZero() {
			w.fail("the remote was asked %d times in %s", g.asked, now.Sub(w.paced))
		}
		g.asked, w.paced = 0, now
	})
}

// openCopy opens a copy of the state file, which the agent holds, written over the last copy.
func (w *world) openCopy(content []byte) (*bbolt.DB, error) {
	copied := filepath.Join(w.dir, "copy.db")
	file, err := os.OpenFile(copied, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.Write(content)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return nil, err
	}
	return bbolt.Open(copied, 0o600, &bbolt.Options{ReadOnly: true})
}
