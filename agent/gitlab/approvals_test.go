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
	if err != nil || len(found) != 28 {
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
	want := gitlab.Merged{
		Number: 27, URL: "https://gitlab.coin.example/coin/coin-gitops/-/merge_requests/27",
		Author: "Bob", Target: "stable", Labels: []string{"a", "b"}, Brought: true,
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

func TestApprovals(t *testing.T) {
	d := gitlabtest.New(t)
	client := newClient(t, options(d))
	d.AddMerge(gitlabtest.Merge{Commit: commit})
	if users, err := client.Approvals(t.Context(), 1); err != nil || len(users) > 0 {
		t.Errorf("no approvals: %v, %v", users, err)
	}
	d.Approve(1, "carol", "Bob", "carol")
	users, err := client.Approvals(t.Context(), 1)
	if diff := cmp.Diff([]string{"bob", "carol"}, users); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := client.Approvals(t.Context(), 2); err == nil || strings.Contains(err.Error(), gitlabtest.Secret) {
		t.Errorf("no such number: %v", err)
	}
}
