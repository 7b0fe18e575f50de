package gitlab_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

func TestMergeRequestsOfACommit(t *testing.T) {
	d := gitlabtest.New(t)
	d.AddCommit(commit, "master")
	client := newClient(t, options(d))
	if found, err := client.MergeRequests(t.Context(), commit); err != nil || len(found) > 0 {
		t.Errorf("a commit without merge requests: %v, %v", found, err)
	}
	later := strings.Repeat("2", 40)
	for range 25 { // more than a page
		d.AddMerge(gitlabtest.Merge{Commit: later, Commits: []string{commit}})
	}
	d.AddMerge(gitlabtest.Merge{Commit: commit, State: "closed"})
	d.AddMerge(gitlabtest.Merge{Commit: commit, Author: "Bob", Target: "stable", Labels: []string{"a", "b"}})
	d.AddMerge(gitlabtest.Merge{Commit: commit, Squash: true})
	d.AddMerge(gitlabtest.Merge{Commit: commit, Fast: true})
	found, err := client.MergeRequests(t.Context(), commit)
	if err != nil || len(found) != 29 {
		t.Fatalf("%d found, %v", len(found), err)
	}
	var brought []int64
	for _, one := range found {
		if one.Brought {
			brought = append(brought, one.Number)
		}
	}
	if diff := cmp.Diff([]int64{27, 28, 29}, brought); diff != "" {
		t.Error(diff)
	}
	want := gitlab.Request{
		Number: 27, URL: "https://gitlab.coin.example/coin/coin-gitops/-/merge_requests/27",
		State: gitlab.Merged, Author: "bob", Source: "feature", Target: "stable", Updated: found[0].Updated, Head: strings.Repeat("f", 40), Labels: []string{"a", "b"}, Brought: true,
	}
	if diff := cmp.Diff(want, found[0]); diff != "" {
		t.Error(diff)
	}
	if found[3].Number != 1 || found[3].Brought {
		t.Errorf("the others start with %+v", found[3])
	}
	_, err = client.MergeRequests(t.Context(), strings.Repeat("3", 40))
	if refused := (*gitlab.Error)(nil); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("an unknown commit: %v", err)
	}
}

