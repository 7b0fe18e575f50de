package tokens_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/tokens"
)

// TestProblems names what is missing, the setting and the remedy.
func TestProblems(t *testing.T) {
	reporter := gitlabtest.Agent()
	reporter.Access = gitlabtest.Reporter
	stranger := gitlabtest.Agent()
	stranger.Access = gitlabtest.NoMember
	for name, test := range map[string]struct {
		token gitlabtest.Token
		line  string
		text  []string // of the problems
		soon  bool
		hint  string
	}{
		"good":                  {gitlabtest.Token{Expires: time.Date(2000, 2, 15, 0, 0, 0, 0, time.UTC)}, "expires 2000-02-15", nil, true, ""},
		"without an end":        {gitlabtest.Token{}, "does not expire", nil, true, ""},
		"expires soon":          {gitlabtest.Token{Expires: time.Date(2000, 1, 14, 0, 0, 0, 0, time.UTC)}, "expires 2000-01-14", []string{"the token expires 2000-01-14"}, true, "create a token with the scope api and the role Developer, and write it into gitlab_token_file ("},
		"wrong scope":           {gitlabtest.Token{Scopes: []string{"read_repository", "read_api"}}, "does not expire", []string{"the token lacks the scope api; it has read_api, read_repository"}, false, "the scope api"},
		"no scope of the API":   {gitlabtest.Token{Scopes: []string{"read_registry"}}, "does not expire", []string{"the token lacks the scope api; it has read_registry"}, false, "gitlab_token_file ("},
		"fine-grained":          {gitlabtest.Token{Scopes: []string{"granular", "read_api"}}, "does not expire", nil, true, ""},
		"wrong role":            {gitlabtest.Token{User: reporter}, "does not expire", []string{"the token's user has the role Reporter in the project, and needs Developer"}, false, "grant the token's user the role Developer"},
		"no member":             {gitlabtest.Token{User: stranger}, "", []string{"read the role of the token's user: GitLab answers 404 Not Found: 404 Project Not Found"}, false, "a member of it"},
		"expired":               {gitlabtest.Token{Expires: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)}, "", []string{"Token is expired"}, false, "write a valid token with the scope api into gitlab_token_file ("},
		"revoked":               {gitlabtest.Token{Revoked: true}, "", []string{"Token was revoked"}, false, "write a valid token with the scope api into gitlab_token_file ("},
		"soon, and wrong scope": {gitlabtest.Token{Scopes: []string{"read_api"}, Expires: time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)}, "expires 2000-01-02", []string{"the token expires 2000-01-02", "lacks the scope api"}, false, "create a token"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) { // it is 2000-01-01
				w.allow(test.token)
				w.start()
				state, logs := w.watch.States()[0], w.logs.String()
				if len(state.Problems) != len(test.text) || state.Soon() != test.soon || tokens.Usable(w.watch.States())["gitlab_token_file"] != test.soon || test.line != "" && state.Line() != test.line {
					t.Fatalf("%+v, %s", state, state.Line())
				}
				for i, text := range test.text {
					problem, err := state.Problems[i], state.Errors()[i]
					if !strings.Contains(problem.Text, text) || !strings.Contains(problem.Hint, test.hint) || !strings.HasPrefix(err.Error(), "gitlab_token_file: ") {
						t.Errorf("%+v, %v", problem, err)
					}
					if !strings.Contains(logs, text) || !strings.Contains(logs, "setting=gitlab_token_file") {
						t.Errorf("log: %s", logs)
					}
				}
				if told := w.told.String(); strings.Contains(told, "gitlab_token_file") != (len(test.text) > 0) {
					t.Errorf("told: %s", told)
				}
				time.Sleep(12 * time.Hour) // as long as the problems stay, they are told once
				synctest.Wait()
				if n := strings.Count(w.told.String(), "gitlab_token_file ["); n != min(len(test.text), 1) {
					t.Errorf("told %d times: %s", n, w.told.String())
				}
			})
		})
	}
}

// TestProblemsEnd tells that the problems of a token are over, also if it was replaced while the
// agent was not running, but not before GitLab was asked about it.
func TestProblemsEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.allow(gitlabtest.Token{Revoked: true})
		w.start()
		w.stop()
		if over := w.over.String(); over != "git_token_file []\n" {
			t.Errorf("told %q", over)
		}
		w.over.Reset()
		w.SetToken("glpat-new", gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"api"}})
		w.write(w.file, "glpat-new")
		w.Inject(gitlabtest.Fault{Cut: true, Times: 1})
		w.start()
		if over := w.over.String(); over != "git_token_file []\n" {
			t.Errorf("told before GitLab answered: %q", over)
		}
		time.Sleep(12 * time.Hour)
		synctest.Wait()
		if over := w.over.String(); over != "git_token_file []\ngitlab_token_file []\n" {
			t.Errorf("told %q", over)
		}
	})
}

