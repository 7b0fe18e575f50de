package agent

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

// EnvPrefix starts the environment variables that set the agent.
const EnvPrefix = "COIN_AGENT_"

// Settings are the agent's own configuration: flags over COIN_AGENT_* variables
// over a YAML file. Tokens and keys are only ever named by file. The tags give
// each setting's name (as the YAML file and, with dashes, the flags have it)
// and its text for people.
type Settings struct {
	Environment string `name:"environment" help:"environment of the repository, such as sandbox"`
	Node        string `name:"node" help:"node of the environment, such as node3"`

	Repository     string `name:"repository" help:"git remote: https, ssh, git, or a local path"`
	Branch         string `name:"branch" help:"branch to follow (default master, unless tag_pattern is set)"`
	TagPattern     string `name:"tag_pattern" help:"follow the newest tag that matches this regular expression"`
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
	KeyServices       []string `name:"key_services" help:"what may open SOPS files: age, pgp, hc_vault, aws_kms, gcp_kms, azure_kv, hckms"`
	VaultAddress      string   `name:"vault_address" help:"the one Vault that hc_vault asks"`
	VaultTokenFile    string   `name:"vault_token_file" help:"file with the Vault token"`

	Engine             string `name:"engine" help:"the Docker engine's address"`
	RegistryConfigFile string `name:"registry_config_file" help:"file with registry logins, in the form of docker's config.json; empty for none"`

	CheckDir string `name:"check_dir" help:"folder with the files of tokens, passwords and certificates that config.yml may name"`

	StateDir string        `name:"state_dir" help:"folder of the agent's state file"`
	Socket   string        `name:"socket" help:"unix socket of the running agent"`
	Listen   string        `name:"listen" help:"loopback address for metrics and health; empty for none"`
	Interval time.Duration `name:"interval" help:"time between two looks at the remote"`

	GitLabURL       string `name:"gitlab_url" help:"GitLab's address, for commit statuses; empty for none"`
	GitLabProject   string `name:"gitlab_project" help:"GitLab project: path or number"`
	GitLabTokenFile string `name:"gitlab_token_file" help:"file with GitLab's API token"`

	SlackWebhookFile string `name:"slack_webhook_file" help:"file with the URL of the Slack-compatible webhook; empty for the node's secrets"`
	SMTPAddress      string `name:"smtp_address" help:"mail server for notifications, as host:port; empty for none"`
	SMTPUser         string `name:"smtp_user" help:"user of the mail server; empty for no login"`
	SMTPPasswordFile string `name:"smtp_password_file" help:"file with that user's password"`
	SMTPFrom         string `name:"smtp_from" help:"e-mail address that notifications come from"`
	SMTPTLS          string `name:"smtp_tls" help:"how the mail server is spoken to: starttls, tls, or none on this machine"`

	LogLevel  string `name:"log_level" help:"debug, info, warn or error"`
	LogFormat string `name:"log_format" help:"text or json"`
}

// DefaultSettings are the settings that nobody set.
func DefaultSettings() Settings {
	return Settings{
		Engine:    "unix:///var/run/docker.sock",
		CheckDir:  "/etc/coin-agent/checks",
		StateDir:  "/var/lib/coin-agent",
		Socket:    "/run/coin-agent/agent.sock",
		Listen:    "127.0.0.1:9180",
		Interval:  30 * time.Second,
		SMTPTLS:   string(notify.StartTLS),
		LogLevel:  "info",
		LogFormat: "text",

		KeyServices: secrets.DefaultKeyServices(),
	}
}

// Field is one setting, by name.
type Field struct {
	Name, Help string
	value      reflect.Value
}

// Flag is the setting's name as a command line flag.
func (f Field) Flag() string { return strings.ReplaceAll(f.Name, "_", "-") }

// Env is the setting's environment variable.
func (f Field) Env() string { return EnvPrefix + strings.ToUpper(f.Name) }

// Default is the setting's present value as text.
func (f Field) Default() string {
	if list, ok := f.value.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(f.value.Interface())
}

// Kind is the kind of the setting's value, as a usage text names it.
func (f Field) Kind() string {
	switch f.value.Interface().(type) {
	case []string:
		return "list"
	case bool:
		return "bool"
	case time.Duration:
		return "duration"
	}
	return "string"
}

// Set reads text into the setting; lists are separated by commas.
func (f Field) Set(text string) error {
	switch target := f.value.Addr().Interface().(type) {
	case *string:
		*target = text
	case *[]string:
		*target = nil
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*target = append(*target, item)
			}
		}
	case *bool:
		value, err := strconv.ParseBool(text)
		if err != nil {
			return fault.New(fault.Place{}, "write true or false", "%q is neither true nor false", text)
		}
		*target = value
	case *time.Duration:
		value, err := time.ParseDuration(text)
		if err != nil {
			return fault.New(fault.Place{}, "write a duration such as 30s", "%q is no duration", text)
		}
		*target = value
	}
	return nil
}

// Fields lists the settings in the order of their declaration.
func (s *Settings) Fields() []Field {
	value := reflect.ValueOf(s).Elem()
	fields := make([]Field, 0, value.NumField())
	for i := range value.NumField() {
		tag := value.Type().Field(i).Tag
		fields = append(fields, Field{Name: tag.Get("name"), Help: tag.Get("help"), value: value.Field(i)})
	}
	return fields
}

