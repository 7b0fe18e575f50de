package agent_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// merged adds an approved merge request that ended with a commit.
func (h *hub) merged(commit string) {
	iid := h.AddMerge(gitlabtest.Merge{Commit: commit})
	h.Approve(iid, "bob")
}

// withApproval is a world in which a first commit was approved and rolled out. The merge
// requests of later commits start with !2.
func withApproval(t *testing.T, test func(w *world, h *hub)) {
	t.Helper()
	inWorld(t, func(w *world) {
		h := w.withHub()
		first := w.commit("1", configFile, approvalConfig+"approval: {required: true}\n")
		h.merged(first)
		w.start()
		w.wantLast(first, record.Succeeded)
		test(w, h)
	})
}

// An approval of the tip's merge request does not cover the commits below it: each has one.
func TestCommitsBelowTheTip(t *testing.T) {
	tests := map[string]struct {
		happens func(w *world, h *hub, below []string, tip string)
		want    string  // "" where the commit rolls out
		earlier []int64 // merge requests of the commits below
	}{
		"pushed without one": {func(_ *world, h *hub, below []string, tip string) {
			h.merged(below[1])
			h.merged(tip)
		}, `commit 0000000000 "Change 2" came without an approved merge request: no merge request brought this commit`, nil},
		"one that nobody approved": {func(_ *world, h *hub, below []string, tip string) {
			h.merged(tip)
			h.merged(below[0])
			h.AddMerge(gitlabtest.Merge{Commit: below[1]})
		}, `commit 0000000000 "Change 3" came without an approved merge request: !4 has 0 of 1 approvals`, nil},
		"one into another branch": {func(_ *world, h *hub, below []string, tip string) {
			h.merged(tip)
			h.merged(below[0])
			h.Approve(h.AddMerge(gitlabtest.Merge{Commit: below[1], Target: "feature"}), "bob")
		}, `"Change 3" came without an approved merge request: no merge request brought this commit, !4 goes into feature, not master`, nil},
		"one for each": {func(_ *world, h *hub, below []string, tip string) {
			h.merged(below[0])
			h.merged(below[1])
			h.merged(tip)
		}, "", []int64{3, 2}},
		"all in one that was fast-forwarded": {func(_ *world, h *hub, below []string, tip string) {
			h.Approve(h.AddMerge(gitlabtest.Merge{Commit: tip, Fast: true, Commits: below}), "bob")
		}, "", nil},
		"in the middle of one that ends elsewhere": {func(_ *world, h *hub, below []string, tip string) {
			h.merged(tip)
			h.merged(below[0])
			h.Approve(h.AddMerge(gitlabtest.Merge{Commit: strings.Repeat("9", 40), Fast: true, Commits: below[1:]}), "bob")
		}, "no merge request brought this commit, !4 does not end with it", nil},
		"commits that change nothing here": {func(w *world, h *hub, _ []string, tip string) {
			h.merged(tip)
			w.history[1].Changes, w.history[2].Changes = false, false
		}, "", nil},
		"a tip that changes nothing here": {func(w *world, h *hub, below []string, tip string) {
			h.merged(below[0])
			h.merged(tip)
			w.history[0].Changes = false
		}, `commit 0000000000 "Change 3" came without an approved merge request`, nil},
		"a history that cannot be read": {func(w *world, h *hub, below []string, tip string) {
			h.merged(below[0])
			h.merged(below[1])
			h.merged(tip)
			w.historyErr = errors.New("the remote no longer has commit 1")
		}, "it is not known which commits came since 0000000000 was deployed: the remote no longer has commit 1", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			withApproval(t, func(w *world, h *hub) {
				below := []string{w.release("2"), w.release("3")}
				tip := w.release("4")
				w.set(func() { test.happens(w, h, below, tip) })
				w.poll()
				if test.want != "" {
					w.said(test.want)
					w.runs("1")
					if err := w.approve(""); err != nil { // covers all of them
						t.Fatal(err)
					}
					w.wantLast(tip, record.Succeeded)
					return
				}
				if done := w.wantLast(tip, record.Succeeded); done.Approval == nil || cmp.Diff(test.earlier, done.Approval.Earlier) != "" {
					t.Errorf("approved as %+v, want %v", done.Approval, test.earlier)
				}
			})
		})
	}
}

