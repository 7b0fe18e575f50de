package gitlabtest_test

import (
	"net/http"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

const notes = "projects/" + project + "/issues/17/notes"

func TestNotes(t *testing.T) {
	d := newDouble(t)
	d.AddIssue(17)
	long := strings.Repeat("ж", 1_000_001)
	steps := []struct {
		name, method, path, params string
		code                       int
		want                       string
	}{
		{"nothing yet", http.MethodGet, notes, "", 200, "[]"},
		{"without text", http.MethodPost, notes, `{"body": " "}`, 400, `{"error":"body is missing"}`},
		{"too long", http.MethodPost, notes, `{"body": "` + long + `"}`, 400, ""},
		{"written", http.MethodPost, notes, `{"body": "first"}`, 201, `"noteable_type":"Issue"`},
		{"a command", http.MethodPost, notes, `{"body": "/close"}`, 202, "commands_changes"},
		{"another", http.MethodPost, notes, `{"body": "second"}`, 201, `"username":"coin-agent"`},
		{"the newest first", http.MethodGet, notes, "per_page=1", 200, `"body":"second"`},
		{"the oldest first", http.MethodGet, notes, "per_page=1&sort=asc", 200, `"body":"first"`},
		{"by change", http.MethodGet, notes, "per_page=1&sort=desc&order_by=updated_at", 200, `"body":"second"`},
		{"a bad order", http.MethodGet, notes, "order_by=id", 400, "order_by does not have a valid value"},
		{"a bad direction", http.MethodGet, notes, "sort=up", 400, "sort does not have a valid value"},
		{"another issue", http.MethodGet, strings.Replace(notes, "17", "18", 1), "", 404, `{"message":"404 Issue Not Found"}`},
		{"on another issue", http.MethodPost, strings.Replace(notes, "17", "18", 1), `{"body": "a"}`, 404, `{"message":"404 Issue Not Found"}`},
		{"not a number", http.MethodGet, strings.Replace(notes, "17", "x", 1), "", 400, "noteable_id is invalid"},
		{"another project", http.MethodGet, "projects/8/issues/17/notes", "", 404, "404 Project Not Found"},
		{"the user", http.MethodGet, "user", "", 200, `"username":"coin-agent"`},
	}
	for _, step := range steps {
		if got := d.ask(step.method, step.path, step.params); got.code != step.code || !strings.Contains(got.text, step.want) {
			t.Errorf("%s: %d %s", step.name, got.code, got.text)
		}
	}
	d.SetToken("reader", gitlabtest.Token{User: gitlabtest.User{ID: 2, Name: "reader", Access: gitlabtest.Developer}, Scopes: []string{"read_api"}})
	d.SetToken("registry", gitlabtest.Token{User: gitlabtest.User{ID: 3, Name: "r", Access: gitlabtest.Developer}, Scopes: []string{"read_registry"}})
	for _, step := range []struct {
		token, method, path string
		code                int
	}{
		{"reader", http.MethodGet, notes, 200},
		{"reader", http.MethodGet, "user", 200},
		{"reader", http.MethodPost, notes, 403},
		{"registry", http.MethodGet, notes, 403},
		{"registry", http.MethodGet, "user", 403},
		{"unknown", http.MethodGet, "user", 401},
	} {
		params := ""
		if step.method == http.MethodPost {
			params = `{"body": "a"}`
		}
		if got := d.ask(step.method, step.path, params, "PRIVATE-TOKEN", step.token); got.code != step.code {
			t.Errorf("%s of %s: %d %s", step.token, step.path, got.code, got.text)
		}
	}
	all := d.Notes(17)
	if len(all) != 2 || all[0].Body != "first" || !all[0].UpdatedAt.Equal(all[0].CreatedAt) {
		t.Fatalf("%+v", all)
	}
	d.EditNote(17, all[0].ID, "other")
	d.DeleteNote(17, all[1].ID)
	if all := d.Notes(17); len(all) != 1 || all[0].Body != "other" || !all[0].UpdatedAt.After(all[0].CreatedAt) {
		t.Errorf("%+v", all)
	}
}
