package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

// Notices are what tells people. The zero value tells nobody.
type Notices struct {
	Outbox *notify.Outbox
	Slack  *notify.Slack // among the outbox's senders
}

// use takes what config.yml says of notifications.
func (n Notices) use(config *manifests.Config) error {
	if n.Outbox == nil {
		return nil
	}
	var wants notify.Wants
	if slack := config.Notifications.Slack; slack.Channel != "" {
		wants.Variable = slack.WebhookURLVariable
		wants.Receivers = append(wants.Receivers, notify.Receiver{Kind: notify.KindSlack, Address: slack.Channel})
	}
	for _, address := range config.Notifications.Email {
		wants.Receivers = append(wants.Receivers, notify.Receiver{Kind: notify.KindEmail, Address: address})
	}
	for _, event := range config.Events() {
		wants.Events = append(wants.Events, notify.Event(event))
	}
	return n.Outbox.Use(wants)
}

// learn keeps the webhook's URL of the node's secrets in memory, or why there is
// none, until the next sync opens them.
func (n Notices) learn(node *manifests.Node, set *secrets.Set) {
	if n.Slack == nil || node.Config.Notifications.Slack.Channel == "" {
		return
	}
	if n.Slack.Learn(webhookOf(node, set)) {
		n.Outbox.Nudge(notify.KindSlack)
	}
}

// webhookOf finds the webhook's URL in the node's secrets. The Value is a copy
// that outlives them.
func webhookOf(node *manifests.Node, set *secrets.Set) (secrets.Value, error) {
	name := node.Config.Notifications.Slack.WebhookURLVariable
	if name == "" {
		return secrets.Value{}, fault.New(node.Config.Place("notifications.slack"),
			"set webhook_url_variable to a key of the node's secrets.enc, or slack_webhook_file in the agent's settings", "it is not said where the webhook's URL is")
	}
	value, found := set.Lookup(name, "")
	if found && value.Known() {
		return secrets.NewValue(bytes.Clone(value.Reveal())), nil
	}
	if variable, plain := node.Variables[name]; plain {
		return secrets.Value{}, fault.New(variable.Place, "make a new webhook, and put its URL into secrets.enc with sops: this one has been seen",
			"%s, the webhook's URL, is a secret that stands here in plaintext: it is not used", name)
	}
	if found {
		return secrets.Value{}, fault.New(fault.Place{}, "set age_key_files or pgp_key_files", "the webhook's URL cannot be read without a key")
	}
	return secrets.Value{}, set.Missing(name, "")
}

// lacksWebhook says that messages wait for a webhook's URL that the node's
// secrets may hold, and that nobody has looked since the start.
func (n Notices) lacksWebhook() bool {
	if n.Slack == nil || !n.Slack.Unlearned() {
		return false
	}
	for _, receiver := range n.Outbox.Health().Receivers {
		if receiver.Kind == notify.KindSlack && receiver.Waiting > 0 {
			return true
		}
	}
	return false
}

// recallWebhook opens the node's secrets for the webhook's URL, which is written
// down nowhere, when messages have waited over a restart and no sync is due.
func (a *Agent) recallWebhook(ctx context.Context, revision gitsync.Revision) {
	if !a.Notices.lacksWebhook() {
		return
	}
	checkout, err := a.Source.Fetch(ctx, revision, a.Settings.Paths())
	if err != nil {
		a.Log.Warn("cannot look for the webhook's URL", "revision", short(revision.Commit), "error", err.Error())
		return // the next look tries again
	}
	node, err := manifests.Load(checkout.FS, a.Settings.Environment, a.Settings.Node)
	if err != nil {
		a.Notices.Slack.Learn(secrets.Value{}, fmt.Errorf("look for the webhook's URL: %w", err))
		return
	}
	keys, err := a.Keys()
	if err != nil {
		a.Notices.Slack.Learn(secrets.Value{}, fmt.Errorf("look for the webhook's URL: %w", err))
		return
	}
	set, err := OpenSecrets(node, keys)
	if err != nil {
		a.Notices.Slack.Learn(secrets.Value{}, fmt.Errorf("look for the webhook's URL: %w", err))
		return
	}
	defer set.Wipe()
	a.Notices.learn(node, set)
}

func (n Notices) health() *notify.Health {
	if n.Outbox == nil {
		return nil
	}
	health := n.Outbox.Health()
	return &health
}

// commitLink is the commit's page in GitLab; empty where the settings do not
// tell its address.
func (s *Settings) commitLink(commit string) string {
	if _, err := strconv.Atoi(s.GitLabProject); err == nil || s.GitLabURL == "" || s.GitLabProject == "" || commit == "" {
		return ""
	}
	return strings.TrimSuffix(s.GitLabURL, "/") + "/" + s.GitLabProject + "/-/commit/" + commit
}

// Notices makes what tells people, over what the store holds. A kind of receiver
// that the settings say nothing of waits until they do.
func (s *Settings) Notices(store *store.Store, log *slog.Logger, metrics *metrics.Metrics) (Notices, error) {
	slack, err := notify.NewSlack(s.SlackWebhookFile, s.CAFile)
	if err != nil {
		return Notices{}, err
	}
	senders := map[notify.Kind]notify.Sender{notify.KindSlack: slack}
	mail, err := s.mailServer()
	if err != nil {
		return Notices{}, err
	}
	if mail != nil {
		senders[notify.KindEmail] = mail
	}
	outbox, err := notify.NewOutbox(notify.Options{Senders: senders, Store: store, Log: log, Count: metrics.Notified})
	return Notices{Outbox: outbox, Slack: slack}, err
}

// mailServer is the one that the settings name; nil for none.
func (s *Settings) mailServer() (*notify.SMTP, error) {
	if s.SMTPAddress == "" {
		if s.SMTPUser != "" || s.SMTPPasswordFile != "" || s.SMTPFrom != "" {
			return nil, fault.New(fault.Place{}, "set smtp_address, or leave out the other smtp_ settings", "the setting smtp_address is missing")
		}
		return nil, nil
	}
	return notify.NewSMTP(notify.SMTPOptions{
		Address: s.SMTPAddress, User: s.SMTPUser, PasswordFile: s.SMTPPasswordFile, From: s.SMTPFrom,
		TLS: notify.TLSMode(s.SMTPTLS), CAFile: s.CAFile,
	})
}