// Many commits without a merge request are not all named, and there is an end to them.
func TestManyCommitsBelowTheTip(t *testing.T) {
	withApproval(t, func(w *world, h *hub) {
		for i := range 100 {
			w.release(fmt.Sprint(2 + i))
		}
		tip := w.release("102")
		h.merged(tip)
		w.poll()
		sync := w.said(`commit 0000000000 "Change 101"`, `"Change 99"`, "; and more commits")
		if strings.Contains(sync.Waiting, "Change 98") {
			t.Errorf("waits for %q", sync.Waiting)
		}
		for i := range 100 {
			h.merged(fmt.Sprintf("%040d", 2+i))
		}
		w.poll()
		w.said("more than 100 commits that change what this node reads came since 0000000000 was deployed")
	})
}

// GitLab is asked little: eight times for a commit, and once in a while about commits that
// are approved while the tip waits.
func TestQuestionsAboutCommits(t *testing.T) {
	withApproval(t, func(w *world, h *hub) {
		asked := len(h.Requests())
		if asked > 8 {
			t.Errorf("%d questions about the first commit", asked)
		}
		usual := w.release("2")
		h.merged(usual)
		w.poll()
		w.wantLast(usual, record.Succeeded)
		if asked = len(h.Requests()) - asked; asked > 8 {
			t.Errorf("%d questions about a commit", asked)
		}
		for i := range 20 {
			h.merged(w.release(fmt.Sprint(3 + i)))
		}
		tip := w.release("99")
		w.poll()
		w.said("no merge request brought this commit")
		asked = len(h.Requests())
		for range 5 {
			w.poll()
		}
		if asked = len(h.Requests()) - asked; asked > 6 {
			t.Errorf("%d questions in six looks", asked)
		}
		h.merged(tip)
		w.poll()
		w.wantLast(tip, record.Succeeded)
	})
}

// In a real repository, a commit of another node needs no approval; one with a file that
// only the tip names does.
func TestCommitsOfARealRepository(t *testing.T) {
	inWorld(t, func(w *world) {
		git, h := gittest.New(w.t), w.withHub()
		source, err := gitsync.Open(gitsync.Remote{URL: git.Dir})
		if err != nil {
			t.Fatal(err)
		}
		asks := w.change
		w.change = func(p *agent.Parts) { asks(p); p.Source = source }
		h.merged(git.Commit("First", map[string]string{
			configFile: approvalConfig + "approval: {required: true}\n", nodeDir + "node.env": "TAG=1\n", nodeDir + "docker-compose.yml": plainWeb,
		}))
		w.start()
		w.wantImage("app:1")
		git.Commit("Of node9", map[string]string{"environments/sandbox/nodes/node9/node.env": "TAG=2\n"})
		h.merged(git.Commit("Second", map[string]string{nodeDir + "node.env": "TAG=2\n"}))
		w.poll()
		w.wantLast(git.Head(), record.Succeeded)
		w.wantImage("app:2")
		unread := git.Commit("Hidden", map[string]string{nodeDir + "evil.yml": "services: {miner: {image: \"miner:1\"}}\n"})
		w.poll()
		w.wantLast(unread, record.Succeeded) // nothing names the file, and nothing is written
		tip := git.Commit("Third", map[string]string{nodeDir + "docker-compose.yml": "include: [evil.yml]\n" + plainWeb})
		h.merged(tip)
		w.poll()
		w.wantLast(tip, record.Waiting)
		w.set(func() { w.revision.Commit = tip })
		w.said("commit " + unread[:10] + ` "Hidden" came without an approved merge request`)
	})
}
