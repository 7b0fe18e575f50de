package gitlabtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

func TestPostsGoToNewestPipeline(t *testing.T) {
	d := newDouble(t)
	first := d.post("running", "").field(t, "pipeline_id")
	ci := d.StartPipeline(sha, "master", "build")
	if got := d.post("success", "").field(t, "pipeline_id"); got != float64(ci) {
		t.Errorf("success went to pipeline %v, want the CI pipeline %v", got, ci)
	}
	if entries := d.Statuses(sha).Entries; len(entries) != 2 || entries[0].Status != "running" || entries[0].Retried {
		t.Errorf("the first entry should hang: %+v", entries)
	}
	if got := d.post("success", fmt.Sprintf(`,"pipeline_id":%v`, first)); got.field(t, "pipeline_id") != first {
		t.Errorf("named pipeline not taken: %s", got.text)
	}
	if entries := d.Statuses(sha).Entries; entries[0].Status != "success" {
		t.Errorf("the first entry should be finished: %+v", entries)
	}
}

func TestPipelineMustMatchRef(t *testing.T) {
	d := newDouble(t)
	first := d.post("running", "").field(t, "pipeline_id")
	body := fmt.Sprintf(`{"state":"success","ref":"other","pipeline_id":%v}`, first)
	if got := d.ask(http.MethodPost, post, body); got.code != 404 || got.field(t, "message") != "404 Pipeline for pipeline_id, sha and ref Not Found" {
		t.Errorf("%d %s", got.code, got.text)
	}
	if got := d.ask(http.MethodPost, post, `{"state":"success","ref":"other"}`); got.code != 201 || got.field(t, "pipeline_id") == first {
		t.Errorf("another ref needs another pipeline: %d %s", got.code, got.text)
	}
	d.DeletePipeline(int64(first.(float64)))
	if got := d.post("success", fmt.Sprintf(`,"pipeline_id":%v`, first)); got.code != 404 {
		t.Errorf("deleted pipeline: %d %s", got.code, got.text)
	}
}

func TestRefOfNoParameter(t *testing.T) {
	d := newDouble(t)
	if got := d.ask(http.MethodPost, post, `{"state":"success"}`).field(t, "ref"); got != "master" {
		t.Errorf("ref %v, want the first branch", got)
	}
	d.StartPipeline(sha, "topic")
	if got := d.ask(http.MethodPost, post, `{"state":"success"}`).field(t, "ref"); got != "topic" {
		t.Errorf("ref %v, want the newest pipeline's", got)
	}
	const lone = "2222222222222222222222222222222222222222"
	d.AddCommit(lone)
	if got := d.ask(http.MethodPost, "projects/7/statuses/"+lone, `{"state":"success"}`); got.code != 404 {
		t.Errorf("no ref: %d %s", got.code, got.text)
	}
}

func TestFullPipeline(t *testing.T) {
	d := newDouble(t)
	first := d.post("running", "").field(t, "pipeline_id")
	d.FillPipeline(int64(first.(float64)))
	named := fmt.Sprintf(`,"pipeline_id":%v`, first)
	if got := d.post("success", named); got.code != 201 {
		t.Errorf("an open entry goes on: %d %s", got.code, got.text)
	}
	if got := d.post("success", named); got.code != 422 || got.field(t, "message") != "The number of jobs has exceeded the limit" {
		t.Errorf("a new entry does not fit: %d %s", got.code, got.text)
	}
	if got := d.post("success", ""); got.code != 201 || got.field(t, "pipeline_id") == first {
		t.Errorf("without a name there is a new pipeline: %d %s", got.code, got.text)
	}
}

func TestNameOfJobIsTaken(t *testing.T) {
	d := newDouble(t)
	d.StartPipeline(sha, "master", "n")
	if got := d.post("success", ""); got.code != 400 || got.text != `{"message":{"name":["has already been taken"]}}` {
		t.Errorf("%d %s", got.code, got.text)
	}
}

func TestAnotherUserStartsAnew(t *testing.T) {
	d := newDouble(t)
	d.SetToken("other", gitlabtest.Token{User: gitlabtest.User{ID: 102, Name: "other", Access: gitlabtest.Maintainer}, Scopes: []string{"api"}})
	d.post("running", "")
	if got := d.post("running", "", "PRIVATE-TOKEN", "other"); got.code != 201 {
		t.Fatalf("%d %s", got.code, got.text)
	}
	entries := d.Statuses(sha).Entries
	if len(entries) != 2 || entries[0].Status != "running" || !entries[0].Retried || entries[1].Retried {
		t.Errorf("the first user's entry should hang, retried: %+v", entries)
	}
}