// The users who approved, whether they approved the last push, and whether they wrote it.
func TestApprovals(t *testing.T) {
	first, last := strings.Repeat("f", 40), strings.Repeat("e", 40)
	tests := map[string]struct {
		happens func(d *gitlabtest.Instance)
		want    []gitlab.Approval
	}{
		"no approvals": {func(*gitlabtest.Instance) {}, nil},
		"sorted, once": {func(d *gitlabtest.Instance) { d.Approve(1, "carol", "Bob", "carol") }, []gitlab.Approval{{User: "bob"}, {User: "carol"}}},
		"pushed after it": {func(d *gitlabtest.Instance) {
			d.Approve(1, "bob")
			d.Push(1, "ada", last)
			d.Approve(1, "carol")
		}, []gitlab.Approval{{User: "bob", Outdated: true}, {User: "carol"}}},
		"approved again": {func(d *gitlabtest.Instance) {
			d.Approve(1, "bob")
			d.Push(1, "ada", last)
			d.Unapprove(1, "bob")
			d.Approve(1, "bob")
		}, []gitlab.Approval{{User: "bob"}}},
		"pushed back to what was approved": {func(d *gitlabtest.Instance) {
			d.Approve(1, "bob")
			d.Push(1, "ada", last)
			d.Push(1, "ada", first)
		}, []gitlab.Approval{{User: "bob"}}},
		"for another target": {func(d *gitlabtest.Instance) {
			d.Approve(1, "bob")
			d.Retarget(1, "ada", "production", strings.Repeat("c", 40))
			d.Approve(1, "carol")
		}, []gitlab.Approval{{User: "bob", Outdated: true, Retargeted: true}, {User: "carol"}}},
		"for another target with the same base": {func(d *gitlabtest.Instance) {
			d.Approve(1, "bob")
			d.Retarget(1, "ada", "production", "")
			d.Comment(1, "bob", "changed target branch from `production` to `master`")
			d.Approve(1, "carol")
		}, []gitlab.Approval{{User: "bob", Retargeted: true}, {User: "carol"}}},
		"for a target that was removed": {func(d *gitlabtest.Instance) {
			d.Approve(1, "bob")
			d.RemoveTarget(1, "ada", "production", "")
			d.Approve(1, "carol")
		}, []gitlab.Approval{{User: "bob", Retargeted: true}, {User: "carol"}}},
		"for another target, without times": {func(d *gitlabtest.Instance) {
			d.HideApprovalTimes()
			d.Approve(1, "bob")
			d.Retarget(1, "ada", "production", "")
			d.Approve(1, "carol")
		}, []gitlab.Approval{{User: "bob", Retargeted: true}, {User: "carol"}}},
		"without times, from the notes": {func(d *gitlabtest.Instance) {
			d.HideApprovalTimes()
			d.Approve(1, "bob")
			d.Push(1, "ada", last)
			d.Approve(1, "carol")
			d.Comment(1, "bob", "approved this merge request") // a user's comment is not GitLab's note
		}, []gitlab.Approval{{User: "bob", Outdated: true}, {User: "carol"}}},
		"who pushed": {func(d *gitlabtest.Instance) {
			d.Push(1, "mallory", last)
			d.Comment(1, "bob", "added 1 commit")
			d.Approve(1, "mallory", "bob")
		}, []gitlab.Approval{{User: "bob"}, {User: "mallory", Wrote: true}}},
		"who wrote": {func(d *gitlabtest.Instance) {
			d.Wrote(1, gitlabtest.Writer{Name: "Bob"}, gitlabtest.Writer{Email: "Carol@elsewhere.example"},
				gitlabtest.Writer{CommitterName: "dan"}, gitlabtest.Writer{CommitterEmail: "17-eve@users.noreply.gitlab.example.com"})
			d.Approve(1, "bob", "carol", "dan", "eve", "frank")
		}, []gitlab.Approval{
			{User: "bob", Wrote: true}, {User: "carol", Wrote: true}, {User: "dan", Wrote: true}, {User: "eve", Wrote: true}, {User: "frank"},
		}},
		"more than a page of commits": {func(d *gitlabtest.Instance) {
			writers := make([]gitlabtest.Writer, 150)
			writers[0].Name = "bob"
			d.Wrote(1, writers...)
			d.Approve(1, "bob")
		}, []gitlab.Approval{{User: "bob", Wrote: true}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := gitlabtest.New(t)
			d.AddCommit(commit, "master")
			d.AddMerge(gitlabtest.Merge{Commit: commit})
			test.happens(d)
			client := newClient(t, options(d))
			requests, err := client.MergeRequests(t.Context(), commit)
			if err != nil {
				t.Fatal(err)
			}
			got, err := client.Approvals(t.Context(), requests[0])
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

func TestApprovalsOfNoMergeRequest(t *testing.T) {
	client := newClient(t, options(gitlabtest.New(t)))
	_, err := client.Approvals(t.Context(), gitlab.Request{Number: 2})
	if err == nil || strings.Contains(err.Error(), gitlabtest.Secret) {
		t.Errorf("no such number: %v", err)
	}
}

func TestProtectedBranch(t *testing.T) {
	d := gitlabtest.New(t)
	d.SetTips(func(branch string) string {
		if branch == "gone" {
			return ""
		}
		return commit
	})
	d.ProtectBranch("release/1")
	client := newClient(t, options(d))
	for branch, want := range map[string]bool{"master": true, "release/1": true, "feature": false, "gone": false} {
		if got, err := client.Protected(t.Context(), branch); err != nil || got != want {
			t.Errorf("%s: %t, %v", branch, got, err)
		}
	}
}
