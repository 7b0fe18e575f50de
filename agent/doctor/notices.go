package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// checkNotices checks whether notices can be delivered to the receivers in config.yml:
// there is a webhook's URL, and the mail server accepts the agent's login. Nothing is
// sent. Rollouts do not need notices: an error only needs a look.
func (d *doctor) checkNotices(ctx context.Context) (string, error) {
	if d.checkout == nil {
		return "", errSkipped("git")
	}
	if d.node == nil {
		return "", errSkipped("the manifests")
	}
	wanted := d.node.Config.Notifications
	var good []string
	var faults []error
	note := func(text string, err error) {
		if err != nil {
			faults = append(faults, doubt{err})
			return
		}
		good = append(good, text)
	}
	if wanted.Slack.Channel != "" {
		note("slack "+wanted.Slack.Channel+": a webhook is set", checkWebhook(d))
	}
	if len(wanted.Email) > 0 {
		note(plural.Count(len(wanted.Email), "e-mail address")+": the mail server "+d.on.Settings.SMTPAddress+" lets the agent in", checkMail(ctx, d))
	}
	for _, kind := range wanted.Via {
		note(kind+" "+notify.OfNode+": it is set", checkSender(d, notify.Kind(kind)))
	}
	if wanted.Slack.Channel == "" && len(wanted.Email) == 0 && len(wanted.Via) == 0 {
		return "config.yml names no receivers of notices", nil
	}
	return strings.Join(good, "; "), errors.Join(append(faults, undelivered(ctx, d)...)...)
}

func checkWebhook(d *doctor) error {
	slack, err := notify.NewSlack(d.on.Settings.SlackWebhookFile, d.on.Settings.CAFile)
	if err != nil {
		return err
	}
	if d.on.Settings.SlackWebhookFile == "" { // Webhook judges where it is
		if d.opened == nil {
			return d.closed
		}
		value, why := d.opened.Webhook()
		defer value.Wipe()
		slack.Learn(value, why)
	}
	return slack.Ready()
}

// checkSender checks a receiver that the settings have.
func checkSender(d *doctor, kind notify.Kind) error {
	senders, err := d.on.Settings.Senders()
	if err != nil {
		return err
	}
	return notify.Ready(kind, senders[kind])
}

func checkMail(ctx context.Context, d *doctor) error {
	server, err := d.on.MailServer()
	if err != nil {
		return err
	}
	if server == nil {
		return notify.ErrNoMailServer
	}
	return server.Check(ctx)
}

// undelivered asks the running agent for the notices that it could not deliver. Without a
// running agent there is nothing to ask.
func undelivered(ctx context.Context, d *doctor) []error {
	status, err := control.NewClient(d.on.Settings.Socket).Status(ctx)
	if err != nil || status.Notices == nil {
		return nil
	}
	var faults []error
	for _, one := range status.Notices.Receivers {
		if one.Problem != nil {
			faults = append(faults, doubt{fault.WithHint(fmt.Errorf("%s waits for %s: %s", one, plural.Count(one.Waiting, "notice"), one.Problem.Error), one.Problem.Hint)})
		}
		if one.Refused != nil {
			faults = append(faults, doubt{fault.WithHint(fmt.Errorf("%s did not take a notice: %s", one, one.Refused.Reason), one.Refused.Hint)})
		}
	}
	return faults
}
