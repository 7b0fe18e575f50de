package agent_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/secrets"
)

// TestReloadBindsTheWebhook reloads the policy: the webhook's URL of the secrets, which was
// allowed before, is not used any more, and is looked for again.
func TestReloadBindsTheWebhook(t *testing.T) {
	inWorld(t, func(w *world) {
		sender, err := notify.NewSlack("", "")
		if err != nil {
			t.Fatal(err)
		}
		w.notices = func(store *store.Store) publish.Notices {
			outbox, err := notify.NewOutbox(notify.Options{Senders: map[notify.Kind]notify.Sender{notify.KindSlack: sender}, Store: store, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			return publish.Notices{Outbox: outbox, Slack: sender}
		}
		w.under(nil)
		w.start()
		learn := func() { sender.Learn(secrets.NewValue([]byte("https://evil.example/services/x")), nil) }
		learn()
		if err := sender.Ready(); err != nil || sender.Unlearned() {
			t.Fatalf("without a policy: %v", err)
		}
		rules := &policy.Policy{Notifications: &policy.Notifications{Hosts: policy.Patterns{"hooks.slack.com"}}}
		if err := w.agent.ReloadPolicy(rules, nil); err != nil {
			t.Fatal(err)
		}
		if !sender.Unlearned() {
			t.Error("the URL from before the reload is still used")
		}
		learn() // by a sync that was judged before
		if err := sender.Ready(); err == nil || !strings.Contains(err.Error(), "policy.notifications.hosts of the node does not allow evil.example:443") {
			t.Errorf("got %v", err)
		}
		if err := w.agent.ReloadPolicy(nil, context.Canceled); err == nil || sender.Unlearned() {
			t.Errorf("a reload that failed: %v", err)
		}
	})
}
