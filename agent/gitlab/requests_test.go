package gitlab_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/internal/limits"
)

func TestRequests(t *testing.T) {
	d := gitlabtest.New(t)
	requests := gitlab.NewRequests(newClient(t, options(d)))
	head, base := strings.Repeat("1", 40), strings.Repeat("b", 40)
	d.AddOpen(gitlabtest.Open{Source: "one", Head: head, Base: base})
	d.AddOpen(gitlabtest.Open{Source: "theirs", Head: head, Fork: true})
	d.AddOpen(gitlabtest.Open{Source: "other", Target: "stable", Head: head})
	open, err := requests.Open(t.Context(), "master")
	if err != nil {
		t.Fatal(err)
	}
	const page = "https://gitlab.coin.example/coin/coin-gitops/-/merge_requests/"
	want := []gitlab.Request{
		{Number: 2, State: gitlab.Opened, Author: "ada", Source: "theirs", Target: "master", Fork: true, Head: head, URL: page + "2", Labels: []string{}},
		{Number: 1, State: gitlab.Opened, Author: "ada", Source: "one", Target: "master", Head: head, URL: page + "1", Labels: []string{}},
	}
	for i := range open {
		want[i].Updated = d.MergeRequests()[open[i].Number-1].UpdatedAt
	}
	if diff := cmp.Diff(want, open); diff != "" {
		t.Error(diff)
	}
	want[1].Base = base
	one, err := requests.Find(t.Context(), 1)
	if diff := cmp.Diff(want[1], one); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	d.Approve(1, "bob")
	if again, err := requests.Find(t.Context(), 1); err != nil || !again.Updated.After(one.Updated) {
		t.Errorf("an approval does not change it: %+v, %v", again, err)
	}
	d.Push(1, "ada", strings.Repeat("2", 40)) // the one that changed last is the first
	if open, err := requests.Open(t.Context(), "master"); err != nil || open[0].Number != 1 || open[0].Head != strings.Repeat("2", 40) {
		t.Errorf("%+v, %v", open, err)
	}
	merged := strings.Repeat("3", 40)
	d.AddCommit(merged, "master")
	d.Merge(1, merged)
	if brought, err := requests.Brought(t.Context(), merged); err != nil || len(brought) != 1 || brought[0].Number != 1 {
		t.Errorf("%+v, %v", brought, err)
	}
	asked := len(d.Requests())
	if brought, err := requests.Brought(t.Context(), merged); err != nil || len(brought) != 1 || len(d.Requests()) > asked {
		t.Errorf("asked again: %+v, %v", brought, err)
	}
	if one, err := requests.Find(t.Context(), 1); err != nil || one.State != gitlab.Merged {
		t.Errorf("%+v, %v", one, err)
	}
	_, err = requests.Find(t.Context(), 9)
	if refused := (*gitlab.Error)(nil); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("no such merge request: %v", err)
	}
}

func TestManyOpenRequests(t *testing.T) {
	d := gitlabtest.New(t)
	requests := gitlab.NewRequests(newClient(t, options(d)))
	for i := range 250 {
		d.AddOpen(gitlabtest.Open{Source: fmt.Sprint(i), Head: strings.Repeat("1", 40)})
	}
	open, err := requests.Open(t.Context(), "master")
	if err != nil || len(open) != gitlab.MostOpen || open[0].Number != 250 || len(d.Requests()) != 2 {
		t.Errorf("%d of 250 with %d requests, %v", len(open), len(d.Requests()), err)
	}
}

