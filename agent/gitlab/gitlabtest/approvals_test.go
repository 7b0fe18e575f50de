package gitlabtest_test

import (
	"net/http"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

func TestApprovals(t *testing.T) {
	d := newDouble(t)
	other := strings.Repeat("2", 40)
	d.AddCommit(other, "master")
	const brought = "projects/" + project + "/repository/commits/" + sha + "/merge_requests"
	d.AddMerge(gitlabtest.Merge{Commit: sha, Labels: []string{"CAB approved"}})
	d.AddMerge(gitlabtest.Merge{Commit: other, Commits: []string{sha}, State: "opened", Author: "bob"})
	d.Approve(1, "bob", "carol")
	head := strings.Repeat("4", 40)
	d.Push(1, "ada", head)
	d.Wrote(1, gitlabtest.Writer{Name: "Bob", Email: "bob@coin.example"})
	steps := []struct {
		name, path, params string
		code               int
		want               string
	}{
		{"of a commit", brought, "", 200, `"merge_commit_sha":"` + sha + `"`},
		{"its labels", brought, "", 200, `"labels":["CAB approved"]`},
		{"the newest first", brought, "", 200, `[{"id":9002`},
		{"one a page", brought, "per_page=1&page=2", 200, `[{"id":9001`},
		{"the merged ones", brought, "state=merged", 200, `[{"id":9001`},
		{"a bad page", brought, "page=x", 400, "page is invalid"},
		{"an unknown commit", strings.Replace(brought, sha, strings.Repeat("3", 40), 1), "", 404, "404 Commit Not Found"},
		{"who approved", merges + "/1/approvals", "", 200, `"username":"bob"`},
		{"nobody, and approved", merges + "/2/approvals", "", 200, `"approved":true,"approved_by":[]`},
		{"no such number", merges + "/3/approvals", "", 404, "404 Not found"},
		{"no number", merges + "/x/approvals", "", 400, "merge_request_iid is invalid"},
		{"when they approved", merges + "/1/approvals", "", 200, `"approved_at":"`},
		{"its versions, the newest first", merges + "/1/versions", "", 200, `[{"base_commit_sha":"` + strings.Repeat("b", 40) + `"`},
		{"one version a page", merges + "/1/versions", "per_page=1", 200, `"head_commit_sha":"` + head + `"`},
		{"its commits", merges + "/1/commits", "", 200, `"author_email":"bob@coin.example"`},
		{"its notes, the newest first", merges + "/1/notes", "per_page=1", 200, `added 1 commit`},
		{"the oldest first", merges + "/1/notes", "per_page=1&sort=asc", 200, `"approved this merge request"`},
		{"versions of no number", merges + "/9/versions", "", 404, "404 Not found"},
		{"the token's user", "user", "", 200, `"username":"coin-agent"`},
	}
	for _, step := range steps {
		if got := d.ask(http.MethodGet, step.path, step.params); got.code != step.code || !strings.Contains(got.text, step.want) {
			t.Errorf("%s: %d %s", step.name, got.code, got.text)
		}
	}
	if got := d.ask(http.MethodGet, merges+"/1/approvals", ""); strings.Contains(got.text, "approvals_required") {
		t.Errorf("the Community Edition knows of required approvals: %s", got.text)
	}
	if got := d.ask(http.MethodGet, brought, "per_page=1"); got.header.Get("X-Next-Page") != "2" {
		t.Errorf("no next page: %v", got.header)
	}
	d.Unapprove(1, "bob")
	d.SetLabels(1)
	d.Retarget(1, "ada", "stable", strings.Repeat("c", 40))
	for path, want := range map[string]string{
		merges + "/1/versions": `[{"base_commit_sha":"` + strings.Repeat("c", 40) + `"`, merges + "/1/notes": "changed target branch from `master` to `stable`", brought: `"target_branch":"stable"`,
	} {
		if got := d.ask(http.MethodGet, path, ""); !strings.Contains(got.text, want) {
			t.Errorf("after another target, %s: %s", path, got.text)
		}
	}
	if got := d.ask(http.MethodGet, merges+"/1/approvals", ""); strings.Contains(got.text, "bob") || !strings.Contains(got.text, "carol") {
		t.Errorf("after one took it back: %s", got.text)
	}
	if got := d.ask(http.MethodGet, brought, "state=merged"); !strings.Contains(got.text, `"labels":[]`) {
		t.Errorf("without labels: %s", got.text)
	}
	d.SetToken("guest", gitlabtest.Token{User: gitlabtest.User{ID: 4, Access: 10}, Scopes: []string{"read_api"}})
	for _, path := range []string{brought, merges + "/1/approvals", merges + "/1/versions", merges + "/1/commits", merges + "/1/notes"} {
		if got := d.ask(http.MethodGet, path, "", "PRIVATE-TOKEN", "guest"); got.code != 403 {
			t.Errorf("a guest reads %s: %d", path, got.code)
		}
	}
}