// ReadYAML takes settings from a YAML file's content; name is for messages.
func (s *Settings) ReadYAML(name string, data []byte) error {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		place, text := fault.Place{File: name}, strings.TrimPrefix(err.Error(), "yaml: ")
		if _, scanErr := fmt.Sscanf(text, "line %d:", &place.Line); scanErr == nil {
			_, text, _ = strings.Cut(text, ": ")
		}
		return fault.New(place, "check the indentation and the quotes around this line", "not valid YAML: %s", text)
	}
	if len(document.Content) == 0 {
		return nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return fault.New(fault.Place{File: name, Line: root.Line}, "write one `name: value` a line", "the settings are not a mapping")
	}
	known, seen := map[string]Field{}, map[string]bool{}
	for _, field := range s.Fields() {
		known[field.Name] = field
	}
	var faults []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		faults = append(faults, readSetting(name, known, key, root.Content[i+1]))
		if seen[key.Value] {
			faults = append(faults, fault.New(fault.Place{File: name, Line: key.Line, Column: key.Column}, "keep one of them", "%s is set twice", key.Value))
		}
		seen[key.Value] = true
	}
	return errors.Join(faults...)
}

func readSetting(name string, known map[string]Field, key, value *yaml.Node) error {
	place := fault.Place{File: name, Line: key.Line, Column: key.Column}
	field, ok := known[key.Value]
	if !ok {
		return fault.New(place, "`agent run --help` lists the settings", "unknown setting %q", key.Value)
	}
	text := value.Value
	if value.Kind == yaml.SequenceNode {
		if field.value.Kind() != reflect.Slice {
			return fault.New(place, "write one value", "%s takes no list", key.Value)
		}
		items := make([]string, 0, len(value.Content))
		for _, item := range value.Content {
			items = append(items, item.Value)
		}
		text = strings.Join(items, ",")
	} else if value.Kind != yaml.ScalarNode {
		return fault.New(place, "write one value", "%s takes no mapping", key.Value)
	}
	if err := field.Set(text); err != nil {
		return fault.New(place, fault.Hint(err), "%s: %w", key.Value, err)
	}
	return nil
}

// Validate checks the settings of an agent that follows a remote.
func (s *Settings) Validate() error {
	var faults []error
	require := func(value, name string) {
		if value == "" {
			faults = append(faults, fault.New(fault.Place{}, fmt.Sprintf("set %s in agent.yml, --%s or %s%s",
				name, strings.ReplaceAll(name, "_", "-"), EnvPrefix, strings.ToUpper(name)), "the setting %s is missing", name))
		}
	}
	require(s.Environment, "environment")
	require(s.Node, "node")
	require(s.Repository, "repository")
	if s.Branch != "" && s.TagPattern != "" {
		faults = append(faults, fault.New(fault.Place{}, "keep one of them", "branch and tag_pattern are both set"))
	}
	if s.Interval < time.Second {
		faults = append(faults, fault.New(fault.Place{}, "30s is usual", "interval %s is under one second", s.Interval))
	}
	if s.GitLabURL != "" {
		require(s.GitLabProject, "gitlab_project")
		require(s.GitLabTokenFile, "gitlab_token_file")
		if u, err := url.Parse(s.GitLabURL); err != nil || u.Host == "" {
			faults = append(faults, fault.New(fault.Place{}, "write it as https://gitlab.example.com", "gitlab_url is no address"))
		}
	}
	_, mailErr := s.mailServer()
	faults = append(faults, s.checkListen(), s.checkSocket(), mailErr)
	return errors.Join(faults...)
}

func (s *Settings) checkListen() error {
	if s.Listen == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(s.Listen)
	ip := net.ParseIP(host)
	if err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fault.New(fault.Place{}, "use 127.0.0.1:9180, or leave it empty", "listen %q is no loopback address", s.Listen)
}

// checkSocket keeps to the 107 bytes that a unix socket's path may have.
func (s *Settings) checkSocket() error {
	if len(s.Socket) < 108 && filepath.IsAbs(s.Socket) {
		return nil
	}
	return fault.New(fault.Place{}, "choose an absolute path of at most 107 bytes", "socket %q cannot be used", s.Socket)
}

// Owner names the node as the ownership labels do.
func (s *Settings) Owner() string { return s.Environment + "/" + s.Node }

// Remote is the repository that the settings name.
func (s *Settings) Remote() gitsync.Remote {
	return gitsync.Remote{
		URL: s.Repository, Username: s.GitUser, TokenFile: s.GitTokenFile,
		KeyFile: s.SSHKeyFile, KnownHostsFile: s.KnownHostsFile, CAFile: s.CAFile,
	}
}

// Connect prepares a connection to the engine that the settings name, with the
// registry logins that they name.
func (s *Settings) Connect() (*deploy.Engine, error) {
	engine, err := deploy.Connect(s.Engine)
	if err != nil {
		return nil, err
	}
	engine.UseLogins(s.RegistryConfigFile)
	return engine, nil
}

// GitLab makes the client of the GitLab that the settings name; nil for none.
func (s *Settings) GitLab() (*gitlab.Client, error) {
	if s.GitLabURL == "" {
		return nil, nil
	}
	return gitlab.New(gitlab.Options{URL: s.GitLabURL, Project: s.GitLabProject, TokenFile: s.GitLabTokenFile, CAFile: s.CAFile})
}

// Rule gives the revision rule of the settings.
func (s *Settings) Rule() gitsync.Rule {
	rule := gitsync.Rule{Branch: s.Branch, TagPattern: s.TagPattern}
	if rule.Branch == "" && rule.TagPattern == "" {
		rule.Branch = "master"
	}
	return rule
}

// Paths lists the files and folders of the repository that a node is made of.
func (s *Settings) Paths() []string {
	environment := "environments/" + s.Environment
	return []string{environment + "/config.yml", environment + "/common", environment + "/nodes/" + s.Node, "templates"}
}
