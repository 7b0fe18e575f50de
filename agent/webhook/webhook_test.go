package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/webhook"
)

const secret = "0123456789abcdef0123456789abcdef"

type receiver struct {
	*webhook.Receiver
	looks int
	lists int
}

func open(t *testing.T, token string) *receiver {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &receiver{}
	var err error
	r.Receiver, err = webhook.New(webhook.Options{
		TokenFile: file, Project: "coin/coin-gitops", Target: "master", Look: func() { r.looks++ }, Relist: func() { r.lists++ }, Log: slog.New(slog.DiscardHandler),
		Follows: func(ref string, tag bool) bool { return !tag && ref == "master" || tag && strings.HasPrefix(ref, "v") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *receiver) post(body string, headers ...string) (status int, known bool) {
	request := httptest.NewRequest(http.MethodPost, "/hooks/gitlab", strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	if !r.Handle(recorder, request) {
		return 401, false // the guard answers
	}
	return recorder.Code, true
}

func hook(kind, ref string) string {
	return `{"object_kind":"` + kind + `","ref":"` + ref + `","project":{"id":7,"path_with_namespace":"coin/coin-gitops"},"object_attributes":{"target_branch":"` + ref + `"}}`
}

func TestHooks(t *testing.T) {
	for name, test := range map[string]struct {
		body, token string
		status      int
		looks       int
	}{
		"push":                  {hook("push", "refs/heads/master"), secret, 202, 1},
		"push to another":       {hook("push", "refs/heads/other"), secret, 202, 0},
		"a tag named master":    {hook("push", "refs/tags/master"), secret, 202, 0},
		"tag":                   {hook("tag_push", "refs/tags/v1"), secret, 202, 1},
		"another tag":           {hook("tag_push", "refs/tags/w1"), secret, 202, 0},
		"merge request":         {hook("merge_request", "master"), secret, 202, 1},
		"merge request of them": {hook("merge_request", "other"), secret, 202, 0},
		"pipeline":              {hook("pipeline", "master"), secret, 202, 0},
		"another project":       {strings.Replace(hook("push", "refs/heads/master"), "coin-gitops", "other", 1), secret, 202, 0},
		"project in capitals":   {strings.Replace(hook("push", "refs/heads/master"), "coin/", "COIN/", 1), secret, 202, 1},
		"wrong token":           {hook("push", "refs/heads/master"), secret + "0", 401, 0},
		"no token":              {hook("push", "refs/heads/master"), "", 401, 0},
		"not JSON":              {"{", secret, 400, 0},
		"too large":             {strings.Repeat(" ", 1<<20+1), secret, 202, 1},
		"too large, unknown":    {strings.Repeat(" ", 1<<20+1), secret + "0", 401, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, secret)
			status, known := r.post(test.body, "X-Gitlab-Token", test.token)
			if status != test.status || r.looks != test.looks || known != (status != 401) {
				t.Errorf("%d, %d looks, known %t", status, r.looks, known)
			}
		})
	}
}

// TestHooksWithoutPush has the merge requests listed where no ref has moved.
func TestHooksWithoutPush(t *testing.T) {
	for name, test := range map[string]struct {
		more  string
		lists int
	}{
		"opened":           {`"action":"open"`, 0},
		"opened again":     {`"action":"reopen"`, 1},
		"approved":         {`"action":"approved"`, 1},
		"approved by one":  {`"action":"approval"`, 1},
		"withdrawn":        {`"action":"unapproved"`, 1},
		"withdrawn by one": {`"action":"unapproval"`, 1},
		"another label":    {`"action":"update"},"changes":{"labels":{"previous":[],"current":[{"title":"CAB approved"}]}`, 1},
		"another target":   {`"action":"update"},"changes":{"target_branch":{"previous":"other","current":"master"}`, 1},
		"another title":    {`"action":"update"},"changes":{"title":{"previous":"a","current":"b"}`, 0},
		"changes are null": {`"action":"update"},"changes":null,"a":{"b":1`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, secret)
			body := strings.Replace(hook("merge_request", "master"), `"target_branch":"master"}}`, `"target_branch":"master",`+test.more+`}}`, 1)
			if status, _ := r.post(body, "X-Gitlab-Token", secret); status != 202 || r.looks != 1 || r.lists != test.lists {
				t.Errorf("%d, %d looks, %d lists", status, r.looks, r.lists)
			}
		})
	}
}

func TestSignedHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := []byte("0123456789abcdef01234567")
		r := open(t, "whsec_"+base64.StdEncoding.EncodeToString(key))
		body := hook("push", "refs/heads/master")
		send := func(id string, age time.Duration, body, signed string) int {
			stamp := strconv.FormatInt(time.Now().Add(-age).Unix(), 10)
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(id + "." + stamp + "." + signed))
			status, _ := r.post(body, "webhook-id", id, "webhook-timestamp", stamp, "X-Gitlab-Token", secret,
				"webhook-signature", "v1,AAAA v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
			return status
		}
		for i, test := range []struct {
			status int
			got    int
		}{
			{202, send("a", 0, body, body)},
			{202, send("a", 0, body, body)}, // a repetition
			{202, send("b", 4*time.Minute, body, body)},
			{401, send("c", 6*time.Minute, body, body)},
			{401, send("d", -6*time.Minute, body, body)},
			{401, send("e", 0, body, body+" ")},
			{401, send("", 0, body, body)},
		} {
			if test.got != test.status {
				t.Errorf("%d: %d, want %d", i, test.got, test.status)
			}
		}
		if status, known := r.post(body, "X-Gitlab-Token", secret); status != 401 || known {
			t.Errorf("without a signature: %d", status)
		}
		if r.looks != 2 {
			t.Errorf("%d looks", r.looks)
		}
		for range 130 {
			send(strconv.Itoa(r.looks), 0, body, body)
		}
		before := r.looks
		if status := send("last", 0, body, body); status != 202 || r.looks != before+1 {
			t.Errorf("after many: %d, %d looks more", status, r.looks-before)
		}
		time.Sleep(time.Minute)
		if status := send("later", 0, body, body); status != 202 {
			t.Errorf("a minute later: %d", status)
		}
	})
}

// TestHooksOfGitLab takes what GitLab sends, with its headers.
func TestHooksOfGitLab(t *testing.T) {
	key := []byte("0123456789abcdef01234567")
	for token, hook := range map[string]gitlabtest.Hook{
		secret: {Token: secret},
		"whsec_" + base64.StdEncoding.EncodeToString(key): {Key: key, Token: "another"},
	} {
		r := open(t, token)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if !r.Handle(w, request) {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}))
		t.Cleanup(server.Close)
		hook.URL = server.URL
		double, commit := gitlabtest.NewServer(gitlabtest.Config{}), strings.Repeat("1", 40)
		forged := hook
		forged.Token, forged.Key = "forged", nil
		merge := gitlabtest.MergeRequest{IID: 3, TargetBranch: "master", SourceBranch: "topic", SHA: commit}
		for name, send := range map[string]func() (int, error){
			"push":          func() (int, error) { return double.SendPush(t.Context(), hook, "master", commit, commit) },
			"tag":           func() (int, error) { return double.SendTagPush(t.Context(), hook, "v1", commit) },
			"merge request": func() (int, error) { return double.SendMergeRequest(t.Context(), hook, merge, "open") },
		} {
			before := r.looks
			if code, err := send(); code != http.StatusAccepted || err != nil || r.looks != before+1 {
				t.Errorf("%s: %d, %v, %d looks", name, code, err, r.looks-before)
			}
		}
		before := r.looks
		if code, err := double.SendPush(t.Context(), forged, "master", commit, commit); code != http.StatusUnauthorized || err != nil || r.looks != before {
			t.Errorf("forged: %d, %v", code, err)
		}
	}
}
