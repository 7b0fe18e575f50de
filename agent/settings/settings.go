// Package settings reads and validates the agent's own configuration: it takes flags,
// environment variables and a YAML file, and gives plain values. It connects to
// nothing, and keeps tokens, passwords and keys as the names of their files.
package settings

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/access"
	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

// EnvPrefix starts the environment variables that set the agent.
const EnvPrefix = "COIN_AGENT_"

// Settings are the agent's own configuration: flags override COIN_AGENT_* variables,
// which override a YAML file. Tokens and keys are given only by the names of their files.
// The tags give each setting's name (as in the YAML file and, with dashes, the flags) and
// its text for people.
type Settings struct {
	Environment string `name:"environment" help:"environment of the repository, such as sandbox"`
	Node        string `name:"node" help:"node of the environment, such as node3"`
	Mode        string `name:"mode" help:"sync, or observe: plan and report, and change nothing on the engine"`

	Repository     string `name:"repository" help:"git remote: https, ssh, git, or a local path"`
	Branch         string `name:"branch" help:"branch to follow (default master, unless tag_pattern is set)"`
	TagPattern     string `name:"tag_pattern" help:"follow the newest tag that matches this regular expression, by the date or version in its name"`
	GitUser        string `name:"git_user" help:"user for https (default oauth2)"`
	GitTokenFile   string `name:"git_token_file" help:"file with the https token"`
	SSHKeyFile     string `name:"ssh_key_file" help:"file with the ssh key"`
	KnownHostsFile string `name:"known_hosts_file" help:"file with the ssh host keys to trust"`
	CAFile         string `name:"ca_file" help:"file with extra certificates to trust for https"`
	AllowRewrite   bool   `name:"allow_rewrite" help:"follow a branch whose history was rewritten"`

	AgeKeyFiles       []string `name:"age_key_files" help:"files with age identities"`
	PGPKeyFiles       []string `name:"pgp_key_files" help:"files with PGP secret keys"`
	PGPPassphraseFile string   `name:"pgp_passphrase_file" help:"file with the passphrase of the PGP keys"`
	GnuPGHome         string   `name:"gnupg_home" help:"GnuPG home whose keys gpg uses; empty for none"`
	KeyServices       []string `name:"key_services" help:"what may open SOPS files: age, pgp, hc_vault"`
	VaultAddress      string   `name:"vault_address" help:"the one Vault that hc_vault and references to Vault ask"`
	VaultTokenFile    string   `name:"vault_token_file" help:"file with the Vault token"`

	VaultMount        string `name:"vault_mount" help:"KV version 2 engine that secrets may refer to, such as kv; empty for none"`
	VaultPrefix       string `name:"vault_prefix" help:"path in it that commits may read below, such as coin/sandbox, unless the policy has vault.paths"`
	VaultNamespace    string `name:"vault_namespace" help:"namespace of the engine and the login; empty for none"`
	VaultRoleIDFile   string `name:"vault_role_id_file" help:"file with the role ID of an AppRole, in place of vault_token_file"`
	VaultSecretIDFile string `name:"vault_secret_id_file" help:"file with the secret ID of that AppRole"`
	VaultJWTFile      string `name:"vault_jwt_file" help:"file with a JSON web token that logs in, in place of vault_token_file"`
	VaultRole         string `name:"vault_role" help:"role that the JSON web token logs in as"`
	VaultAuthMount    string `name:"vault_auth_mount" help:"path of the auth method of AppRole or JWT (default approle or jwt)"`

	Engine             string `name:"engine" help:"the Docker engine's address"`
	RegistryConfigFile string `name:"registry_config_file" help:"file with registry logins, in the form of docker's config.json; empty for none"`

	CheckDir string `name:"check_dir" help:"folder with the files of tokens, passwords and certificates that config.yml may name"`

	StateDir    string   `name:"state_dir" help:"folder of the agent's state file"`
	Socket      string   `name:"socket" help:"unix socket of the running agent"`
	SocketGroup string   `name:"socket_group" help:"group of this machine whose members may ask over the socket; empty for root alone"`
	Operators   []string `name:"operators" help:"users in socket_group who may also have the agent act"`

	Listen   string        `name:"listen" help:"loopback address for metrics and health; empty for none"`
	Interval time.Duration `name:"interval" help:"time between two looks at the remote"`

	MetricsListen    string   `name:"metrics_listen" help:"address of metrics and health for other machines, such as 0.0.0.0:9182; empty for none"`
	MetricsCertFile  string   `name:"metrics_cert_file" help:"file with the certificate of metrics_listen and those of its issuers; needed off loopback"`
	MetricsKeyFile   string   `name:"metrics_key_file" help:"file with the key of that certificate"`
	MetricsTokenFile string   `name:"metrics_token_file" help:"file with the token that Prometheus sends to metrics_listen; needed off loopback"`
	MetricsHosts     []string `name:"metrics_hosts" help:"further names by which Prometheus reaches metrics_listen; its host, IP addresses and the certificate's names need not be listed"`
	MetricsOpen      bool     `name:"metrics_open" help:"allow metrics_listen off loopback without a certificate or a token: everyone who reaches it reads the metrics"`

	APIListen   string `name:"api_listen" help:"address of the API for other machines, such as 0.0.0.0:9181; empty for none"`
	APICertFile string `name:"api_cert_file" help:"file with the API's certificate and those of its issuers; needed off loopback"`
	APIKeyFile  string `name:"api_key_file" help:"file with the key of the API's certificate"`

	WebhookTokenFile string `name:"webhook_token_file" help:"file with the secret token, or the signing token, of GitLab's webhook to /hooks/gitlab at api_listen; empty for no webhook"`

	GitLabURL       string   `name:"gitlab_url" help:"GitLab's address, for commit statuses; empty for none"`
	GitLabProject   string   `name:"gitlab_project" help:"GitLab project: path or number"`
	GitLabTokenFile string   `name:"gitlab_token_file" help:"file with GitLab's API token"`
	GitLabAgents    []string `name:"gitlab_agents" help:"GitLab usernames of all agents, whose statuses the nodes believe; empty for the token's own user"`

	PageURL string `name:"page_url" help:"address of the agent's page for users, such as https://node3.example.com:9443, which statuses link to; empty for none"`

	FleetAPIs      []string `name:"fleet_apis" help:"other nodes' agents whom the page /fleet asks, as node=URL; empty for GitLab's statuses alone"`
	FleetTokenFile string   `name:"fleet_token_file" help:"file with the token for them, of the scope read"`

	MergeRequestPlans bool `name:"merge_request_plans" help:"show the plan of open merge requests into the branch in a note on each; needs gitlab_url"`

	UnchangedStatuses bool `name:"unchanged_statuses" help:"post the status of commits that change nothing this node reads; false spares GitLab a request for each of them, unless other nodes wait for this one"`

	AuditIssue  string `name:"audit_issue" help:"issue of the GitLab project that gets a note with each new head of the audit log; empty for none"`
	AuditSyslog string `name:"audit_syslog" help:"syslog that gets the heads too: udp://host:514 or unix:///dev/log; empty for none"`

	SlackWebhookFile   string `name:"slack_webhook_file" help:"file with the URL of the Slack-compatible webhook; empty for the node's secrets"`
	PagerDutyKeyFile   string `name:"pagerduty_key_file" help:"file with the key of a PagerDuty integration (Events API v2)"`
	PagerDutyURL       string `name:"pagerduty_url" help:"where PagerDuty takes events; https://events.eu.pagerduty.com/v2/enqueue in the EU's region"`
	TeamsWebhookFile   string `name:"teams_webhook_file" help:"file with the URL of a webhook that Microsoft Teams' Workflows made"`
	NotifyURLFile      string `name:"notify_url_file" help:"file with the URL that gets notices as JSON"`
	NotifyTokenFile    string `name:"notify_token_file" help:"file with the bearer token for that URL; empty for none"`
	NotifyTemplateFile string `name:"notify_template_file" help:"file with a JSON document whose strings name fields of a notice, such as {{title}}; empty for all fields"`
	SMTPAddress        string `name:"smtp_address" help:"mail server for notifications, as host:port; empty for none"`
	SMTPUser           string `name:"smtp_user" help:"user of the mail server; empty for no login"`
	SMTPPasswordFile   string `name:"smtp_password_file" help:"file with that user's password"`
	SMTPFrom           string `name:"smtp_from" help:"e-mail address that notifications come from"`
	SMTPTLS            string `name:"smtp_tls" help:"how the mail server is spoken to: starttls, tls, or none on this machine"`

	LogLevel  string `name:"log_level" help:"debug, info, warn or error"`
	LogFormat string `name:"log_format" help:"text or json"`

	// Mappings, which only the YAML file has.
	Policy *policy.Policy // nil: any commit may do anything
	Limits limits.Limits
	// APITokens are the tokens that the API accepts.
	APITokens []access.Token
}

