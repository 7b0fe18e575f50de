package access_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/access"
)

// TestHooksOfAnAddress makes guesses wait, and lets GitLab's hooks through that come from the
// same address, as behind a proxy.
func TestHooksOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard, _ := guarded(t, access.Options{Listen: "127.0.0.1:9181"})
		handler := guard.Hook(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("X-Gitlab-Token") != "right" {
				return false
			}
			w.WriteHeader(http.StatusAccepted)
			return true
		})
		send := func(token string) int {
			return ask(t, handler, header("X-Gitlab-Token", token)).Code
		}
		for i := range 20 {
			want := http.StatusUnauthorized
			if i >= 10 {
				want = http.StatusTooManyRequests
			}
			if code := send("wrong"); code != want {
				t.Errorf("guess %d gets %d", i, code)
			}
			if code := send("right"); code != http.StatusAccepted {
				t.Errorf("a hook after %d guesses gets %d", i+1, code)
			}
		}
		time.Sleep(time.Minute)
		if code := send("wrong"); code != http.StatusUnauthorized {
			t.Errorf("a minute later: %d", code)
		}
	})
}
