package gitlabtest_test

import (
	"net/http"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

const merges = "projects/" + project + "/merge_requests"

func TestMergeRequests(t *testing.T) {
	d := newDouble(t)
	d.SetTips(func(branch string) string {
		return map[string]string{"master": sha, "rotate/a-1": strings.Repeat("2", 40)}[branch]
	})
	const body = `{"title": "Rotate a", "source_branch": "rotate/a-1", "target_branch": "master", "remove_source_branch": true}`
	steps := []struct {
		name, method, path, params string
		code                       int
		want                       string
	}{
		{"the project", http.MethodGet, "projects/" + project, "", 200, `"default_branch":"master"`},
		{"a branch", http.MethodGet, "projects/" + project + "/repository/branches/rotate%2Fa-1", "", 200, `"id":"2222`},
		{"no such branch", http.MethodGet, "projects/" + project + "/repository/branches/other", "", 404, "404 Branch Not Found"},
		{"nothing yet", http.MethodGet, merges, "state=opened", 200, "[]"},
		{"a bad state", http.MethodGet, merges, "state=open", 400, "state does not have a valid value"},
		{"no title", http.MethodPost, merges, `{"source_branch": "rotate/a-1"}`, 400, "title is missing, target_branch is missing"},
		{"no source", http.MethodPost, merges, strings.Replace(body, "a-1", "a-2", 1), 400, `{"message":{"source_branch":["does not exist"]}}`},
		{"into itself", http.MethodPost, merges, strings.Replace(body, "rotate/a-1", "master", 1), 422, "can't use same project/branch"},
		{"opened", http.MethodPost, merges, body, 201, `"web_url":"https://gitlab.coin.example/coin/coin-gitops/-/merge_requests/1"`},
		{"again", http.MethodPost, merges, body, 409, "Another open merge request already exists for this source branch: !1"},
		{"found", http.MethodGet, merges, "state=opened&source_branch=rotate%2Fa-1", 200, `"iid":1`},
		{"not of others", http.MethodGet, merges, "source_branch=rotate%2Fb", 200, "[]"},
	}
	for _, step := range steps {
		if got := d.ask(step.method, step.path, step.params); got.code != step.code || !strings.Contains(got.text, step.want) {
			t.Errorf("%s: %d %s", step.name, got.code, got.text)
		}
	}
	d.CloseMergeRequest(1)
	if got := d.ask(http.MethodPost, merges, body); got.code != 201 {
		t.Errorf("after it was closed: %d %s", got.code, got.text)
	}
	d.SetToken("reader", gitlabtest.Token{User: gitlabtest.User{ID: 2, Access: gitlabtest.Developer}, Scopes: []string{"read_api"}})
	d.SetToken("reporter", gitlabtest.Token{User: gitlabtest.User{ID: 3, Access: gitlabtest.Reporter}, Scopes: []string{"api"}})
	for _, token := range []string{"reader", "reporter"} {
		if got := d.ask(http.MethodPost, merges, body, "PRIVATE-TOKEN", token); got.code != 403 {
			t.Errorf("%s: %d %s", token, got.code, got.text)
		}
		if got := d.ask(http.MethodGet, merges, "", "PRIVATE-TOKEN", token); got.code != 200 {
			t.Errorf("%s reads: %d %s", token, got.code, got.text)
		}
	}
}