// The modes.
const (
	ModeSync    = "sync"
	ModeObserve = "observe"
)

// Observes reports whether the agent only plans and reports, and changes nothing on the engine.
func (s *Settings) Observes() bool { return s.Mode == ModeObserve }

// Default gives the default settings.
func Default() Settings {
	return Settings{
		Mode:     ModeSync,
		Engine:   "unix:///var/run/docker.sock",
		CheckDir: "/etc/coin-agent/checks",
		StateDir: "/var/lib/coin-agent",
		Socket:   "/run/coin-agent/agent.sock",
		Listen:   "127.0.0.1:9180",
		Interval: 30 * time.Second,
		SMTPTLS:  string(notify.StartTLS),

		PagerDutyURL: notify.PagerDutyURL,

		LogLevel:  "info",
		LogFormat: "text",

		MergeRequestPlans: true,
		UnchangedStatuses: true,

		KeyServices: secrets.DefaultKeyServices(),
		Limits:      limits.Default(),
	}
}

// Validate checks the settings of an agent that follows a remote.
func (s *Settings) Validate() error {
	var faults []error
	refuse := func(hint, format string, args ...any) {
		faults = append(faults, fault.New(fault.Place{}, hint, format, args...))
	}
	require := func(value, name string) {
		if value == "" {
			flag, env := strings.ReplaceAll(name, "_", "-"), EnvPrefix+strings.ToUpper(name)
			refuse(fmt.Sprintf("set %s in agent.yml, --%s or %s", name, flag, env), "the setting %s is missing", name)
		}
	}
	require(s.Environment, "environment")
	require(s.Node, "node")
	require(s.Repository, "repository")
	faults = append(faults, validateWords(s))
	if s.Branch != "" && s.TagPattern != "" {
		refuse("keep one of them", "branch and tag_pattern are both set")
	}
	if s.Interval < time.Second {
		refuse("30s is usual", "interval %s is under one second", s.Interval)
	}
	if s.GitLabURL != "" {
		require(s.GitLabProject, "gitlab_project")
		require(s.GitLabTokenFile, "gitlab_token_file")
		faults = append(faults, validateGitLabURL(s))
	}
	_, unusable := s.FleetAddresses()
	faults = append(faults, validatePageURL(s), unusable)
	if _, err := s.AuditIssueNumber(); err != nil {
		faults = append(faults, err)
	}
	if s.AuditSyslog != "" {
		_, err := anchor.ParseSyslog(s.AuditSyslog)
		faults = append(faults, err)
	}
	if s.Listen != "" && !onLoopback(s.Listen) {
		refuse("use 127.0.0.1:9180 or leave it empty; metrics_listen takes other addresses", "listen %q is not a loopback address", s.Listen)
	}
	if s.NotifyURLFile == "" && (s.NotifyTokenFile != "" || s.NotifyTemplateFile != "") {
		refuse("set it, or leave out notify_token_file and notify_template_file", "the setting notify_url_file is missing")
	}
	faults = append(faults, s.Metrics().Validate(), validateAPI(s), validateVault(s))
	if len(s.Socket) > 107 || !filepath.IsAbs(s.Socket) { // the kernel takes no longer path for a socket
		refuse("choose an absolute path of at most 107 bytes", "socket %q cannot be used", s.Socket)
	}
	if len(s.Operators) > 0 && s.SocketGroup == "" {
		refuse("set socket_group to a group that they are in", "operators is set, and socket_group is not")
	}
	if mail, err := s.MailServer(); err != nil {
		faults = append(faults, err)
	} else if mail.Address != "" {
		faults = append(faults, mail.Validate())
	}
	return errors.Join(faults...)
}

