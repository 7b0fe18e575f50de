package gitlabtest_test

import (
	"net/http"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

func TestEvents(t *testing.T) {
	d := newDouble(t)
	const events = "projects/" + project + "/events"
	d.AddPush(gitlabtest.User{ID: 200, Name: "ada"}, "topic", sha)
	d.AddPush(gitlabtest.Agent(), "topic", "")
	d.SetToken("guest", gitlabtest.Token{User: gitlabtest.User{ID: 4, Access: 10}, Scopes: []string{"read_api"}})
	d.SetToken("user", gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"read_user"}})
	steps := []struct {
		name, params, token string
		code                int
		want                string
	}{
		{"the newest first", "action=pushed&per_page=1", "", 200, `"action":"removed"`},
		{"the oldest first", "action=pushed&per_page=1&sort=asc", "", 200, `"author_username":"ada"`},
		{"a removed branch", "action=pushed", "", 200, `"commit_to":null`},
		{"of another kind", "action=merged", "", 200, "[]"},
		{"a bad action", "action=push", "", 400, "action does not have a valid value"},
		{"a guest", "", "guest", 403, "403 Forbidden"},
		{"a narrow token", "", "user", 403, "insufficient_scope"},
	}
	for _, step := range steps {
		var headers []string
		if step.token != "" {
			headers = []string{"PRIVATE-TOKEN", step.token}
		}
		if got := d.ask(http.MethodGet, events, step.params, headers...); got.code != step.code || !strings.Contains(got.text, step.want) {
			t.Errorf("%s: %d %s", step.name, got.code, got.text)
		}
	}
}
