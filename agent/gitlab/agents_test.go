package gitlab_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// The default is the token's own user, asked once for each token.
func TestAgents(t *testing.T) {
	d := gitlabtest.New(t)
	client := newClient(t, options(d))
	agents := func(want string) {
		t.Helper()
		for range 2 {
			if got, err := client.Agents(t.Context()); err != nil || strings.Join(got, " ") != want {
				t.Fatalf("got %v, %v; want %s", got, err, want)
			}
		}
	}
	asked := func() (times int) {
		for _, request := range d.Requests() {
			if strings.HasSuffix(request.Path, "/user") {
				times++
			}
		}
		return times
	}
	agents("coin-agent")
	if times := asked(); times != 1 {
		t.Errorf("asked %d times for the user", times)
	}
	d.SetToken("glpat-next", gitlabtest.Token{User: gitlabtest.User{ID: 9, Name: "Other-Bot", Access: gitlabtest.Maintainer}, Scopes: []string{"read_api"}})
	if err := os.WriteFile(d.TokenFile, []byte("glpat-next\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	agents("other-bot")
	d.SetToken("glpat-next", gitlabtest.Token{Revoked: true})
	agents("other-bot")
	chosen := options(d)
	chosen.Agents = []string{"@Coin-Agent", "node2-bot"}
	if got, err := newClient(t, chosen).Agents(t.Context()); err != nil || !slices.Equal(got, []string{"coin-agent", "node2-bot"}) {
		t.Errorf("got %v, %v", got, err)
	}
	d.SetToken("glpat-next", gitlabtest.Token{Scopes: []string{"read_repository"}})
	if got, err := newClient(t, options(d)).Agents(t.Context()); err == nil {
		t.Errorf("without the scope: %v", got)
	}
}

// Statuses carry their author, whom a posted name cannot change.
func TestAuthorOfAStatus(t *testing.T) {
	d := gitlabtest.New(t)
	d.AddCommit(commit, "master")
	client := newClient(t, options(d))
	if _, err := client.Post(t.Context(), report(gitlab.Failed, ""), 0); err != nil {
		t.Fatal(err)
	}
	d.SetToken("glpat-eve", gitlabtest.Token{User: gitlabtest.User{ID: 8, Name: "Eve", Access: gitlabtest.Maintainer}, Scopes: []string{"api"}})
	eve := options(d)
	eve.TokenFile = gitlabtest.TokenFile(t, "glpat-eve")
	if _, err := newClient(t, eve).Post(t.Context(), report(gitlab.Success, ""), 0); err != nil {
		t.Fatal(err)
	}
	var got []string
	all, err := client.Statuses(t.Context(), commit)
	for _, one := range all {
		got = append(got, one.Author+" "+string(one.State))
	}
	if err != nil || strings.Join(got, ", ") != "coin-agent failed, eve success" {
		t.Errorf("got %v, %v", got, err)
	}
}
