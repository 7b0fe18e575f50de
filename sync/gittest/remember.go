package gittest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// remember answers the first request of each look in version 2 of the protocol, which asks what
// the server can do, with what git itself has answered once: that depends on git and on its
// settings alone. All else goes to git.
func remember(git http.Handler) http.Handler {
	var mu sync.Mutex
	known := map[string]*httptest.ResponseRecorder{} // by path
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.RawQuery != "service=git-upload-pack" || !strings.Contains(r.Header.Get("Git-Protocol"), "version=2") {
			git.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		answer := known[r.URL.Path]
		if answer == nil {
			answer = httptest.NewRecorder()
			git.ServeHTTP(answer, r)
			if answer.Code == http.StatusOK {
				known[r.URL.Path] = answer
			}
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}