func TestListing(t *testing.T) {
	d := newDouble(t)
	d.post("success", "")
	d.post("failed", "")
	d.ask(http.MethodPost, post, `{"state":"success","ref":"master","name":"m"}`)
	ci := d.StartPipeline(sha, "master", "build")
	d.post("running", "")
	tests := []struct {
		query string
		want  []int64
	}{
		{"", []int64{5002, 5003, 5004, 5005}},
		{"all=true", []int64{5001, 5002, 5003, 5004, 5005}},
		{"all=true&sort=desc&order_by=id", []int64{5005, 5004, 5003, 5002, 5001}},
		{"all=true&sort=desc&order_by=pipeline_id&name=n", []int64{5005, 5002, 5001}},
		{"name=m", []int64{5003}},
		{"stage=test", []int64{5004}},
		{"ref=other", nil},
		{fmt.Sprintf("pipeline_id=%d", ci), []int64{5004, 5005}},
		{"all=true&per_page=2&page=2", []int64{5003, 5004}},
		{"per_page=2&page=9", nil},
	}
	for _, test := range tests {
		var ids []int64
		for _, entry := range d.ask(http.MethodGet, list, test.query).entries(t) {
			ids = append(ids, entry.ID)
		}
		if diff := cmp.Diff(test.want, ids); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.query, diff)
		}
	}
	for query, want := range map[string]int{"sort=up": 400, "order_by=name": 400, "per_page=x": 400, "page=0": 400, "all=maybe": 400} {
		if got := d.ask(http.MethodGet, list, query); got.code != want {
			t.Errorf("%q: %d %s, want %d", query, got.code, got.text, want)
		}
	}
	header := d.ask(http.MethodGet, list, "all=true&per_page=2").header
	if header.Get("X-Next-Page") != "2" || header.Get("X-Total") != "5" || header.Get("Link") == "" {
		t.Errorf("headers of a page: %v", header)
	}
	if got := d.ask(http.MethodGet, list, "per_page=500").header.Get("X-Per-Page"); got != "100" {
		t.Errorf("per_page 500 gives %s", got)
	}
	if got := d.ask(http.MethodGet, "projects/7/repository/commits/"+sha[:8]+"/statuses", ""); got.text != "[]" {
		t.Errorf("short hash: %d %s, want an empty list", got.code, got.text)
	}
	if got := d.ask(http.MethodGet, "projects/7/repository/commits/9999999999/statuses", ""); got.code != 404 {
		t.Errorf("unknown commit: %d %s", got.code, got.text)
	}
}

func TestFaults(t *testing.T) {
	d := newDouble(t)
	d.Inject(gitlabtest.Fault{Status: 429, RetryAfter: 7 * time.Second})
	d.Inject(gitlabtest.Fault{Method: http.MethodPost, Status: 409})
	d.Inject(gitlabtest.Fault{Method: http.MethodPost, Status: 503, Times: 2})
	got := d.ask(http.MethodGet, "version", "")
	if got.code != 429 || got.text != "Retry later" || got.header.Get("Retry-After") != "7" || got.header.Get("RateLimit-Remaining") != "0" || got.header.Get("RateLimit-Reset") == "" {
		t.Errorf("%d %s %v", got.code, got.text, got.header)
	}
	var codes []int
	for range 4 {
		codes = append(codes, d.post("pending", "").code)
	}
	if !slices.Equal(codes, []int{409, 503, 503, 201}) {
		t.Errorf("got %v", codes)
	}
	if len(d.Statuses(sha).Posts) != 1 || len(d.Requests()) != 5 {
		t.Errorf("posts %v, requests %v", d.Statuses(sha).Posts, d.Requests())
	}
}

func TestPageShowsCommit(t *testing.T) {
	d := newDouble(t)
	d.post("running", `,"description":"<b>"`)
	page := httptest.NewRecorder()
	d.ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if text := page.Body.String(); page.Code != http.StatusOK || !strings.Contains(text, sha) || !strings.Contains(text, "&lt;b&gt;") {
		t.Errorf("%d %s", page.Code, text)
	}
}