// validateWords checks the settings that take one of a few words, and the pattern of tags.
func validateWords(s *Settings) error {
	var faults []error
	for _, of := range []struct {
		name, value string
		words       []string
	}{
		{"mode", s.Mode, []string{ModeSync, ModeObserve}},
		{"log_level", s.LogLevel, []string{"debug", "info", "warn", "error"}},
		{"log_format", s.LogFormat, []string{"text", "json"}},
	} {
		if !slices.Contains(of.words, of.value) && (of.name != "log_level" || !slices.Contains(of.words, strings.ToLower(of.value))) {
			faults = append(faults, fault.New(fault.Place{}, "write one of "+strings.Join(of.words, ", "), "unknown %s %q", strings.ReplaceAll(of.name, "_", " "), of.value))
		}
	}
	if _, err := regexp.Compile(s.TagPattern); err != nil {
		faults = append(faults, fault.New(fault.Place{}, `write a regular expression, such as ^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`, "tag_pattern: %w", err))
	}
	return errors.Join(faults...)
}

func validateGitLabURL(s *Settings) error {
	switch u, err := url.Parse(s.GitLabURL); {
	case err != nil || u.Host == "":
		return fault.New(fault.Place{}, "write it as https://gitlab.example.com", "gitlab_url is not a valid address")
	case u.Scheme != "https" && !loopback.Is(u.Hostname()):
		return fault.New(fault.Place{}, "write it as https://"+u.Host, "gitlab_url does not use TLS, so that others could read the token")
	}
	return nil
}

