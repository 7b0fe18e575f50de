package proposal_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
)

// TestBranchOfAnother takes up a branch that GitLab has only if the token's user pushed it, or opened
// its merge request: the user who pushed it could approve that of the token's user.
func TestBranchOfAnother(t *testing.T) {
	const branch, refused = "release/a/1", "GitLab has the branch release/a/1, which coin-agent did not push: "
	tip, old := strings.Repeat("2", 40), strings.Repeat("3", 40)
	ada := gitlabtest.User{ID: 200, Name: "ada"}
	request := func(_ *gitlabtest.Instance, client *gitlab.Client) {
		if _, err := client.OpenMergeRequest(t.Context(), gitlab.MergeRequest{Source: branch, Target: "master", Title: "Release"}); err != nil {
			t.Error(err)
		}
	}
	tests := []struct {
		name   string
		before func(*gitlabtest.Instance, *gitlab.Client)
		want   string // "" if it is taken up
	}{
		{"its merge request is open", request, ""},
		{"its merge request was closed", func(d *gitlabtest.Instance, client *gitlab.Client) {
			request(d, client)
			d.CloseMergeRequest(1)
		}, refused + "it is not known who pushed it"},
		{"its merge request was merged, and the branch is left", func(d *gitlabtest.Instance, client *gitlab.Client) {
			d.AddPush(gitlabtest.Agent(), branch, tip)
			request(d, client)
			d.Merge(1, tip)
		}, "GitLab has the branch release/a/1, which !1 has merged"},
		{"pushed", func(d *gitlabtest.Instance, _ *gitlab.Client) { d.AddPush(gitlabtest.Agent(), branch, tip) }, ""},
		{"pushed by another", func(d *gitlabtest.Instance, _ *gitlab.Client) { d.AddPush(ada, branch, tip) }, refused + "ada pushed it"},
		{"pushed upon by another", func(d *gitlabtest.Instance, _ *gitlab.Client) {
			d.AddPush(gitlabtest.Agent(), branch, old)
			d.AddPush(ada, branch, tip)
		}, refused + "ada pushed it"},
		{"a later push is not known yet", func(d *gitlabtest.Instance, _ *gitlab.Client) { d.AddPush(gitlabtest.Agent(), branch, old) }, refused},
		{"removed and pushed again", func(d *gitlabtest.Instance, _ *gitlab.Client) {
			d.AddPush(gitlabtest.Agent(), branch, tip)
			d.AddPush(gitlabtest.Agent(), branch, "")
		}, refused},
		{"another branch at the same commit", func(d *gitlabtest.Instance, _ *gitlab.Client) { d.AddPush(gitlabtest.Agent(), "x", tip) }, refused},
		{"merge request of another", func(d *gitlabtest.Instance, _ *gitlab.Client) { d.AddOpen(gitlabtest.Open{Source: branch, Head: tip}) }, refused},
		{"GitLab does not answer", func(d *gitlabtest.Instance, _ *gitlab.Client) {
			d.Inject(gitlabtest.Fault{Path: "events", Status: 502, Times: -1})
		}, "502 Bad Gateway"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			repo := repository(t)
			d := gitlabtest.New(t)
			d.SetTips(func(name string) string { return map[string]string{branch: tip, "master": repo.Head()}[name] })
			client, err := gitlab.New(gitlab.Options{URL: d.URL, Project: "coin/coin-gitops", TokenFile: d.TokenFile})
			if err != nil {
				t.Fatal(err)
			}
			test.before(d, client)
			commit, err := proposal.Publisher{GitLab: client}.Elsewhere(t.Context(), open(t, repo.Dir), branch)
			switch {
			case test.want == "" && (err != nil || commit == nil || commit.Hash != tip || !commit.Taken):
				t.Errorf("got %+v, %v", commit, err)
			case test.want != "" && (err == nil || commit != nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %+v, %v; want %q", commit, err, test.want)
			case strings.HasPrefix(test.want, "GitLab has the branch ") && !strings.Contains(fault.Hint(err), "git push origin --delete "+branch):
				t.Errorf("the hint is %q", fault.Hint(err))
			}
		})
	}
}

// TestOwnBranch takes the branch of the working copy, which the user may have pushed by hand.
func TestOwnBranch(t *testing.T) {
	repo := repository(t)
	repo.Git("branch", "mine")
	d := gitlabtest.New(t)
	client, err := gitlab.New(gitlab.Options{URL: d.URL, Project: "coin/coin-gitops", TokenFile: d.TokenFile})
	if err != nil {
		t.Fatal(err)
	}
	publisher, tree := proposal.Publisher{GitLab: client}, open(t, repo.Dir)
	if err := publisher.Known(t.Context(), tree, &proposal.Commit{Hash: repo.Head(), Branch: "mine"}); err != nil || len(d.Requests()) > 0 {
		t.Errorf("got %v", err)
	}
	if err := publisher.Known(t.Context(), tree, &proposal.Commit{Hash: strings.Repeat("2", 40), Branch: "mine"}); err == nil {
		t.Error("another commit of the branch is known")
	}
}
