package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/notify/smtptest"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/internal/waitfor"
)

// slackHook is a Slack-compatible webhook that can fail.
type slackHook struct {
	*httptest.Server
	path string

	mu     sync.Mutex
	status int
	texts  []string
	tries  int
}

// hooksHere allows commits to name the webhooks of these tests, which are on this machine.
const hooksHere = "policy: {notifications: {hosts: [\"127.0.0.1:*\"]}}\n"

func newWebhook(t *testing.T) *slackHook {
	t.Helper()
	h := &slackHook{path: "/services/T0/B0/canary-webhook-8d1fe2", status: http.StatusOK}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.tries++
		var message struct{ Channel, Text string }
		if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &message) != nil || r.URL.Path != h.path || message.Channel != "#ops" {
			t.Errorf("%s to %s: %s", r.Method, r.URL.Path, body)
		}
		if h.status == http.StatusOK {
			first, _, _ := strings.Cut(message.Text, "\n")
			h.texts = append(h.texts, first)
		}
		http.Error(w, "at "+r.URL.Path, h.status) // as a careless proxy
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *slackHook) set(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *slackHook) seen() (texts []string, tries int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.texts...), h.tries
}

// TestNotices tells of a failure and of the recovery, once each, by a mail
// server with STARTTLS and a login and by a webhook whose URL only secrets.enc
// knows, which fails until after the agent was killed.
func TestNotices(t *testing.T) {
	t.Parallel()
	const password = "canary-smtp-password-40c7aa"
	l := newLab(t)
	hook := newWebhook(t)
	mail := smtptest.New(t, smtptest.Options{User: "agent", Password: password})
	l.settings["smtp_address"], l.settings["smtp_from"], l.settings["smtp_user"] = mail.Addr, "agent@example.com", "agent"
	l.settings["smtp_password_file"], l.settings["ca_file"] = l.file("smtp.password", password+"\n"), mail.CAFile
	l.mappings = hooksHere
	l.commit("First", map[string]string{
		"environments/sandbox/config.yml": fmt.Sprintf(`environment: {name: sandbox, type: non-production}
nodes: [{name: node3, context: c, stack: %s}]
notifications:
  slack: {channel: "#ops", webhook_url_variable: SLACK_WEBHOOK}
  email: [ops@example.com]
`, l.stack),
		node3 + "node.env":           "TAG=1\n",
		node3 + "docker-compose.yml": "services: {}\n",
		node3 + "secrets.enc":        sopstest.YAML(t, l.key, map[string]string{"SLACK_WEBHOOK": hook.URL + hook.path}),
	})
	code, out, _ := l.command("doctor")
	if want := "slack #ops: a webhook is set; 1 e-mail address: the mail server " + mail.Addr + " lets the agent in"; !strings.Contains(out, want) {
		t.Errorf("doctor says (%d): %s", code, out)
	}
	l.start()
	hook.set(http.StatusBadGateway)
	bad := l.commit("Break it", map[string]string{node3 + "docker-compose.yml": "services: {web: {image: \"app:$TAGG\"}}\n"})
	l.await(bad, record.Failed)
	waitfor.NoError(t, patience, func() error {
		if _, tries := hook.seen(); tries == 0 || len(mail.Messages()) == 0 {
			return errors.New("nobody was told yet")
		}
		return nil
	})
	texts := l.canaryTexts() // while it is tried again
	l.kill()
	hook.set(http.StatusOK)
	l.start()
	failure := "sandbox/node3: rollout failed at render"
	l.told(hook, mail, failure)
	other := l.commit("Nothing of this node's", map[string]string{"README.md": "x"})
	l.await(other, record.Failed)
	good := l.commit("Mend it", map[string]string{node3 + "docker-compose.yml": "services: {}\n"})
	l.await(good, record.Succeeded)
	l.told(hook, mail, failure, "sandbox/node3: recovered: rolled out, release 1")
	first := mail.Messages()[0]
	body, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(first.Body)))
	if err != nil || !first.TLS || first.User != "agent" || first.To != "ops@example.com" ||
		!strings.Contains(string(body), "/coin/coin-gitops/-/commit/"+bad) || !strings.Contains(string(body), "set TAGG in node.env") {
		t.Errorf("%v: the first mail: %+v", err, first)
	}
	texts += l.canaryTexts()
	for _, secret := range []string{password, hook.path, "canary-webhook-8d1fe2", base64.StdEncoding.EncodeToString([]byte("\x00agent\x00" + password))} {
		if strings.Contains(texts, secret) {
			t.Errorf("%q is in the state file, the log, an answer or a mail", secret)
		}
		for _, one := range mail.Messages() {
			if strings.Contains(one.Raw, secret) {
				t.Errorf("%q is in a mail", secret)
			}
		}
	}
}

// told waits until both receivers have what is wanted, and demands no more.
func (l *lab) told(hook *slackHook, mail *smtptest.Server, want ...string) {
	l.t.Helper()
	waitfor.NoError(l.t, patience, func() error {
		var slack, mails []string
		texts, _ := hook.seen()
		for _, text := range texts {
			slack = append(slack, strings.Trim(text, "*"))
		}
		for _, message := range mail.Messages() {
			mails = append(mails, message.Header.Get("Subject"))
		}
		if diff := cmp.Diff(want, slack) + cmp.Diff(want, mails); diff != "" {
			return errors.New(diff)
		}
		status, err := l.status()
		if err == nil && (status.Notices == nil || status.Notices.Undelivered != 0) {
			err = fmt.Errorf("the agent has not noted that: %+v", status.Notices)
		}
		return err
	})
}

// canaryTexts is all that the agent has written and says.
func (l *lab) canaryTexts() string {
	l.t.Helper()
	var all strings.Builder
	files, err := filepath.Glob(filepath.Join(l.settings["state_dir"], "*"))
	if err != nil || len(files) == 0 {
		l.t.Fatalf("no state: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			l.t.Fatal(err)
		}
		all.Write(content)
	}
	for _, command := range [][]string{{"status"}, {"status", "-o", "json"}, {"history", "-o", "json"}, {"doctor"}} {
		_, stdout, stderr := l.command(command...)
		all.WriteString(stdout + stderr)
	}
	return all.String() + l.logText()
}
