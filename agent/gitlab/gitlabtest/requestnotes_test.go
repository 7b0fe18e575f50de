package gitlabtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

func TestRequestNotes(t *testing.T) {
	d := newDouble(t)
	d.AddOpen(gitlabtest.Open{Head: sha, Base: strings.Repeat("b", 40)})
	d.AddOpen(gitlabtest.Open{Head: sha, Target: "stable", Fork: true})
	own, other := d.AddRequestNote(1, gitlabtest.Agent(), "own"), d.AddRequestNote(1, gitlabtest.User{ID: 7, Name: "eve"}, "eve's")
	if own != 5001 || other != 5002 {
		t.Fatal(own, other)
	}
	d.SetToken("developer", gitlabtest.Token{User: gitlabtest.User{ID: 8, Name: "dev", Access: gitlabtest.Developer}, Scopes: []string{"api"}})
	d.SetToken("reader", gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"read_api"}})
	const list, notes = "projects/" + project + "/merge_requests", "projects/" + project + "/merge_requests/1/notes"
	long := strings.Repeat("ж", 1_000_001)
	for _, step := range []struct {
		name, method, path, params, token string
		code                              int
		want                              string
	}{
		{"the open ones into a branch", http.MethodGet, list, "state=opened&target_branch=master", "", 200, `"source_project_id":7,"target_project_id":7`},
		{"of a fork", http.MethodGet, list, "target_branch=stable", "", 200, `"source_project_id":8,"target_project_id":7`},
		{"one a page", http.MethodGet, list, "per_page=1&order_by=updated_at", "", 200, `[{"id":9001`},
		{"an unknown order", http.MethodGet, list, "order_by=id", "", 400, "order_by does not have a valid value"},
		{"one, with where it began", http.MethodGet, list + "/1", "", "", 200, `"diff_refs":{"base_sha":"` + strings.Repeat("b", 40)},
		{"one that is prepared", http.MethodGet, list + "/2", "", "", 200, `"diff_refs":null`},
		{"no such one", http.MethodGet, list + "/9", "", "", 404, "404 Not found"},
		{"a note", http.MethodPost, notes, `{"body":"text"}`, "", 201, `"noteable_type":"MergeRequest"`},
		{"a note with a command", http.MethodPost, notes, `{"body":"text\n/merge\nmore"}`, "", 201, `"body":"text\nmore"`},
		{"a command alone", http.MethodPost, notes, `{"body":"/close"}`, "", 202, "commands_changes"},
		{"without text", http.MethodPost, notes, `{}`, "", 400, "body is missing"},
		{"too long", http.MethodPost, notes, `{"body":"` + long + `"}`, "", 400, ""},
		{"by a reader", http.MethodPost, notes, `{"body":"text"}`, "reader", 403, "insufficient_scope"},
		{"a change", http.MethodPut, notes + "/5001", `{"body":"changed"}`, "", 200, `"body":"changed"`},
		{"a change with a command", http.MethodPut, notes + "/5001", `{"body":"changed\n/approve"}`, "", 200, `"body":"changed\n"`},
		{"a change of another user's", http.MethodPut, notes + "/5001", `{"body":"changed"}`, "developer", 403, "403 Forbidden"},
		{"of another user's by a maintainer", http.MethodPut, notes + "/5002", `{"body":"changed"}`, "", 200, `"username":"eve"`},
		{"a change without text", http.MethodPut, notes + "/5001", `{}`, "", 400, "body is missing"},
		{"a change of no note", http.MethodPut, notes + "/9", `{"body":"changed"}`, "", 404, "404 Note Not Found"},
		{"no number", http.MethodPut, notes + "/x", `{"body":"changed"}`, "", 400, "note_id is invalid"},
		{"an end of another user's", http.MethodDelete, notes + "/5001", "", "developer", 403, "403 Forbidden"},
		{"an end", http.MethodDelete, notes + "/5001", "", "", 204, ""},
		{"an end again", http.MethodDelete, notes + "/5001", "", "", 404, "404 Note Not Found"},
	} {
		token := gitlabtest.Secret
		if step.token != "" {
			token = step.token
		}
		if got := d.ask(step.method, step.path, step.params, "PRIVATE-TOKEN", token); got.code != step.code || !strings.Contains(got.text, step.want) {
			t.Errorf("%s: %d %.300s", step.name, got.code, got.text)
		}
	}
	if diff := cmp.Diff([]string{"/merge", "/close", "/approve"}, d.Commands()); diff != "" {
		t.Error(diff)
	}
	var texts []string
	for _, one := range d.RequestNotes(1) {
		texts = append(texts, one.Body)
	}
	if diff := cmp.Diff([]string{"changed", "text", "text\nmore"}, texts); diff != "" {
		t.Error(diff)
	}
	d.Merge(1, strings.Repeat("4", 40))
	if got := d.ask(http.MethodGet, list, "state=opened&target_branch=master"); got.text != "[]" {
		t.Errorf("after the merge: %s", got.text)
	}
}
