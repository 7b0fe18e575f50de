package main

import (
	"crypto/sha256"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// snapshot is a file at a moment.
type snapshot struct {
	Modified time.Time
	Sum      [sha256.Size]byte
}

func snapshotOf(t *testing.T, path string) snapshot {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot{info.ModTime(), sha256.Sum256(content)}
}

// TestIdle holds a look that finds nothing new to its price: one ref listing,
// a few reads of the engine, nothing written anywhere, nothing told to GitLab. GitLab is asked
// about the token once a day: by one request, and one for the role of its user. A sync takes few
// requests.
func TestIdle(t *testing.T) {
	l, first := newSmallLab(t)
	l.running(first)
	l.until("the token is known", func(s report.Status) bool { return len(s.Tokens) == 1 && !s.Tokens[0].Asked.IsZero() })
	l.posts(first, "success")
	l.looks(1)
	requests := l.gitlab.Requests()
	others := slices.DeleteFunc(slices.Clone(requests), func(request gitlabtest.Request) bool {
		return request.Path == "/api/v4/personal_access_tokens/self" || request.Path == "/api/v4/projects/coin%2Fcoin-gitops"
	})
	if len(requests)-len(others) != 2 {
		t.Errorf("%d requests about the token: %+v", len(requests)-len(others), requests)
	}
	wantFew(t, "the first sync", others)
	const looks = 3
	asks, release := l.heldLooks()
	looked := asks()
	l.recorder.Reset()
	l.git.Requests()
	before, told := snapshotOf(t, l.stateFile()), len(l.gitlab.Requests())
	for look := range looks {
		now := asks()
		if !now.After(looked) {
			t.Errorf("look %d asks the git server again", look)
		}
		looked = now
	}

	asked := l.git.Requests()
	if len(asked) != looks {
		t.Errorf("%d looks took %d requests: %v", looks, len(asked), asked)
	}
	for _, request := range asked {
		if request != "POST /repo/git-upload-pack" {
			t.Errorf("a look asked the git server for %s", request)
		}
	}
	if writes := l.recorder.Writes(); len(writes) > 0 {
		t.Errorf("looks wrote: %v", writes)
	}
	if calls := l.recorder.Calls(); len(calls) == 0 || len(calls) > 3*looks {
		t.Errorf("%d looks took %d calls of the engine: %v", looks, len(calls), calls)
	} else {
		t.Logf("%d looks: %v", looks, calls)
	}
	if diff := cmp.Diff(before, snapshotOf(t, l.stateFile())); diff != "" {
		t.Errorf("looks touched the state file:\n%s", diff)
	}
	if now := len(l.gitlab.Requests()); now != told {
		t.Errorf("looks told GitLab: %+v", l.gitlab.Requests()[told:])
	}
	release()

	second := l.commit("second", map[string]string{node3 + "node.env": l.nodeEnv("1", "TAG_WORKER=2")})
	l.await(second, record.Succeeded)
	l.posts(second, "success")
	l.looks(2)
	wantFew(t, "a rollout", l.gitlab.Requests()[told:])
}

// heldLooks holds the daemon at each request to the git server, so that what is counted in between is
// that of whole looks, however slow the test is. asks lets the request that is held pass, waits for the
// next one, and gives when the last look ended.
func (l *lab) heldLooks() (asks func() time.Time, release func()) {
	turns, held := make(chan struct{}), false
	l.git.Hang(func(*http.Request) bool {
		<-turns // it has come
		<-turns // it passes
		return false
	})
	release = sync.OnceFunc(func() {
		l.git.Hang(nil)
		close(turns)
	})
	l.t.Cleanup(release)
	return func() time.Time {
		l.t.Helper()
		if held {
			turns <- struct{}{}
		}
		held = true
		select {
		case turns <- struct{}{}:
		case <-time.After(patience):
			l.t.Fatal("the daemon does not look")
		}
		status, err := l.status()
		if err != nil {
			l.t.Fatal(err)
		}
		return status.LastLook
	}, release
}

// mostRequests is how many requests to GitLab a sync of a node may take.
const mostRequests = 8

func wantFew(t *testing.T, what string, requests []gitlabtest.Request) {
	t.Helper()
	var list []string
	for _, one := range requests {
		list = append(list, one.Method+" "+one.Path)
	}
	if len(list) == 0 || len(list) > mostRequests {
		t.Errorf("%s took %d requests: %q", what, len(list), list)
	}
	t.Logf("%s took %d requests: %q", what, len(list), list)
}
