package provenance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"coin.internal/coin-agent/agent/gitlab"
)

// maxLater bounds how many later commits of the branch are asked about for one entry:
// a node that gets several commits at once applies the last of them.
const maxLater = 50

// Sync is a sync as a node's agent recorded it.
type Sync struct {
	Commit    string
	Stack     string // its name in config.yml, on a node with several; "" for the only one
	Finished  time.Time
	Succeeded bool
	Created   map[string]time.Time // the secrets that it created, by their names in Swarm
}

// AddSyncs adds when a node applied each version, as its agent recorded it.
func (r *Report) AddSyncs(node string, syncs []Sync) {
	for _, sync := range syncs {
		at := r.history.byHash[sync.Commit]
		r.each(func(secret *Secret, entry *Entry) {
			if secret.Node != node {
				return
			}
			created, there := sync.Created[entry.Object]
			if there && created.After(entry.Created) {
				entry.Created = created
			}
			had := r.tracks[node].readings[at][secret.Name]
			there = there || had.same(entry.reading) && had.syncedWith(sync.Stack)
			before := entry.Change == Again && sync.Finished.Before(entry.Commit.Committed) // it had the version once before
			if there && sync.Succeeded && !before && (entry.Applied == nil || sync.Finished.Before(entry.Applied.At)) {
				entry.Applied = &Applied{At: sync.Finished, Commit: sync.Commit, Source: "agent"}
			}
		})
	}
}

// each visits the entries that have a version.
func (r *Report) each(visit func(*Secret, *Entry)) {
	for _, secret := range r.Secrets {
		for _, entry := range secret.Entries {
			if entry.reading != nil && entry.Change != Earlier {
				visit(secret, entry)
			}
		}
	}
}

// statusReader is what the report needs of GitLab.
type statusReader interface {
	Agents(ctx context.Context) ([]string, error)
	Statuses(ctx context.Context, commit string) ([]gitlab.CommitStatus, error)
}

// AddStatuses adds when nodes applied what is not known yet: the first success that
// the node's agent reported for the entry's commit on the branch, or for a later one
// with the same version. Only statuses of the agents' users count: each member of the project
// can post one of any name. tagged, unless nil, has the commits that nodes follow.
func (r *Report) AddStatuses(ctx context.Context, reader statusReader, tagged map[string]bool) error {
	known := map[string][]gitlab.CommitStatus{}
	agents, failed := reader.Agents(ctx)
	ask := func(commit string) []gitlab.CommitStatus {
		if _, asked := known[commit]; !asked && failed == nil {
			known[commit], failed = reader.Statuses(ctx, commit)
			var refused *gitlab.Error
			if errors.As(failed, &refused) && refused.Status == http.StatusNotFound && refused.Kind == gitlab.KindPermanent {
				failed = nil // the commit was never pushed
			}
		}
		return known[commit]
	}
	r.each(func(secret *Secret, entry *Entry) {
		track := r.tracks[secret.Node]
		for _, one := range track.carriers(secret.Name, entry, tagged) {
			if entry.Applied != nil {
				return
			}
			name := "coin-agent/" + path.Base(path.Join(track.dirs[one], "../..")) + "/" + path.Base(track.dirs[one])
			for _, status := range ask(one.info.Hash) {
				if entry.Applied == nil && status.Name == name && slices.Contains(agents, status.Author) && status.State == gitlab.Success && !status.Finished.IsZero() {
					entry.Applied = &Applied{At: status.Finished, Commit: one.info.Hash, Source: "gitlab"}
				}
			}
		}
	})
	return failed
}

// carriers lists the commits that a node may have applied an entry with.
func (t *track) carriers(name string, entry *Entry, tagged map[string]bool) []*commit {
	along := t.history.main[slices.Index(t.history.main, entry.commit.landed):]
	if entry.Skipped {
		along = []*commit{entry.commit}
	}
	var found []*commit
	for _, one := range along {
		if len(found) == maxLater || !t.readings[one][name].same(entry.reading) {
			break
		}
		if tagged == nil || tagged[one.info.Hash] {
			found = append(found, one)
		}
	}
	return found
}

// Tagged gives the commits of the working copy that have a tag whose name matches.
func (r *Report) Tagged(match func(name string) bool) (map[string]bool, error) {
	tags, err := r.history.tree.Repo.Tags()
	if err != nil {
		return nil, fmt.Errorf("read the tags: %w", err)
	}
	found := map[string]bool{}
	err = tags.ForEach(func(tag *plumbing.Reference) error {
		if at, err := r.history.tree.Repo.ResolveRevision(plumbing.Revision(tag.Name())); err == nil && match(tag.Name().Short()) {
			found[at.String()] = true
		}
		return nil
	})
	return found, err
}
