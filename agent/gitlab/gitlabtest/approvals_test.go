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
	if got := d.ask(http.MethodGet, merges+"/1/approvals", ""); strings.Contains(got.text, "bob") || !strings.Contains(got.text, "carol") {
		t.Errorf("after one took it back: %s", got.text)
	}
	if got := d.ask(http.MethodGet, brought, "state=merged"); !strings.Contains(got.text, `"labels":[]`) {
		t.Errorf("without labels: %s", got.text)
	}
	d.SetToken("guest", gitlabtest.Token{User: gitlabtest.User{ID: 4, Access: 10}, Scopes: []string{"read_api"}})
	for _, path := range []string{brought, merges + "/1/approvals"} {
		if got := d.ask(http.MethodGet, path, "", "PRIVATE-TOKEN", "guest"); got.code != 403 {
			t.Errorf("a guest reads %s: %d", path, got.code)
		}
	}
}
