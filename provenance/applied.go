package provenance

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// maxLater bounds how many later commits of the branch are asked about for one
// entry: commits that came together are rolled out as the last of them.
const maxLater = 50

// AddHistory enters when a node applied each version, from the agent's own history.
func (r *Report) AddHistory(node string, syncs []record.Sync) {
	for _, sync := range syncs {
		if sync.State != record.Succeeded {
			continue
		}
		created := createdBy(sync)
		at := r.graph.byHash[plumbing.NewHash(sync.Commit)]
		r.each(node, func(secret *Secret, entry *Entry) {
			there := at != nil && r.tracks[node].reading(at, secret.Name).same(entry.reading)
			if entry.Change == Again && sync.Finished.Before(entry.Commit.Committed) {
				return // that was the time before
			}
			earlier := entry.Applied == nil || sync.Finished.Before(entry.Applied.At)
			if (there || entry.Object != "" && created[entry.Object]) && earlier {
				entry.Applied = &Applied{At: sync.Finished, Commit: sync.Commit, Source: "agent"}
			}
		})
	}
}

// createdBy lists the secrets that a sync created.
func createdBy(sync record.Sync) map[string]bool {
	var plan deploy.RecordedPlan
	created := map[string]bool{}
	if json.Unmarshal(sync.Plan, &plan) != nil {
		return created // a sync that wrote nothing has none
	}
	for _, step := range plan.Steps {
		if step.Kind == deploy.Secret && step.Action == deploy.Create {
			created[step.Name] = true
		}
	}
	return created
}

// AddCreated enters when the node's engine created each secret, by its name there.
func (r *Report) AddCreated(node string, created map[string]time.Time) {
	r.each(node, func(_ *Secret, entry *Entry) {
		if entry.Object != "" {
			entry.Created = created[entry.Object]
		}
	})
}

// each visits the entries of a node that say of a version.
func (r *Report) each(node string, visit func(*Secret, *Entry)) {
	for _, secret := range r.Secrets {
		for _, entry := range secret.Entries {
			if secret.Node == node && entry.reading != nil && entry.Change != Earlier {
				visit(secret, entry)
			}
		}
	}
}

// statusReader is the part of GitLab's client that is used here.
type statusReader interface {
	Statuses(ctx context.Context, commit string) ([]gitlab.CommitStatus, error)
}

// AddStatuses enters when nodes applied what is not known yet, from the statuses
// that their agents gave to the entry's commit on the branch, or to the first later
// one of the same version. tagged, unless nil, tells the commits that nodes follow.
func (r *Report) AddStatuses(ctx context.Context, reader statusReader, tagged map[string]bool) error {
	asker := &asker{reader: reader, known: map[string][]gitlab.CommitStatus{}}
	for _, node := range slices.Sorted(maps.Keys(r.tracks)) {
		track := r.tracks[node]
		r.each(node, func(secret *Secret, entry *Entry) {
			if entry.Applied == nil {
				entry.Applied = asker.applied(ctx, track, r.carriers(track, secret.Name, entry, tagged))
			}
		})
	}
	return asker.failed
}

// asker asks GitLab about each commit once, until it refuses.
type asker struct {
	reader statusReader
	known  map[string][]gitlab.CommitStatus
	failed error
}

func (a *asker) statuses(ctx context.Context, hash string) []gitlab.CommitStatus {
	if statuses, ok := a.known[hash]; ok || a.failed != nil {
		return statuses
	}
	statuses, err := a.reader.Statuses(ctx, hash)
	var refused *gitlab.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound && refused.Kind == gitlab.KindPermanent {
		err = nil // a commit that was never pushed
	}
	a.known[hash], a.failed = statuses, err
	return statuses
}

// applied finds the first of the commits that the node has a success of.
func (a *asker) applied(ctx context.Context, track *track, commits []*commit) *Applied {
	for _, one := range commits {
		if found := succeeded(a.statuses(ctx, one.Hash), track.dirs[one], one.Hash); found != nil {
			return found
		}
	}
	return nil
}

// carriers lists the commits that a node may have applied an entry with.
func (r *Report) carriers(track *track, name string, entry *Entry, tagged map[string]bool) []*commit {
	along := r.graph.main[entry.commit.landed.main:]
	if entry.Skipped {
		along = []*commit{entry.commit}
	}
	var found []*commit
	for _, one := range along {
		if len(found) == maxLater || !track.reading(one, name).same(entry.reading) {
			break
		}
		if tagged == nil || tagged[one.Hash] {
			found = append(found, one)
		}
	}
	return found
}

// succeeded finds the first success of the node that has the folder.
func succeeded(statuses []gitlab.CommitStatus, dir, hash string) *Applied {
	name := "coin-agent/" + path.Base(path.Dir(path.Dir(dir))) + "/" + path.Base(dir)
	for _, status := range statuses {
		if status.Name == name && status.State == gitlab.Success && !status.Finished.IsZero() {
			return &Applied{At: status.Finished, Commit: hash, Source: "gitlab"}
		}
	}
	return nil
}

// Tagged gives the commits of the working copy that have a tag whose name matches.
func (r *Report) Tagged(match func(name string) bool) (map[string]bool, error) {
	return r.graph.tagged(match)
}

// Objects lists the names in Swarm of all versions, sorted.
func (r *Report) Objects() []string {
	var names []string
	for _, secret := range r.Secrets {
		for _, entry := range secret.Entries {
			if entry.Object != "" {
				names = append(names, entry.Object)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
