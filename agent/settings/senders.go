package settings

import "coin.internal/coin-agent/agent/notify"

// Senders makes the senders of notices whose addresses and keys the settings have, besides
// Slack's webhook and the mail server.
func (s *Settings) Senders() (map[notify.Kind]notify.Sender, error) {
	senders := map[notify.Kind]notify.Sender{}
	if s.PagerDutyKeyFile != "" {
		sender, err := notify.NewPagerDuty(s.PagerDutyKeyFile, s.PagerDutyURL, s.CAFile)
		if err != nil {
			return nil, err
		}
		senders[notify.KindPagerDuty] = sender
	}
	if s.TeamsWebhookFile != "" {
		sender, err := notify.NewTeams(s.TeamsWebhookFile, s.CAFile)
		if err != nil {
			return nil, err
		}
		senders[notify.KindTeams] = sender
	}
	if s.NotifyURLFile != "" {
		sender, err := notify.NewWebhook(notify.WebhookOptions{URLFile: s.NotifyURLFile, TokenFile: s.NotifyTokenFile, TemplateFile: s.NotifyTemplateFile, CAFile: s.CAFile})
		if err != nil {
			return nil, err
		}
		senders[notify.KindWebhook] = sender
	}
	return senders, nil
}
