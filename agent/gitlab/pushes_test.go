package gitlab_test

import (
	"fmt"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// TestPusher finds the last push to a branch among those to others, on a later page, too.
func TestPusher(t *testing.T) {
	d := gitlabtest.New(t)
	client := newClient(t, options(d))
	first, second := strings.Repeat("1", 40), strings.Repeat("2", 40)
	bob := gitlabtest.User{ID: 7, Name: "bob"}
	d.AddPush(gitlabtest.Agent(), "topic", first)
	d.AddPush(bob, "topic", second)
	for i := range 120 {
		d.AddPush(bob, fmt.Sprint("other", i), first)
	}
	for commit, want := range map[string]gitlab.Account{second: {ID: 7, Name: "bob"}, first: {}} {
		if got, err := client.Pusher(t.Context(), "topic", commit); err != nil || got != want {
			t.Errorf("%s: %+v, %v", commit, got, err)
		}
	}
	for range 1000 {
		d.AddPush(bob, "other", first)
	}
	if got, err := client.Pusher(t.Context(), "topic", second); err != nil || got != (gitlab.Account{}) {
		t.Errorf("without end: %+v, %v", got, err)
	}
}

// TestOpenRequest finds no merge request of a fork whose branch has the same name.
func TestOpenRequest(t *testing.T) {
	d := gitlabtest.New(t)
	client := newClient(t, options(d))
	d.SetTips(func(string) string { return strings.Repeat("1", 40) })
	d.AddOpen(gitlabtest.Open{Source: "topic", Fork: true})
	if one, err := client.OpenRequest(t.Context(), "topic", "master"); err != nil || one.Number != 0 {
		t.Errorf("of a fork: %+v, %v", one, err)
	}
	wanted := gitlab.MergeRequest{Source: "topic", Target: "master", Title: "Change"}
	if opened, err := client.OpenMergeRequest(t.Context(), wanted); err != nil || opened.Number != 2 || opened.Existed {
		t.Errorf("opened %+v, %v", opened, err)
	}
	d.AddOpen(gitlabtest.Open{Source: "topic", Fork: true})
	if one, err := client.OpenRequest(t.Context(), "topic", "master"); err != nil || one.Number != 2 || one.Author != "coin-agent" {
		t.Errorf("found %+v, %v", one, err)
	}
}
