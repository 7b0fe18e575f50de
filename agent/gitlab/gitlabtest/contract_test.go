package gitlabtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

const (
	sha     = "1111111111111111111111111111111111111111"
	project = "coin%2Fcoin-gitops"
	post    = "projects/" + project + "/statuses/" + sha
	list    = "projects/" + project + "/repository/commits/" + sha + "/statuses"
)

// reply is what the double answers, decoded.
type reply struct {
	code   int
	header http.Header
	text   string
}

func (r reply) field(t *testing.T, name string) any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(r.text), &object); err != nil {
		t.Fatalf("decode %q: %v", r.text, err)
	}
	return object[name]
}

func (r reply) entries(t *testing.T) []gitlabtest.Status {
	t.Helper()
	var entries []gitlabtest.Status
	if err := json.Unmarshal([]byte(r.text), &entries); err != nil {
		t.Fatalf("decode %d %q: %v", r.code, r.text, err)
	}
	return entries
}

type double struct {
	*gitlabtest.Instance
	t *testing.T
}

func newDouble(t *testing.T) double {
	t.Helper()
	d := double{gitlabtest.New(t), t}
	d.AddCommit(sha, "master")
	return d
}

// ask makes a request; params become the JSON body of a POST, else the query.
func (d double) ask(method, path, params string, header ...string) reply {
	d.t.Helper()
	address := d.URL + "/api/v4/" + path
	body := io.Reader(http.NoBody)
	if method == http.MethodPost || method == http.MethodPut {
		body = strings.NewReader(params)
	} else if params != "" {
		address += "?" + params
	}
	req, err := http.NewRequestWithContext(d.t.Context(), method, address, body)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if len(header) == 0 {
		header = []string{"PRIVATE-TOKEN", gitlabtest.Secret}
	}
	req.Header.Set(header[0], header[1])
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, strings.TrimSpace(string(text))}
}

func (d double) post(state, more string, header ...string) reply {
	d.t.Helper()
	return d.ask(http.MethodPost, post, fmt.Sprintf(`{"state":%q,"ref":"master","name":"n"%s}`, state, more), header...)
}