func TestRequestNotes(t *testing.T) {
	d := gitlabtest.New(t)
	requests := gitlab.NewRequests(newClient(t, options(d)))
	d.AddOpen(gitlabtest.Open{Head: strings.Repeat("1", 40)})
	d.Push(1, "ada", strings.Repeat("2", 40)) // a note of GitLab's own
	for i := range 120 {
		d.AddRequestNote(1, gitlabtest.User{ID: 7, Name: "eve"}, strconv.Itoa(i))
	}
	written, err := requests.Write(t.Context(), 1, "own")
	if err != nil || written.Text != "own" || written.Author != (gitlab.Account{ID: 101, Name: "coin-agent"}) {
		t.Fatalf("%+v, %v", written, err)
	}
	for range 2 {
		if self, err := requests.Self(t.Context()); err != nil || self != written.Author {
			t.Errorf("%+v, %v", self, err)
		}
	}
	if err := requests.Change(t.Context(), 1, written.ID, "changed"); err != nil {
		t.Error(err)
	}
	var all []gitlab.Note
	for note, err := range requests.Notes(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, note)
	}
	if len(all) != 121 || all[0].Text != "0" || all[120].Text != "changed" || all[120].ID != written.ID {
		t.Errorf("%d notes: %+v", len(all), all[len(all)-1])
	}
	for range 2 { // the second time it is gone
		if err := requests.Remove(t.Context(), 1, written.ID); err != nil {
			t.Error(err)
		}
	}
	if err := requests.Remove(t.Context(), 9, 1); err != nil {
		t.Error(err) // so is the merge request
	}
	d.Inject(gitlabtest.Fault{Path: "notes", Status: http.StatusForbidden, Times: -1})
	if err := requests.Remove(t.Context(), 1, 5002); err == nil {
		t.Error("removed without the right to")
	}
	if _, err := requests.Write(t.Context(), 1, "a"); err == nil {
		t.Error("written without the right to")
	}
	users := 0
	for _, request := range d.Requests() {
		if strings.HasSuffix(request.Path, "/user") {
			users++
		}
	}
	if users != 1 {
		t.Errorf("asked %d times for the token's user", users)
	}
}

// TestTarget wants the page that a status links to, unless GitLab would refuse it.
func TestTarget(t *testing.T) {
	d := gitlabtest.New(t)
	d.AddCommit(commit, "master")
	client := newClient(t, options(d))
	for target, want := range map[string]string{
		"https://gitlab.coin.example/-/merge_requests/1#note_7": "https://gitlab.coin.example/-/merge_requests/1#note_7",
		"":                    "",
		"javascript:alert(1)": "",
		"https://a/\x7f":      "",
		"https://gitlab.coin.example/" + strings.Repeat("x", 300): "",
	} {
		one := report(gitlab.Success, "plan")
		one.Target = target
		if _, err := client.Post(t.Context(), one, 0); err != nil {
			t.Fatalf("%q: %v", target, err)
		}
		entries := d.Statuses(commit).Entries
		got := ""
		if link := entries[len(entries)-1].TargetURL; link != nil {
			got = *link
		}
		if got != want {
			t.Errorf("%q is %q", target, got)
		}
	}
}

// TestLongTexts reads many texts that are longer together than the answer to one question
// may be.
func TestLongTexts(t *testing.T) {
	d := gitlabtest.New(t)
	o := options(d)
	o.Limits = limits.Default()
	o.Limits.AnswerBytes = 64 << 10
	requests := gitlab.NewRequests(newClient(t, o))
	long := strings.Repeat("x", 20<<10)
	for i := range 17 {
		d.AddOpen(gitlabtest.Open{Source: fmt.Sprint(i), Head: strings.Repeat("1", 40), Description: long})
		d.AddRequestNote(1, gitlabtest.User{ID: 7, Name: "eve"}, long)
	}
	d.AddRequestNote(1, gitlabtest.User{ID: 7, Name: "eve"}, "last")
	open, err := requests.Open(t.Context(), "master")
	if err != nil || len(open) != 17 {
		t.Errorf("%d requests, %v", len(open), err)
	}
	count, last := 0, ""
	for one, err := range requests.Notes(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		count, last = count+1, one.Text
	}
	if count != 18 || last != "last" {
		t.Errorf("%d notes, the last is %q", count, last)
	}
	d.AddRequestNote(1, gitlabtest.User{ID: 7, Name: "eve"}, strings.Repeat(long, 4))
	for _, err = range requests.Notes(t.Context(), 1) {
		if err != nil {
			break
		}
	}
	if !errors.Is(err, limits.ErrExceeded) {
		t.Errorf("a note over the limit: %v", err)
	}
}