func validatePageURL(s *Settings) error {
	if s.PageURL == "" {
		return nil
	}
	page, err := url.Parse(s.PageURL)
	switch {
	case err != nil || page.Host == "" || page.Scheme != "https" && page.Scheme != "http" || page.User != nil || page.RawQuery != "" || page.Fragment != "":
		return fault.New(fault.Place{}, "write it as https://node3.example.com:9443", "page_url is not an http or https address")
	case len(s.PageURL) > longestPageURL:
		return fault.New(fault.Place{}, "use a shorter one: GitLab takes links of 255 characters", "page_url is longer than %d characters", longestPageURL)
	}
	return nil
}

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopback.Is(host)
}

// Owner names the node as the ownership labels do.
func (s *Settings) Owner() string { return s.Environment + "/" + s.Node }

// Remote gives the repository that the settings name.
func (s *Settings) Remote() gitsync.Remote {
	return gitsync.Remote{
		URL: s.Repository, Username: s.GitUser, TokenFile: s.GitTokenFile,
		KeyFile: s.SSHKeyFile, KnownHostsFile: s.KnownHostsFile, CAFile: s.CAFile,
		MergeRequests: s.PlansBranch() != "", Limits: s.Limits,
	}
}

// ControlSocket gives the socket of the running agent, and who may use it.
func (s *Settings) ControlSocket() control.Socket {
	return control.Socket{Path: s.Socket, Group: s.SocketGroup, Operators: s.Operators}
}

// GitLab gives GitLab's API and project; without a URL no GitLab is asked.
func (s *Settings) GitLab() gitlab.Options {
	return gitlab.Options{URL: s.GitLabURL, Project: s.GitLabProject, TokenFile: s.GitLabTokenFile, CAFile: s.CAFile, Agents: s.GitLabAgents, Limits: s.Limits}
}

// PlansBranch gives the branch into which merge requests get plans; "" if none get any: the
// setting says so, there is no GitLab, or the node follows tags, which no merge moves.
func (s *Settings) PlansBranch() string {
	if !s.MergeRequestPlans || s.GitLabURL == "" {
		return ""
	}
	return s.Rule().Branch
}

