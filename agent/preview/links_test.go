package preview_test

import (
	"context"
	"errors"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/preview"
)

type linked struct {
	asked int
	err   error
}

// books are those of two stacks, of which the second one has the link.
func books() ([]preview.Book, error) {
	return []preview.Book{{Shown: []preview.Shown{{Number: 5}}}, {Shown: []preview.Shown{{Number: 4, Link: "https://gitlab/4#note_9"}, {Number: 5}}}}, nil
}

func (l *linked) Brought(_ context.Context, commit string) ([]gitlab.Request, error) {
	l.asked++
	if commit == "other" {
		return []gitlab.Request{{Number: 5}}, l.err
	}
	return []gitlab.Request{{Number: 3}, {Number: 4}}, l.err
}

// deployments has a page of each commit.
type deployments struct{}

func (deployments) Of(_ context.Context, status gitlab.Report) string {
	return "https://gitlab/deployments/" + status.Commit
}

func TestLinks(t *testing.T) {
	known := &linked{err: errors.New("GitLab is down")}
	links := &preview.Links{Fallback: "https://gitlab/environments", Books: books, Deployments: deployments{}, Requests: known}
	of := func(commit, target string) string {
		return links.Of(t.Context(), gitlab.Report{Commit: commit, Target: target})
	}
	if got := of("merged", links.Fallback); got != "https://gitlab/deployments/merged" {
		t.Errorf("without an answer: %q", got)
	}
	known.err = nil
	for range 3 {
		if got := of("merged", links.Fallback); got != "https://gitlab/4#note_9" {
			t.Errorf("got %q", got)
		}
	}
	if got := of("merged", "https://gitlab/4"); got != "" {
		t.Errorf("the status of a plan links to %q", got)
	}
	if got := of("other", links.Fallback); got != "https://gitlab/deployments/other" {
		t.Errorf("a commit without a note links to %q", got)
	}
	if known.asked != 3 {
		t.Errorf("asked %d times", known.asked)
	}
	links.Requests = nil // no plans are shown
	if got := of("merged", links.Fallback); got != "https://gitlab/deployments/merged" {
		t.Errorf("without plans: %q", got)
	}
}