func TestAnswersToSinglePosts(t *testing.T) {
	long := strings.Repeat("ж", 256)
	tests := []struct {
		name, path, body string
		code             int
		text             string
	}{
		{"project by path", post, `{"state":"success"}`, 201, ""},
		{"project by number", "projects/7/statuses/" + sha, `{"state":"success"}`, 201, ""},
		{"project with its slash bare", "projects/coin/coin-gitops/statuses/" + sha, `{"state":"success"}`, 404, `{"error":"404 Not Found"}`},
		{"other project", "projects/8/statuses/" + sha, `{"state":"success"}`, 404, `{"message":"404 Project Not Found"}`},
		{"unknown commit", "projects/7/statuses/" + strings.Repeat("9", 40), `{"state":"success"}`, 404, `{"message":"404 Commit Not Found"}`},
		{"short hash", "projects/7/statuses/" + sha[:10], `{"state":"success"}`, 201, ""},
		{"no state", post, `{}`, 400, `{"error":"state is missing, state does not have a valid value"}`},
		{"blank state", post, `{"state":" "}`, 400, `{"error":"state is missing, state does not have a valid value"}`},
		{"unknown state", post, `{"state":"succeeded"}`, 400, `{"error":"state does not have a valid value"}`},
		{"description of 255", post, `{"state":"success","description":"` + strings.Repeat("ж", 255) + `"}`, 201, ""},
		{"description of 256", post, `{"state":"success","description":"` + long + `"}`, 400, `{"message":{"description":["is too long (maximum is 255 characters)"]}}`},
		{"target of 256", post, `{"state":"success","target_url":"https://a/` + strings.Repeat("x", 246) + `"}`, 400, `{"message":{"target_url":["is too long (maximum is 255 characters)"]}}`},
		{"target of another scheme", post, `{"state":"success","target_url":"ftp://a/b"}`, 400, `{"message":{"target_url":["is blocked: Only allowed schemes are http, https"]}}`},
		{"unknown pipeline", post, `{"state":"success","pipeline_id":12}`, 404, `{"message":"404 Pipeline for pipeline_id, sha and ref Not Found"}`},
		{"pipeline that is no number", post, `{"state":"success","pipeline_id":"x"}`, 400, `{"error":"pipeline_id is invalid"}`},
		{"body that is no JSON", post, `{`, 400, `{"error":"The request body is not valid: unexpected EOF"}`},
		{"other endpoints", "projects/7/releases", `{}`, 404, `{"error":"404 Not Found"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := newDouble(t).ask(http.MethodPost, test.path, test.body)
			if got.code != test.code || (test.text != "" && got.text != test.text) {
				t.Errorf("got %d %s, want %d %s", got.code, got.text, test.code, test.text)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	d := newDouble(t)
	d.ProtectBranch("release")
	user := func(access gitlabtest.Access) gitlabtest.User {
		return gitlabtest.User{ID: 5, Name: "u", Access: access}
	}
	api := []string{"api"}
	d.SetToken("developer", gitlabtest.Token{User: user(gitlabtest.Developer), Scopes: api})
	d.SetToken("maintainer", gitlabtest.Token{User: user(gitlabtest.Maintainer), Scopes: api})
	d.SetToken("reporter", gitlabtest.Token{User: user(gitlabtest.Reporter), Scopes: api})
	d.SetToken("stranger", gitlabtest.Token{User: user(gitlabtest.NoMember), Scopes: api})
	d.SetToken("reader", gitlabtest.Token{User: user(gitlabtest.Maintainer), Scopes: []string{"read_api"}})
	d.SetToken("revoked", gitlabtest.Token{User: user(gitlabtest.Maintainer), Scopes: api, Revoked: true})
	d.SetToken("expired", gitlabtest.Token{User: user(gitlabtest.Maintainer), Scopes: api, Expires: time.Now().Add(-time.Second)})
	tests := []struct {
		header, secret, ref string
		code                int
		text                string
	}{
		{"PRIVATE-TOKEN", "maintainer", "master", 201, ""},
		{"Authorization", "Bearer maintainer", "master", 201, ""},
		{"Authorization", "Basic maintainer", "master", 401, `{"message":"401 Unauthorized"}`},
		{"PRIVATE-TOKEN", "wrong", "master", 401, `{"message":"401 Unauthorized"}`},
		{"PRIVATE-TOKEN", "", "master", 401, `{"message":"401 Unauthorized"}`},
		{"PRIVATE-TOKEN", "expired", "master", 401, `{"error":"invalid_token","error_description":"Token is expired. You can either do re-authorization or token refresh."}`},
		{"PRIVATE-TOKEN", "revoked", "master", 401, `{"error":"invalid_token","error_description":"Token was revoked. You have to re-authorize from the user."}`},
		{"PRIVATE-TOKEN", "reader", "master", 403, `{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token.","scope":"api"}`},
		{"PRIVATE-TOKEN", "reporter", "master", 403, `{"message":"403 Forbidden"}`},
		{"PRIVATE-TOKEN", "developer", "master", 201, ""},
		{"PRIVATE-TOKEN", "developer", "release", 403, `{"message":"403 Forbidden"}`},
		{"PRIVATE-TOKEN", "maintainer", "release", 201, ""},
		{"PRIVATE-TOKEN", "stranger", "master", 404, `{"message":"404 Project Not Found"}`},
	}
	for _, test := range tests {
		got := d.ask(http.MethodPost, post, `{"state":"success","ref":"`+test.ref+`"}`, test.header, test.secret)
		if got.code != test.code || (test.text != "" && got.text != test.text) {
			t.Errorf("%s %s on %s: got %d %s, want %d %s", test.header, test.secret, test.ref, got.code, got.text, test.code, test.text)
		}
	}
	if got := d.ask(http.MethodGet, list, "", "PRIVATE-TOKEN", "reader"); got.code != http.StatusOK {
		t.Errorf("read_api cannot read: %d %s", got.code, got.text)
	}
	if got := d.ask(http.MethodGet, "personal_access_tokens/self", "", "PRIVATE-TOKEN", "maintainer"); got.field(t, "user_id") != 5.0 || got.field(t, "active") != true {
		t.Errorf("token: %d %s", got.code, got.text)
	}
	if got := d.ask(http.MethodGet, "version", ""); got.field(t, "version") == nil {
		t.Errorf("version: %d %s", got.code, got.text)
	}
}

func TestTransitions(t *testing.T) {
	refused := func(event, from string) string {
		return fmt.Sprintf(`Cannot transition status via :%s from :%s (Reason(s): Status cannot transition via "%s")`, event, from, event)
	}
	finished := []string{"success", "failed", "canceled", "skipped"}
	for _, from := range append([]string{"", "pending", "running"}, finished...) {
		for _, to := range append([]string{"pending", "running"}, finished...) {
			t.Run(from+" to "+to, func(t *testing.T) {
				want, entries := "", 1
				switch {
				case from == "pending" && to == "pending", from == "running" && to == "pending":
					want = refused("enqueue", from)
				case from == "running" && to == "running":
					want = refused("run", from)
				case from == "running" && to == "skipped":
					want = refused("skip", from)
				case from != "" && from != "pending" && from != "running":
					entries = 2
				}
				d := newDouble(t)
				if from != "" {
					if got := d.post(from, `,"description":"first"`); got.code != 201 {
						t.Fatalf("%d %s", got.code, got.text)
					}
				}
				got := d.post(to, `,"description":"second"`)
				all := d.Statuses(sha).Entries
				last := all[len(all)-1]
				if len(all) != entries {
					t.Errorf("%d entries, want %d", len(all), entries)
				}
				if want == "" && (got.code != 201 || last.Status != to || *last.Description != "second") {
					t.Errorf("got %d %s", got.code, got.text)
				}
				if want != "" && (got.code != 400 || got.field(t, "message") != want || last.Status != from || *last.Description != "first") {
					t.Errorf("got %d %s, want 400 %s, unchanged", got.code, got.text, want)
				}
			})
		}
	}
}

func TestAnswerHasAllFields(t *testing.T) {
	got := newDouble(t).post("running", `,"description":"d","target_url":"https://a/b"`)
	for name := range strings.FieldsSeq("id sha ref status name target_url description created_at started_at allow_failure pipeline_id author") {
		if got.field(t, name) == nil {
			t.Errorf("no %s in %s", name, got.text)
		}
	}
	for _, name := range []string{"finished_at", "coverage"} {
		if !strings.Contains(got.text, `"`+name+`":null`) {
			t.Errorf("no null %s in %s", name, got.text)
		}
	}
}

func TestParametersAlsoAsForm(t *testing.T) {
	d := newDouble(t)
	form := url.Values{"state": {"success"}, "context": {"c"}, "description": {"x y"}}
	got := d.ask(http.MethodPost, post+"?"+form.Encode(), "")
	if got.code != 201 || got.field(t, "name") != "c" || got.field(t, "ref") != "master" {
		t.Errorf("%d %s", got.code, got.text)
	}
	if got := d.ask(http.MethodPost, post, `{"state":"success"}`); got.field(t, "name") != "default" {
		t.Errorf("%d %s", got.code, got.text)
	}
}