// AuditIssueNumber gives the number of the issue that gets the heads of the audit log; 0
// for none.
func (s *Settings) AuditIssueNumber() (int64, error) {
	if s.AuditIssue == "" {
		return 0, nil
	}
	number, err := strconv.ParseInt(s.AuditIssue, 10, 64)
	switch {
	case err != nil || number <= 0:
		return 0, fault.New(fault.Place{}, "write the number of an issue, such as 17", "audit_issue %q is not the number of an issue", s.AuditIssue)
	case s.GitLabURL == "":
		return 0, fault.New(fault.Place{}, "set gitlab_url, gitlab_project and gitlab_token_file, or leave out audit_issue", "audit_issue is set, and gitlab_url is not")
	}
	return number, nil
}

// CommitLink gives the commit's page in GitLab; empty if the settings do not contain its
// address.
func (s *Settings) CommitLink(commit string) string {
	if _, err := strconv.Atoi(s.GitLabProject); err == nil || s.GitLabURL == "" || s.GitLabProject == "" || commit == "" {
		return ""
	}
	return strings.TrimSuffix(s.GitLabURL, "/") + "/" + s.GitLabProject + "/-/commit/" + commit
}

// longestPageURL leaves room for the number of a sync in the 255 characters of a link.
const longestPageURL = 220

// StatusLink gives what the commit status of a sync links to: the agent's page of the sync,
// else the environments in GitLab, for which the outbox has a better page later; "" if the
// settings have neither address.
func (s *Settings) StatusLink(sync uint64) string {
	switch page := strings.TrimSuffix(s.PageURL, "/"); {
	case page == "":
		return s.EnvironmentLink()
	case sync == 0:
		return page + "/"
	default:
		return page + "/syncs/" + strconv.FormatUint(sync, 10)
	}
}

// SyncPage gives the agent's page of a sync; "" if the settings do not have its address.
func (s *Settings) SyncPage(sync uint64) string {
	if s.PageURL == "" || sync == 0 {
		return ""
	}
	return s.StatusLink(sync)
}

// EnvironmentLink gives the page in GitLab with the deployments of the environment's nodes;
// "" if the settings do not contain its address.
func (s *Settings) EnvironmentLink() string {
	if _, err := strconv.Atoi(s.GitLabProject); err == nil || s.GitLabURL == "" || s.GitLabProject == "" {
		return ""
	}
	return strings.TrimSuffix(s.GitLabURL, "/") + "/" + s.GitLabProject + "/-/environments/folders/" + url.PathEscape(s.Environment)
}

// Metrics gives how metrics and health are served to other machines.
func (s *Settings) Metrics() access.Metrics {
	return access.Metrics{
		Listen: s.MetricsListen, CertFile: s.MetricsCertFile, KeyFile: s.MetricsKeyFile, TokenFile: s.MetricsTokenFile,
		Hosts: s.MetricsHosts, Open: s.MetricsOpen,
	}
}

// MailServer gives the mail server; without an address there is none.
func (s *Settings) MailServer() (notify.SMTPOptions, error) {
	if s.SMTPAddress == "" && (s.SMTPUser != "" || s.SMTPPasswordFile != "" || s.SMTPFrom != "") {
		return notify.SMTPOptions{}, fault.New(fault.Place{}, "set smtp_address, or leave out the other smtp_ settings", "the setting smtp_address is missing")
	}
	return notify.SMTPOptions{
		Address: s.SMTPAddress, User: s.SMTPUser, PasswordFile: s.SMTPPasswordFile, From: s.SMTPFrom,
		TLS: notify.TLSMode(s.SMTPTLS), CAFile: s.CAFile, Limits: s.Limits,
	}, nil
}

// Rule gives the revision rule of the settings.
func (s *Settings) Rule() gitsync.Rule {
	rule := gitsync.Rule{Branch: s.Branch, TagPattern: s.TagPattern}
	if rule.Branch == "" && rule.TagPattern == "" {
		rule.Branch = "master"
	}
	return rule
}

// Paths lists the files and folders of the repository that the node reads.
func (s *Settings) Paths() []string {
	environment := "environments/" + s.Environment
	return []string{environment + "/config.yml", environment + "/common", environment + "/nodes/" + s.Node, "templates"}
}
