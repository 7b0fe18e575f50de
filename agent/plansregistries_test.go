package agent_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/policy"
)

// previewed is a world whose agent shows the plans of merge requests in a double of GitLab.
type previewed struct {
	*world
	gitlab *gitlabtest.Server
	source branches
	heads  uint64
}

// showing has the agent show plans, under a policy. The daemon is not started yet.
func (w *world) showing(rules *policy.Policy) *previewed {
	w.t.Helper()
	p := &previewed{world: w, gitlab: gitlabtest.NewServer(gitlabtest.Config{}), source: branches{w, map[string]fstest.MapFS{}}, heads: 1}
	p.gitlab.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}})
	client, err := gitlab.New(gitlab.Options{URL: "http://localhost", Project: "coin/coin-gitops", TokenFile: gitlabtest.TokenFile(w.t, gitlabtest.Secret), Transport: double{p.gitlab}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.change = func(parts *agent.Parts) {
		requests := gitlab.NewRequests(client)
		parts.Source, parts.Policy = p.source, policy.NewCurrent(rules)
		parts.Previews = &agent.Previews{Branch: "master", Heads: func() uint64 { w.mu.Lock(); defer w.mu.Unlock(); return p.heads }, Requests: requests, Approvals: client, Notes: requests}
	}
	return p
}

// plan opens a merge request with a compose file, and gives its note.
func (p *previewed) plan(compose string) string {
	p.t.Helper()
	head := strings.Repeat(string(rune('a'+len(p.source.files))), 40)
	files := maps.Clone(p.files)
	files[nodeDir+"docker-compose.yml"] = file(compose)
	p.set(func() { p.source.files[head] = files })
	number := p.gitlab.AddOpen(gitlabtest.Open{Source: "b" + head[:1], Head: head})
	p.set(func() { p.heads++ })
	for range 5 {
		p.poll()
	}
	notes := p.gitlab.RequestNotes(number)
	if len(notes) != 1 {
		p.t.Fatalf("!%d has %d notes: %+v", number, len(notes), notes)
	}
	return notes[0].Body
}

// TestPlansAskKnownRegistries makes plans of branches without a review: a registry is asked
// only if what runs uses it, or if the policy says which images a commit may name.
func TestPlansAskKnownRegistries(t *testing.T) {
	for name, test := range map[string]struct {
		rules *policy.Policy
		asked bool
	}{
		"without a policy":          {nil, false},
		"with a policy of the rest": {&policy.Policy{Strict: true}, false},
		"with registries":           {&policy.Policy{Registries: policy.Patterns{"docker.io", "other.example"}}, true},
		"with images":               {&policy.Policy{Images: &policy.Images{Allow: policy.Patterns{"*"}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				var asked []string
				w.resolve = func(_ deploy.LiveServices, want *compose.Stack) (*compose.Stack, []string, error) {
					for _, spec := range want.Services {
						asked = append(asked, spec.TaskTemplate.ContainerSpec.Image)
					}
					return want, nil, nil
				}
				p := w.showing(test.rules)
				w.start()
				w.wantLast(w.revision.Commit, record.Succeeded)
				const words = "image other.example/app:2 of db is not resolved, and no signature of it is looked for"
				note := p.plan("services: {web: {image: \"app:2\"}, db: {image: \"other.example/app:2\"}}\n")
				if strings.Contains(note, words) == test.asked {
					t.Errorf("the note is:\n%s", note)
				}
				if !slices.Contains(asked, "app:2") || slices.Contains(asked, "other.example/app:2") != test.asked {
					t.Errorf("asked for %q", asked)
				}
			})
		})
	}
}

// TestPlansJudgeSignatures makes plans of branches whose image has another key's signature, and
// no signature: the row says so in the rollout's words. An image of another registry is not
// asked about, also if its digest is known.
func TestPlansJudgeSignatures(t *testing.T) {
	var stranger atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stranger.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(elsewhere.Close)
	inImageWorld(t, true, func(w *imageWorld) {
		p := w.showing(demand(true, w.ada.File))
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		w.tagged("2")
		note := p.plan("services: {web: {image: \"" + w.image + ":2\"}}\n")
		for _, want := range []string{"| node3 | `refused by the policy: ", "which is signed, and not by a listed key: policy.images.signatures does not allow it"} {
			if !strings.Contains(note, want) {
				t.Errorf("the note lacks %q:\n%s", want, note)
			}
		}
		w.tagged("3")
		if note := p.plan("services: {web: {image: \"" + w.image + ":3\"}}\n"); !strings.Contains(note, "which is not signed: policy.images.signatures") {
			t.Errorf("the note of an unsigned image is:\n%s", note)
		}
		w.set(func() { w.resolve = nil })
		other := strings.TrimPrefix(elsewhere.URL, "http://") + "/app:1@" + w.digests["1"].String()
		note = p.plan("services: {web: {image: \"" + w.image + ":1@" + w.digests["1"].String() + "\"}, db: {image: \"" + other + "\"}}\n")
		if !strings.Contains(note, "is not resolved, and no signature of it is looked for") || stranger.Load() > 0 {
			t.Errorf("%d requests; the note is:\n%s", stranger.Load(), note)
		}
	})
}
