package main

import (
	"fmt"
	"log/slog"
	"maps"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/metrics"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/publish"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
	"coin.internal/coin-agent/vault"
)

// keyring loads the keys that the settings name; nil if they name none.
func (a *app) keyring() (*secrets.Keyring, error) {
	files := a.settings.KeyFiles()
	if files.Empty() {
		return nil, nil
	}
	keys, err := secrets.LoadKeys(files)
	if err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	return keys, nil
}

// nodeOptions gives the node that the settings name, and the keys for its secrets.
func (a *app) nodeOptions() desired.Options {
	return desired.Options{
		Environment: a.settings.Environment, Node: a.settings.Node, Keys: a.keyring,
		CheckDir: a.settings.CheckDir, Bounds: desired.Bounds{Policy: a.settings.Policy}, Limits: a.settings.Limits,
		Vault: plannedVault(&a.settings),
	}
}

// vaultOf gives the reader of references to Vault that the settings name.
func vaultOf(s *settings.Settings) desired.Vault {
	return desired.Vault{Below: s.VaultBelow(), Open: func() (desired.VaultClient, error) {
		if s.VaultMount == "" {
			return nil, fault.WithCode(fault.New(fault.Place{}, "set vault_address, vault_mount, vault_prefix and a login in agent.yml: docs/vault.md",
				"the repository refers to secrets in Vault, and the setting vault_mount is missing"), fault.CodeVault)
		}
		return vault.New(s.Vault())
	}}
}

// plannedVault gives the same for commands that show a plan: they read no values. Without
// settings for Vault they ask nothing.
func plannedVault(s *settings.Settings) desired.Vault {
	if s.VaultMount == "" {
		return desired.Vault{}
	}
	planned := vaultOf(s)
	planned.Plan = true
	return planned
}

// connect prepares a connection to the engine that the settings name, with the
// registry logins that they name.
func (a *app) connect() (*deploy.Engine, error) {
	connect := deploy.Connect
	if a.settings.Observes() {
		connect = deploy.ConnectToRead
	}
	engine, err := connect(a.settings.Engine)
	if err != nil {
		return nil, err
	}
	engine.UseLogins(a.settings.RegistryConfigFile)
	return engine, nil
}

// gitLab makes the client of the GitLab that the settings name; nil if they name none.
func (a *app) gitLab() (*gitlab.Client, error) {
	options := a.settings.GitLab()
	if options.URL == "" {
		return nil, nil
	}
	return gitlab.New(options)
}

// gitLabTokens lists the GitLab tokens that the settings name. The token of git is one where
// the repository is in that GitLab: no other server may see it.
func (a *app) gitLabTokens(client *gitlab.Client) ([]tokens.Use, error) {
	s := &a.settings
	uses := []tokens.Use{{
		Setting: "gitlab_token_file", File: s.GitLabTokenFile, GitLab: client, Scopes: []string{"api"}, Role: gitlab.Developer,
	}}
	if s.GitTokenFile == "" || !sameHost(s.Repository, s.GitLabURL) {
		return uses, nil
	}
	options := s.GitLab()
	options.TokenFile, options.TokenSetting, options.TokenScope = s.GitTokenFile, "git_token_file", "read_repository"
	git, err := gitlab.New(options)
	return append(uses, tokens.Use{
		Setting: options.TokenSetting, File: s.GitTokenFile, GitLab: git, Scopes: []string{"read_repository", "write_repository", "api"}, Deploy: true,
	}), err
}

// watchTokens makes the watch of the GitLab tokens.
func watchTokens(a *app, p *parts, made *agent.Parts, client *gitlab.Client) (*tokens.Watch, error) {
	uses, err := a.gitLabTokens(client)
	if err != nil {
		return nil, err
	}
	return tokens.New(tokens.Options{
		Uses: uses, Store: p.store, Key: p.store.Objects().FingerprintKey(), Log: made.Log,
		Tell: func(token tokens.State) error { return made.Notices.Token(nodeOf(&a.settings), token) },
	})
}

// issue makes the issue that gets the heads of the audit log; nil if the settings name none.
func (a *app) issue() (*anchor.Issue, error) {
	number, err := a.settings.AuditIssueNumber()
	if err != nil || number == 0 {
		return nil, err
	}
	client, err := a.gitLab()
	if err != nil {
		return nil, err
	}
	return &anchor.Issue{Notes: client, Number: number}, nil
}

// openAnchors makes the outbox of the audit log's heads; nil if the settings name no place.
func openAnchors(a *app, store *store.Store, auditLog *audit.Log, log *slog.Logger) (*anchor.Outbox, error) {
	var places []anchor.Place
	issue, err := a.issue()
	if err != nil {
		return nil, err
	}
	if issue != nil {
		places = append(places, issue)
	}
	if a.settings.AuditSyslog != "" {
		syslog, err := anchor.ParseSyslog(a.settings.AuditSyslog)
		if err != nil {
			return nil, err
		}
		places = append(places, syslog)
	}
	if len(places) == 0 {
		return nil, nil
	}
	return anchor.NewOutbox(anchor.Options{Node: a.settings.Owner(), Places: places, Store: store, Head: auditLog.Head, Log: log})
}

// mailServer makes the client of the mail server that the settings name; nil if they
// name none.
func (a *app) mailServer() (*notify.SMTP, error) {
	options, err := a.settings.MailServer()
	if err != nil || options.Address == "" {
		return nil, err
	}
	return notify.NewSMTP(options)
}

// openNotices makes the sender of notifications. Notices to a kind of receiver that the
// settings do not configure wait until they do.
func openNotices(a *app, p *parts, log *slog.Logger, metrics *metrics.Metrics) (publish.Notices, error) {
	slack, err := notify.NewSlack(a.settings.SlackWebhookFile, a.settings.CAFile)
	if err != nil {
		return publish.Notices{}, err
	}
	mail, err := a.mailServer()
	if err != nil {
		return publish.Notices{}, err
	}
	senders := map[notify.Kind]notify.Sender{notify.KindSlack: slack}
	if mail != nil {
		senders[notify.KindEmail] = mail
	}
	more, err := a.settings.Senders()
	if err != nil {
		return publish.Notices{}, err
	}
	maps.Copy(senders, more)
	outbox, err := notify.NewOutbox(notify.Options{Senders: senders, Store: p.store, Log: log, Count: metrics.Notified, Sent: func(to notify.Receiver, message string) {
		p.events.Publish(events.Event{Kind: events.Delivered, Text: to.String() + " has the notice: " + message})
	}})
	return publish.Notices{Outbox: outbox, Slack: slack}, err
}