// TestExpiredKeepsItsEnd gives the end of a token also when GitLab refuses it, so that the alert
// on it lasts.
func TestExpiredKeepsItsEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		end := time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC)
		w.allow(gitlabtest.Token{Name: "agent", Expires: end})
		w.start()
		for range 3 {
			time.Sleep(36 * time.Hour)
			w.start()
		}
		state := w.watch.States()[0]
		if !state.Expires.Equal(end) || state.Name != "agent" || len(state.Problems) != 1 || !strings.Contains(state.Problems[0].Text, "Token is expired") {
			t.Errorf("%+v", state)
		}
	})
}

// TestGitToken reads the end of git's token, which may be a deploy token. The same token in
// both settings costs one request.
func TestGitToken(t *testing.T) {
	inWorld(t, func(w *world) {
		expires := time.Date(2000, 1, 10, 0, 0, 0, 0, time.UTC)
		w.SetToken("glpat-git", gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"read_repository"}, Expires: expires})
		w.start()
		want := func(line string, problems int) {
			t.Helper()
			if state := w.watch.States()[1]; !strings.Contains(state.Line(), line) || len(state.Problems) != problems {
				t.Errorf("%+v: %s", state, state.Line())
			}
		}
		next := func(secret string) int {
			before := len(w.Requests())
			w.write(w.git, secret)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			return w.asked(&before)
		}
		want("expires 2000-01-10", 1)
		next("gldt-a-deploy-token")
		want("as it does not know deploy tokens", 0)
		w.SetToken("glpat-registry", gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"read_registry"}})
		next("glpat-registry")
		want("does not expire", 1)
		w.SetToken("glpat-gone", gitlabtest.Token{User: gitlabtest.Agent(), Revoked: true})
		next("glpat-gone")
		want("", 1)
		if hint := w.watch.States()[1].Problems[0].Hint; !strings.Contains(hint, "into git_token_file (") {
			t.Errorf("hint %s", hint)
		}
		if n := next(gitlabtest.Secret); n != 0 {
			t.Errorf("%d requests for a token that is known", n)
		}
		want("does not expire", 0)
	})
}

// TestDaily asks once a day and token, and not anew after a restart. The warning comes when it
// is due, without a request.
func TestDaily(t *testing.T) {
	inWorld(t, func(w *world) {
		w.allow(gitlabtest.Token{Expires: time.Date(2000, 1, 18, 0, 0, 0, 0, time.UTC)})
		before := 0
		w.start()
		if n := w.asked(&before); n != 3 { // the token, its user's role, and git's token
			t.Errorf("%d requests at first", n)
		}
		for range 10 {
			time.Sleep(2*time.Hour - time.Second)
			w.start()
		}
		if n := w.asked(&before); n != 0 || w.watch.States()[0].Asked.IsZero() {
			t.Errorf("%d requests after restarts", n)
		}
		const days = 2
		time.Sleep(days * 24 * time.Hour)
		synctest.Wait()
		if n := w.asked(&before); n > 3*days || n < 3*(days-1) {
			t.Errorf("%d requests in %d days", n, days)
		}
		if w.told.Len() > 0 {
			t.Errorf("told too early: %s", w.told.String())
		}
		w.Inject(gitlabtest.Fault{Cut: true, Times: -1})
		time.Sleep(36 * time.Hour)
		synctest.Wait()
		if told := w.told.String(); !strings.Contains(told, "expires 2000-01-18") {
			t.Errorf("told: %s", told)
		}
		w.start()
		if told := w.told.String(); strings.Count(told, "expires 2000-01-18") != 2 { // the outbox of notices knows it
			t.Errorf("told after a restart: %s", told)
		}
	})
}

// TestAway asks no sooner than the backoff allows, and takes up a new token at once.
func TestAway(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Inject(gitlabtest.Fault{Status: 503, RetryAfter: 10 * time.Minute})
		w.Inject(gitlabtest.Fault{Status: 502, Times: -1})
		before := 0
		w.start()
		if state := w.watch.States()[0]; state.Line() != "GitLab was not asked about it yet" || len(state.Problems) > 0 {
			t.Errorf("%+v", state)
		}
		w.asked(&before)
		time.Sleep(10*time.Minute - time.Second)
		synctest.Wait()
		if n := w.asked(&before); n > 9 { // about git's token alone
			t.Errorf("%d requests in 10 minutes", n)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n := w.asked(&before); n > 2*3*60*60/200+10 { // of two tokens, every 200 s at most
			t.Errorf("%d requests in 3 hours", n)
		}
		w.Heal()
		w.SetToken("glpat-new", gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"api"}})
		w.write(w.file, "glpat-new")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if state := w.watch.States()[0]; state.Line() != "does not expire" {
			t.Errorf("%+v", state)
		}
	})
}

// TestRefused asks about a refused token once an hour: GitLab may take it again.
func TestRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		w.allow(gitlabtest.Token{Revoked: true})
		before := 0
		w.start()
		w.asked(&before)
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if n := w.asked(&before); n > 5 || len(w.watch.States()[0].Problems) != 1 {
			t.Errorf("%d requests, %+v", n, w.watch.States()[0])
		}
		w.allow(gitlabtest.Token{})
		time.Sleep(time.Hour + 10*time.Second)
		synctest.Wait()
		if state := w.watch.States()[0]; len(state.Problems) > 0 {
			t.Errorf("%+v", state)
		}
	})
}
