package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Notices queues and sends notices. The zero value sends none.
type Notices struct {
	Outbox *notify.Outbox
	Slack  *notify.Slack // among the outbox's senders
}

// Use takes the receivers that config.yml names.
func (n Notices) Use(config *manifests.Config) error {
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
	for _, kind := range config.Notifications.Via {
		wants.Receivers = append(wants.Receivers, notify.Receiver{Kind: notify.Kind(kind), Address: notify.OfNode})
	}
	for _, event := range config.Events() {
		wants.Events = append(wants.Events, notify.Event(event))
	}
	return n.Outbox.Use(wants)
}

// Bind has the webhook's URL of the node's secrets judged before each use.
func (n Notices) Bind(may func(address string) error) {
	if n.Slack != nil {
		n.Slack.Bind(may)
	}
}

// Forget drops the webhook's URL, or why there is none, because what may be used has changed:
// Recall looks for it again.
func (n Notices) Forget() {
	if n.Slack != nil {
		n.Slack.Forget()
	}
}

// Learn keeps the webhook's URL of the node's secrets in memory, or why there is none,
// until the next sync decrypts them.
func (n Notices) Learn(state *desired.State) {
	if n.Slack == nil || state.Node.Config.Notifications.Slack.Channel == "" {
		return
	}
	if n.Slack.Learn(state.Webhook()) {
		n.Outbox.Nudge(notify.KindSlack)
	}
}

// Recall decrypts the node's secrets for the webhook's URL, which is never written to
// disk, if messages have waited over a restart and no sync is due. It looks for the URL once
// after a start or a reload of the policy. An error means that the files could not be read, and the next look tries
// again.
func (n Notices) Recall(ctx context.Context, read func() (fs.FS, error), options desired.Options) error {
	waits := func(one notify.Condition) bool { return one.Kind == notify.KindSlack && one.Waiting > 0 }
	if n.Slack == nil || !slices.ContainsFunc(n.Outbox.Health().Receivers, waits) || !n.Slack.Unlearned() {
		return nil
	}
	files, err := read()
	if err != nil {
		return err
	}
	if files == nil {
		n.Slack.Learn(secrets.Value{}, errors.New("the webhook's URL is unknown until the next rollout: the deployed state is on record without its files"))
		return nil
	}
	state, err := desired.Open(ctx, files, options)
	if err != nil {
		n.Slack.Learn(secrets.Value{}, fmt.Errorf("look for the webhook's URL: %w", err))
		return nil
	}
	defer state.Wipe()
	n.Learn(state)
	return nil
}

// Token queues the notice that a GitLab token expires soon, cannot be used, or has no problems
// any more.
func (n Notices) Token(node report.Node, token tokens.State) error {
	if n.Outbox == nil {
		return nil
	}
	return n.Outbox.Tell(report.TokenNotice(node, token))
}

// Health gives the state of the outbox; nil if no notices are sent.
func (n Notices) Health() *notify.Health {
	if n.Outbox == nil {
		return nil
	}
	health := n.Outbox.Health()
	return &health
}
