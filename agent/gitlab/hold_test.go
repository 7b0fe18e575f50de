package gitlab_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
)

// Once GitLab has asked one request to wait, the client sends no other one before, whatever it
// is about.
func TestAllRequestsWait(t *testing.T) {
	for name, test := range map[string]struct {
		fault gitlabtest.Fault
		holds bool
	}{
		"429":                     {gitlabtest.Fault{Status: 429, RetryAfter: time.Minute}, true},
		"503":                     {gitlabtest.Fault{Status: 503, RetryAfter: time.Minute}, true},
		"429 without Retry-After": {gitlabtest.Fault{Status: 429}, false},
		"409 of one commit":       {gitlabtest.Fault{Status: 409, RetryAfter: time.Minute}, false},
		"502":                     {gitlabtest.Fault{Status: 502}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				requests := gitlab.NewRequests(w.client)
				asks := map[string]func() error{
					"statuses":       func() error { _, err := w.client.Statuses(w.t.Context(), commit); return err },
					"token":          func() error { _, err := w.client.Token(w.t.Context()); return err },
					"merge requests": func() error { _, err := requests.Open(w.t.Context(), "master"); return err },
				}
				w.Inject(test.fault)
				if err := asks["token"](); err == nil {
					t.Fatal("no error")
				}
				before := len(w.Requests())
				end := time.Now().Add(time.Minute).UTC().Format("15:04:05 UTC")
				time.Sleep(20 * time.Second)
				for about, ask := range asks {
					var refused *gitlab.Error
					err := ask()
					if errors.As(err, &refused) != test.holds {
						t.Errorf("%s: %v", about, err)
					}
					if test.holds && !strings.HasSuffix(err.Error(), "GitLab asks for no request before "+end) { // the same at each look
						t.Errorf("%s: %v", about, err)
					}
					if test.holds && (refused.Kind != gitlab.KindRetry || refused.RetryAfter != 40*time.Second) {
						t.Errorf("%s: %+v", about, refused)
					}
				}
				if sent := len(w.Requests()) > before; sent == test.holds {
					t.Errorf("sent %v", w.Requests()[before:])
				}
				time.Sleep(40 * time.Second)
				for about, ask := range asks {
					if err := ask(); err != nil {
						t.Errorf("%s after the time: %v", about, err)
					}
				}
			})
		})
	}
}
