package gitlabtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestDeployments(t *testing.T) {
	d := newDouble(t)
	const all = "projects/" + project + "/deployments"
	body := func(status, more string) string {
		return fmt.Sprintf(`{"environment":"sandbox/node3","sha":%q,"ref":"master","tag":false,"status":%q%s}`, sha, status, more)
	}
	steps := []struct {
		name, method, path, params string
		code                       int
		want                       string
	}{
		{"nothing", http.MethodPost, all, `{}`, 400, "environment is missing"},
		{"no such state", http.MethodPost, all, body("pending", ""), 400, "status does not have a valid value"},
		{"no such commit", http.MethodPost, all, strings.Replace(body("running", ""), sha, strings.Repeat("9", 40), 1), 400, "The commit does not exist"},
		{"no such branch", http.MethodPost, all, strings.Replace(body("running", ""), "master", "nowhere", 1), 400, "The branch or tag does not exist"},
		{"a bad name", http.MethodPost, all, strings.Replace(body("running", ""), "sandbox/node3", "/node3", 1), 400, "cannot start or end with '/'"},
		{"running", http.MethodPost, all, body("running", ""), 201, `"id":9001`},
		{"running twice is another one", http.MethodPost, all, body("running", ""), 201, `"id":9002`},
		{"success", http.MethodPut, all + "/9001", `{"status":"success"}`, 200, `"status":"success"`},
		{"success twice", http.MethodPut, all + "/9001", `{"status":"success"}`, 400, ""},
		{"the last success again", http.MethodPost, all, body("success", ""), 201, `"id":9001`},
		{"failed", http.MethodPut, all + "/9002", `{"status":"failed"}`, 200, `"status":"failed"`},
		{"no such one", http.MethodPut, all + "/77", `{"status":"failed"}`, 404, ""},
		{"the list", http.MethodGet, all, "environment=sandbox%2Fnode3&order_by=id&sort=desc", 200, `[{"id":9002`},
		{"another environment", http.MethodGet, all, "environment=node3", 200, "[]"},
		{"a URL", http.MethodPut, "projects/7/environments/1", `{"external_url":"https://a.example"}`, 200, `"external_url":"https://a.example"`},
		{"a bad URL", http.MethodPut, "projects/7/environments/1", `{"external_url":"javascript:a"}`, 400, "is blocked"},
	}
	for _, step := range steps {
		if got := d.ask(step.method, step.path, step.params); got.code != step.code || !strings.Contains(got.text, step.want) {
			t.Errorf("%s: %d %s", step.name, got.code, got.text)
		}
	}
}
