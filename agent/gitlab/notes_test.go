package gitlab_test

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

func TestNotes(t *testing.T) {
	d := gitlabtest.New(t)
	client := newClient(t, options(d))
	_, err := client.WriteNote(t.Context(), 17, "a")
	if refused := (*gitlab.Error)(nil); !errors.As(err, &refused) || refused.Status != http.StatusNotFound || refused.Kind != gitlab.KindPermanent {
		t.Errorf("an issue that is not there: %v", err)
	}
	d.AddIssue(17)
	for i := range 120 { // more than a page
		d.AddNote(17, gitlabtest.User{ID: 7, Name: "eve"}, strconv.Itoa(i), i%10 == 0)
	}
	written, err := client.WriteNote(t.Context(), 17, "`the` newest")
	if err != nil || written.Text != "`the` newest" || written.Author != (gitlab.Account{ID: 101, Name: "coin-agent"}) || written.Written.IsZero() {
		t.Fatalf("%+v, %v", written, err)
	}
	var all []gitlab.Note
	for note, err := range client.Notes(t.Context(), 17) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, note)
	}
	if len(all) != 109 || all[0] != written || all[1].Text != "119" || all[1].Author.Name != "eve" || all[108].Text != "1" {
		t.Errorf("%d notes without GitLab's own: %+v", len(all), all[:2])
	}
	before := len(d.Requests())
	for _, err := range client.Notes(t.Context(), 17) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if n := len(d.Requests()) - before; n != 1 {
		t.Errorf("%d requests for the newest note", n)
	}
	if self, err := client.Self(t.Context()); err != nil || self != written.Author {
		t.Errorf("%+v, %v", self, err)
	}
	// GitLab takes a text that begins with a slash as a command, and keeps no note.
	if _, err := client.WriteNote(t.Context(), 17, "/close"); err == nil {
		t.Error("a command was taken for a note")
	}
	d.Inject(gitlabtest.Fault{Path: "notes", Status: http.StatusForbidden})
	last := slices.Collect(func(yield func(error) bool) {
		for _, err := range client.Notes(t.Context(), 17) {
			if !yield(err) {
				return
			}
		}
	})
	if len(last) != 1 || last[0] == nil {
		t.Errorf("refused: %v", last)
	}
}
