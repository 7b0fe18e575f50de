package fleetsim_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/pace"
	"coin.internal/coin-agent/agent/preview"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/rollout"
	gitsync "coin.internal/coin-agent/sync"
)

// rolloutTime is how long the engine takes to start the services of a commit.
const rolloutTime = 40 * time.Second

// node is one agent: the real parts that ask GitLab, and a loop that has them do so as the real
// one does.
type node struct {
	w         *world
	number    int
	notBefore [2]time.Time // that GitLab asked it to wait until, by door

	pace    pace.Pace
	git     *client
	outbox  *gitlab.Outbox
	publish *publish.Publisher
	plans   *preview.Worker

	mu   sync.Mutex
	last *record.Sync
}

func newNode(w *world, number int) *node {
	n := &node{w: w, number: number, pace: pace.Pace{Interval: interval, Random: random(number)}}
	n.git = &client{n: n}
	api, err := gitlab.New(gitlab.Options{URL: "http://localhost", Project: "coin/coin-gitops", TokenFile: w.tokenFile, Transport: n})
	if err != nil {
		panic(err)
	}
	name, log := fmt.Sprintf("node%d", number), slog.New(slog.DiscardHandler)
	n.outbox = gitlab.NewOutbox(api, &reports{trails: map[string]gitlab.Trail{}}, log)
	n.outbox.Random = n.pace.Random
	n.publish = &publish.Publisher{
		Node: report.Node{Environment: "production", Name: name}, Link: func(string) string { return "" },
		Statuses: n.outbox, Deployments: n.outbox, Spares: func() bool { return n.w.spares },
	}
	requests := gitlab.NewRequests(api)
	n.plans = preview.New(preview.Options{
		Environment: "production", Node: name, Status: "coin-agent/production/" + name + "/plan", Branch: branch,
		Heads: n.git.Heads, Requests: requests, Approvals: api, Notes: requests, Source: n.git, Planner: n, Last: n.lastSync, Syncs: n,
		Signer:  func(context.Context, gitsync.Revision) (string, error) { return "", nil },
		Reports: n.outbox, Store: shown{}, Log: log, Random: n.pace.Random,
	})
	return n
}

// services are what runs in the agent's process. After a power failure all wait, as `agent run`
// has them.
func (n *node) services() []func(context.Context) {
	first := n.pace.First(time.Now().Add(-20 * 365 * 24 * time.Hour))
	later := func(run func(context.Context)) func(context.Context) {
		return func(ctx context.Context) {
			if rest(ctx, first) {
				run(ctx)
			}
		}
	}
	return []func(context.Context){
		later(n.loop),
		later(func(ctx context.Context) { _ = n.outbox.Run(ctx) }),
		later(func(ctx context.Context) { _ = n.plans.Run(ctx) }),
	}
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// loop looks at the remote, and rolls out what it finds.
func (n *node) loop(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; rest(ctx, n.pace.Next(failures)) {
		if err := n.look(ctx); err != nil {
			failures++
			continue
		}
		failures = 0
		n.plans.Look()
	}
}

func (n *node) look(ctx context.Context) error {
	rev, err := n.git.Select(ctx, gitsync.Rule{Branch: branch})
	last := n.lastSync()
	if err != nil || last.Commit == rev.Commit {
		return err
	}
	if _, err := n.git.Descends(ctx, last.Commit, rev.Commit); err != nil {
		return err
	}
	if _, err := n.git.Fetch(ctx, rev, nil); err != nil {
		return err
	}
	sync := syncOf(rev.Commit, last.ID+1)
	if n.w.git.find(rev.Commit).concerns(n.number) {
		err = n.rollOut(ctx, sync)
	} else {
		sync.Unchanged, sync.Summary = true, "unchanged: the commit changes nothing that this node reads"
		err = n.publish.Sync(sync)
	}
	if err == nil {
		n.mu.Lock()
		n.last = sync
		n.mu.Unlock()
	}
	return err
}

// syncOf gives the record of a sync that has succeeded. What it has read is in no commit.
func syncOf(commit string, id uint64) *record.Sync {
	return &record.Sync{ID: id, Commit: commit, Ref: branch, Started: time.Now(), State: record.Succeeded, Inputs: map[string]string{"nodes/other": ""}}
}

// rollOut publishes what a rollout does.
func (n *node) rollOut(ctx context.Context, sync *record.Sync) error {
	if err := n.git.exchange(files, n.w.prices.files); err != nil {
		return err
	}
	sync.Deployment = &record.Deployment{URL: fmt.Sprintf("https://node%d.example.com", n.number)}
	sync.State, sync.Wrote, sync.Entered = record.Running, true, map[record.Stage]time.Time{record.StageApply: time.Now()}
	if err := n.publish.Sync(sync); err != nil {
		return err
	}
	for left := rolloutTime; left > 0; left -= interval { // it watches the remote meanwhile
		if !rest(ctx, min(left, interval)) {
			return ctx.Err()
		}
		if left > interval {
			_, _ = n.git.Select(ctx, gitsync.Rule{Branch: branch})
		}
	}
	sync.State, sync.Finished, sync.Summary = record.Succeeded, time.Now(), "3 services updated"
	return n.publish.Sync(sync)
}

func (n *node) lastSync() *record.Sync {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last
}

// Preview makes no plan: no merge request of this world changes what the node reads.
func (n *node) Preview(context.Context, *gitsync.Checkout, func() (bool, error)) (*rollout.Preview, error) {
	return nil, errors.New("the merge request does not concern the node")
}

// SyncsUntil has none that were planned on a merge request.
func (n *node) SyncsUntil(func(*record.Sync) bool) ([]record.Sync, error) {
	return []record.Sync{*n.lastSync()}, nil
}

// reports keeps the outbox's entries in memory, as the state file does on disk.
type reports struct {
	mu      sync.Mutex
	seq     uint64
	entries []gitlab.Entry
	trails  map[string]gitlab.Trail
}

func (r *reports) Entries() ([]gitlab.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.entries), nil
}

func (r *reports) Save(entry *gitlab.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.entries, func(one gitlab.Entry) bool { return one.Seq == entry.Seq }); i >= 0 {
		r.entries[i] = *entry
		return nil
	}
	r.seq++
	entry.Seq = r.seq
	r.entries = append(r.entries, *entry)
	return nil
}

func (r *reports) Settle(seq uint64, of gitlab.Report, trail gitlab.Trail) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trails[of.Commit+" "+of.Name] = trail
	r.entries = slices.DeleteFunc(r.entries, func(one gitlab.Entry) bool { return one.Seq == seq })
	return nil
}

func (r *reports) Trail(of gitlab.Report) (gitlab.Trail, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trails[of.Commit+" "+of.Name], nil
}

// shown keeps nothing of merge requests: none concerns a node.
type shown struct{}

func (shown) Previews() (preview.Book, error)                { return preview.Book{}, nil }
func (shown) SavePreview(preview.Shown, *preview.Text) error { return nil }
func (shown) DropPreview(int64) error                        { return nil }
func (shown) PreviewText(int64) (preview.Text, error)        { return preview.Text{}, nil }
func (shown) SavePreviewMark(preview.Mark) error             { return nil }
