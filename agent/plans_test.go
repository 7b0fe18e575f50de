package agent_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/policy"
	gitsync "coin.internal/coin-agent/sync"
)

// branches is the world's repository with branches besides.
type branches struct {
	w     *world
	files map[string]fstest.MapFS // by commit
}

func (b branches) Select(ctx context.Context, rule gitsync.Rule) (gitsync.Revision, error) {
	return b.w.Select(ctx, rule)
}

func (b branches) Tags(ctx context.Context, pattern string) ([]gitsync.Tag, error) {
	return b.w.Tags(ctx, pattern)
}

func (b branches) Descends(ctx context.Context, old, revision string) (bool, error) {
	return b.w.Descends(ctx, old, revision)
}

func (b branches) Between(ctx context.Context, older, newer string, in gitsync.Inputs) ([]gitsync.Commit, error) {
	return b.w.Between(ctx, older, newer, in)
}

func (b branches) Fetch(ctx context.Context, revision gitsync.Revision, paths []string) (*gitsync.Checkout, error) {
	if files, is := b.files[revision.Commit]; is {
		return &gitsync.Checkout{Revision: revision, FS: files}, nil
	}
	return b.w.Fetch(ctx, revision, paths)
}

// double carries requests to a double of GitLab in memory.
type double struct{ *gitlabtest.Server }

func (d double) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, served := httptest.NewRecorder(), req.Clone(req.Context())
	if served.Body == nil {
		served.Body = http.NoBody
	}
	d.ServeHTTP(answer, served)
	return answer.Result(), nil
}

// newGitLab makes a simulated GitLab, and a client with the agent's token.
func newGitLab(t *testing.T) (*gitlabtest.Server, *gitlab.Client) {
	t.Helper()
	server := gitlabtest.NewServer(gitlabtest.Config{})
	server.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}})
	client, err := gitlab.New(gitlab.Options{URL: "http://localhost", Project: "coin/coin-gitops", TokenFile: gitlabtest.TokenFile(t, gitlabtest.Secret), Transport: double{server}})
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// TestPlansOnlyRead has the agent show the plans of merge requests, and wants nothing but
// the notes and the statuses of it: no sync, no write, no approval, no entry.
func TestPlansOnlyRead(t *testing.T) {
	inWorld(t, func(w *world) {
		server, client := newGitLab(t)
		good, refused, broken := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)
		source := branches{w, map[string]fstest.MapFS{}}
		for head, compose := range map[string]string{
			good:    "services: {web: {image: \"app:2\"}}\n",
			refused: "services: {web: {image: \"app:2\", cap_add: [SYS_ADMIN]}}\n",
			broken:  "services: {web: {imag: \"app:2\"}}\n",
		} {
			source.files[head] = maps.Clone(w.files)
			source.files[head][nodeDir+"docker-compose.yml"] = file(compose)
			source.files[head][configFile] = file(string(w.files[configFile].Data) + "approval: {required: true, minimum: 2}\n")
		}
		heads := uint64(1)
		w.change = func(parts *agent.Parts) {
			requests := gitlab.NewRequests(client)
			parts.Source = source
			parts.Policy = policy.NewCurrent(&policy.Policy{Strict: true})
			parts.Previews = &agent.Previews{Branch: "master", Heads: func() uint64 { w.mu.Lock(); defer w.mu.Unlock(); return heads }, Requests: requests, Approvals: client, Notes: requests}
		}
		w.start()
		w.poll()
		commit := w.revision.Commit
		w.wantLast(commit, record.Succeeded)
		plans, head, syncs := w.plans(), w.audit.Head(), w.last().ID
		for _, one := range []string{good, refused, broken} {
			server.AddOpen(gitlabtest.Open{Source: "b" + one[:1], Head: one})
		}
		w.set(func() { heads++ })
		for range 20 {
			w.poll()
		}
		for number, want := range map[int64]string{
			1: "| node3 | 1 service to update (1 task of 1 service restarts) |  | approval 0/2, as of 2000-01-01 00:",
			2: "| node3 | refused by the policy: ",
			3: "| node3 | cannot be rendered: ",
		} {
			all := server.RequestNotes(number)
			if len(all) != 1 || !strings.Contains(all[0].Body, want) {
				t.Errorf("!%d lacks %q: %+v", number, want, all)
			}
		}
		if w.plans() != plans || w.audit.Head() != head || w.last().ID != syncs {
			t.Errorf("%d plans applied, audit log at %+v, last sync %d", w.plans()-plans, w.audit.Head(), w.last().ID)
		}
		for _, one := range []string{good, refused, broken} {
			asked, err := w.records.Asked(one, "another plan", false)
			if err != nil || asked.PlanDigest != "another plan" {
				t.Errorf("a plan of %s was remembered for an approval: %+v, %v", one, asked, err)
			}
		}
		if got := w.states(commit); got[len(got)-1] != gitlab.Success {
			t.Errorf("the status of what runs is %v", got)
		}
		w.wantLast(commit, record.Succeeded)
		time.Sleep(time.Second)
	})
}
