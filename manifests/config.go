package manifests

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// The struct tags below describe config.yml for the decoder and the JSON Schema:
//
//	yaml      the key
//	doc       the description
//	required  the key must be set
//	enum      the allowed values, separated by |
//	format    a rule of format.go
//	min, max  bounds of a number
//	default   the value when the key is absent
//	single    a list may be written as its one element
//	excludes  other keys of the section that must not be set beside it

// Freed is a stack that no longer waits for another one.
type Freed struct{ Stack, From string }

// Config is an environment's config.yml, with defaults filled in.
type Config struct {
	Environment           Environment       `yaml:"environment" required:"true" doc:"The environment's name and type."`
	Base                  Base              `yaml:"base" doc:"Settings that all nodes of the environment share."`
	Nodes                 []NodeConfig      `yaml:"nodes" required:"true" doc:"The nodes of the environment. Each is a Swarm manager with its own stack, or with several."`
	Database              Database          `yaml:"database" doc:"The database that the application uses."`
	Deployment            Deployment        `yaml:"deployment" doc:"How a release is rolled out."`
	Approval              Approval          `yaml:"approval" doc:"Who must approve a rollout."`
	Freeze                []Freeze          `yaml:"freeze" doc:"Times in which rollouts do not start."`
	Notifications         Notifications     `yaml:"notifications" doc:"Who is notified of rollouts, and of which events."`
	Interpolation         Interpolation     `yaml:"interpolation" enum:"strict|lenient" default:"strict" doc:"How an unset variable without a default is treated: as an error (strict), or as a warning and an empty string as in docker stack deploy (lenient)."`
	Images                Images            `yaml:"images" doc:"How image tags are resolved."`
	Secrets               Secrets           `yaml:"secrets" doc:"Rules for secrets: which must exist, when they must be rotated, how long old versions are kept."`
	AllowPlaintextSecrets bool              `yaml:"allow_plaintext_secrets" doc:"Accept unencrypted secrets in the repository. Refused in production."`
	Drift                 Drift             `yaml:"drift" enum:"report|correct" default:"report" doc:"What happens when the live stack has drifted: report only reports it, correct applies the last state again."`
	DriftIgnore           []DriftIgnore     `yaml:"drift_ignore" doc:"Fields of services that another process manages, such as an autoscaler. A difference in them is not drift. A sync keeps their live values, unless the commit changes them."`
	Promote               map[string]string `yaml:"promote" example:"{node4: node2}" doc:"For agent release promote: the node of the environment before this one whose release a node gets. For a node without an entry, the role decides: the nodes of a role get their releases from the nodes of that role, in the order of nodes."`

	// Of a config in force (Judges.InForce), and of no other.
	Declared *Config  // the commit's own
	Loosens  []string // what the commit loosens, in words that follow "this commit"
	Lifted   []string // nodes that the commit no longer waits for: only an approval on the node lets it pass without them

	// Freed are the waits of the node's stacks that the commit ends: only the earlier stack's success,
	// or an approval on the node, lets it pass.
	Freed []Freed

	approvals []Approval // each of which must be given
	gates     *Gates
	after     []string // nodes that the node's own floor has before it

	file   string
	places map[string]fault.Place
}

// Interpolation says how an unset variable is treated.
type Interpolation string

// The two ways to treat an unset variable.
const (
	Strict  Interpolation = "strict"
	Lenient Interpolation = "lenient"
)

// Drift says what happens when the live stack has drifted.
type Drift string

// The two reactions to drift.
const (
	DriftReport  Drift = "report"
	DriftCorrect Drift = "correct"
)

// EnvironmentType separates production from everything else.
type EnvironmentType string

// The two types of environment.
const (
	NonProduction EnvironmentType = "non-production"
	Production    EnvironmentType = "production"
)

// Environment is the section `environment`.
type Environment struct {
	Name  string          `yaml:"name" required:"true" format:"name" example:"sandbox" doc:"The environment's name. It must equal the name of its folder."`
	Type  EnvironmentType `yaml:"type" required:"true" enum:"non-production|production" doc:"The environment's type. Stricter rules apply to production."`
	Color string          `yaml:"color" example:"green" doc:"For readers only, without an effect: the colour that marks the environment."`
}

// Base is the section `base`.
type Base struct {
	Directory    string   `yaml:"directory" format:"absolute" doc:"For readers only, without an effect: the directory on the nodes that holds the environment's files."`
	Registry     string   `yaml:"registry" format:"registry" doc:"The image repository of the releases, without a scheme. It is the variable DOCKER_REGISTRY, unless node.env sets that."`
	ReleaseFiles []string `yaml:"release_files" format:"file" example:"[configs/nginx.conf]" doc:"Files of a release's bundle, besides the compose files, that agent release prepare copies into the folders of the nodes."`
	BindRoot     string   `yaml:"bind_root" format:"absolute" doc:"The directory on the nodes that relative bind mounts (./data:/data) are resolved in. Without it they are refused."`
}

// Role is a node's part in a blue-green rollout.
type Role string

// The two roles of a node.
const (
	Primary   Role = "primary"
	Secondary Role = "secondary"
)

// NodeConfig is one entry of `nodes`.
type NodeConfig struct {
	Name            string        `yaml:"name" required:"true" format:"name" example:"node3" doc:"The node's name. It must equal the name of its folder in nodes/."`
	Context         string        `yaml:"context" example:"wlt-sbx-dkapp3-ams" doc:"The Docker context that users and scripts reach the node by. If the node's folder has a file <context>.env, its variables come before node.env."`
	Endpoint        string        `yaml:"endpoint" format:"endpoint" doc:"For readers only, without an effect: the address of the node's engine. The agent works on the engine that its own settings name."`
	Stack           string        `yaml:"stack" format:"stack" doc:"The name of the node's Swarm stack. Default: the node's name."`
	Stacks          []StackConfig `yaml:"stacks" excludes:"stack,compose_files" doc:"The node's Swarm stacks in order, if it has several: each is kept in sync on its own, after the stacks that it waits for. Replaces stack and compose_files."`
	Role            Role          `yaml:"role" enum:"primary|secondary" default:"primary" doc:"The node's part in a blue-green rollout. Secondaries roll out first."`
	PublicIP        string        `yaml:"public_ip" format:"ip" doc:"The address that users and checks reach the node at."`
	URL             string        `yaml:"url" format:"page" doc:"The address that users open what the node runs at. GitLab shows it at the environment <environment>/<node>."`
	ComposeFiles    []string      `yaml:"compose_files" format:"file" example:"[docker-compose.yml, docker-compose-extra.yml]" doc:"The node's compose files in merge order, relative to its folder. Default: docker-compose.yml, custom.secrets.yml, then docker-compose-*.y(a)ml sorted."`
	RequiredSecrets []string      `yaml:"required_secrets" example:"[db_access]" doc:"Secrets that must have a value on this node, in addition to secrets.required."`
	NodeFiles       []string      `yaml:"node_files" format:"file" example:"[common.env, ../release.env]" doc:"The files that set the node's variables, relative to its folder. A later file overrides an earlier one. Default: node.env."`
	ProjectFiles    []string      `yaml:"project_files" format:"file" example:"[project.env, project_node3.env]" doc:"The node's settings files, relative to its folder. A later file overrides an earlier one and common/project.env. Default: project.env, then project_<node>.env."`
}

// Database is the section `database`.
type Database struct {
	Host string `yaml:"host" format:"host" example:"postgres-sandbox.internal" doc:"The database server's host name or address."`
	Port int    `yaml:"port" min:"1" max:"65535" example:"5432" doc:"The database server's port."`
	Name string `yaml:"name" example:"coin_sandbox" doc:"The database's name."`
	User string `yaml:"user" example:"coin" doc:"The user to connect as."`
}

// Strategy is the order in which the nodes roll out a release.
type Strategy string

// The four strategies.
const (
	Sequential Strategy = "sequential"
	Parallel   Strategy = "parallel"
	BlueGreen  Strategy = "blue-green"
	Replace    Strategy = "replace"
)

// Deployment is the section `deployment`.
type Deployment struct {
	Strategy           Strategy        `yaml:"strategy" enum:"sequential|parallel|blue-green|replace" default:"sequential" example:"parallel" doc:"How the nodes roll out a release: sequential (one after another), parallel (all at once), blue-green (secondaries before primaries), or replace (each node in place, independent of the others)."`
	Order              []string        `yaml:"order" example:"[node3, node4]" doc:"All nodes in rollout order. Default: the order of nodes."`
	OrderTimeout       time.Duration   `yaml:"order_timeout" default:"1h" doc:"How long a node waits for an earlier node that makes no progress."`
	BlueGreen          BlueGreenRules  `yaml:"blue_green" doc:"When the primaries follow the secondaries in a blue-green rollout."`
	Waves              [][]string      `yaml:"waves" format:"services" example:"[[migrate, test_setup], [\"*_api\"]]" doc:"The services in rollout order, in waves. The services of one wave must be healthy before the next wave starts. Entries are service names of the compose files, or patterns such as *_api. Services that match no entry form the last wave. The label coin-agent.wave of a service overrides this list. Default: migrate, test_setup and jobs, then all others."`
	Replicas           int             `yaml:"replicas" min:"1" example:"2" doc:"The number of tasks of a service in this environment. It is the variable REPLICAS, unless node.env sets that."`
	DatabasePoolSize   int             `yaml:"database_pool_size" min:"1" example:"20" doc:"The size of the application's database pool. It is the variable DB_POOL_SIZE, unless node.env sets that."`
	LogLevel           string          `yaml:"log_level" enum:"debug|info|warning|error" doc:"The application's log level. It is the variable LOG_LEVEL, unless node.env sets that."`
	FeatureFlags       map[string]bool `yaml:"feature_flags" example:"{new_checkout: true}" doc:"The application's feature flags. new_checkout is the variable FEATURE_NEW_CHECKOUT, unless node.env sets that. all stands for the other flags that the template of the project settings mentions."`
	HealthCheckTimeout time.Duration   `yaml:"health_check_timeout" example:"5m" doc:"The short form of health_check.timeout."`
	AutoDeploy         bool            `yaml:"auto_deploy" default:"true" doc:"Whether a merged commit rolls out by itself. Otherwise a user starts it."`
	ApprovalRequired   bool            `yaml:"approval_required" doc:"The short form of approval.required."`
	HealthCheck        HealthCheck     `yaml:"health_check" doc:"How a rollout checks that its services are healthy."`
	MigrationCheck     MigrationCheck  `yaml:"migration_check" doc:"Whether the database's migrations are compared before and after a rollout."`
	Checks             []Check         `yaml:"checks" doc:"Checks that run once the services are healthy. A rollout succeeds when each check passes."`
	Performance        Performance     `yaml:"performance" doc:"What happens when checks take longer than in earlier releases."`
	Gates              Gates           `yaml:"gates" doc:"Conditions that a release, the node and its services must meet before a rollout."`
	Rollback           Rollback        `yaml:"rollback" doc:"What happens after a failed rollout."`
}

// HealthCheck is the section `deployment.health_check`.
type HealthCheck struct {
	Enabled  bool          `yaml:"enabled" default:"true" doc:"Whether a rollout waits until its services are healthy."`
	Timeout  time.Duration `yaml:"timeout" example:"5m" doc:"How long services may take to become healthy. Default: 60s in development, 120s in sandbox, 180s in testing, otherwise 300s."`
	Interval time.Duration `yaml:"interval" default:"10s" doc:"Has no effect: the agent follows the events of the engine."`
}

// Rollback is the section `deployment.rollback`.
type Rollback struct {
	Enabled   bool          `yaml:"enabled" default:"true" doc:"Whether a failed rollout may be rolled back."`
	Automatic bool          `yaml:"automatic" doc:"Whether the agent rolls back by itself. Otherwise a user starts the rollback."`
	Soak      time.Duration `yaml:"soak" default:"10m" doc:"How long the services that a rollout changed must stay healthy after it. Rollbacks skip a release that does not; it is rolled back if automatic is true. 1s is practically no soak time."`
}

// MissingWarn is the value of images.missing with which a sync continues.
const MissingWarn = "warn"

// Images is the section `images`.
type Images struct {
	Resolve string `yaml:"resolve" enum:"always|changed|never" default:"changed" doc:"When the registry is asked for the digest of a tag, so that all nodes run the same image: at each sync (always, which detects a moved tag), when the image's text has changed (changed), or never."`
	Missing string `yaml:"missing" enum:"refuse|warn" default:"refuse" doc:"What happens when a sync would start tasks whose image is neither on this node nor in its registry: it stops before the first write (refuse), or continues with a warning (warn)."`
}

// Secrets is the section `secrets`.
type Secrets struct {
	Required           []string       `yaml:"required" example:"[db_access]" doc:"Secrets that must have a value on every node. A sync fails before its first write if one is missing."`
	Retention          Retention      `yaml:"retention" doc:"How long unused versions are kept in Swarm."`
	RotationDays       int            `yaml:"rotation_days" min:"0" example:"90" doc:"After how many days a secret must be rotated. 0 means never."`
	RotationExceptions map[string]int `yaml:"rotation_exceptions" example:"{web_auth: 30}" doc:"Secrets with a different rotation period, in days. 0 means never."`
}

// Retention is the section `secrets.retention`. A version is removed when it exceeds
// both limits.
type Retention struct {
	Days     int `yaml:"days" min:"0" example:"30" doc:"How many days an unused version is kept. With 0, only versions decides. Default: 7 in development, 14 in sandbox, 30 in testing, otherwise 90."`
	Versions int `yaml:"versions" min:"1" default:"1" doc:"How many old versions are kept besides the newest one, regardless of age."`
}

// Notifications is the section `notifications`.
type Notifications struct {
	Slack Slack    `yaml:"slack" doc:"A Slack-compatible channel."`
	Email []string `yaml:"email" format:"email" example:"[ops@example.com]" doc:"E-mail addresses."`
	Via   []string `yaml:"via" enum:"pagerduty|teams|webhook" doc:"Receivers whose addresses and keys the agent's settings have."`
	On    []string `yaml:"on" enum:"failure|rollback|recovery|success|waiting|drift" example:"[failure, rollback, recovery]" doc:"Which events are sent: a failed rollout (failure), a rollback (rollback), the first success after a failure (recovery), a rollout with changes (success), a rollout that waits for a user (waiting), a drifted stack (drift). Default: all but success. An empty list means none."`
}

// Slack is the section `notifications.slack`.
type Slack struct {
	Channel            string `yaml:"channel" required:"true" example:"\"#deployments-sandbox\"" doc:"The channel, such as \"#deployments\"."`
	WebhookURLVariable string `yaml:"webhook_url_variable" format:"variable" doc:"The key in the node's secrets.enc that holds the webhook's URL."`
}

// Node returns the entry of a node by its name.
func (c *Config) Node(name string) (NodeConfig, bool) {
	for _, node := range c.Nodes {
		if node.Name == name {
			return node, true
		}
	}
	return NodeConfig{}, false
}

// Order lists all nodes in rollout order.
func (c *Config) Order() []string {
	if len(c.Deployment.Order) > 0 {
		return c.Deployment.Order
	}
	return nodeNames(c)
}

// HealthTimeout returns how long services may take to become healthy.
func (c *Config) HealthTimeout() time.Duration {
	defaults := map[string]time.Duration{"development": 60 * time.Second, "sandbox": 120 * time.Second, "testing": 180 * time.Second}
	return cmp.Or(c.Deployment.HealthCheck.Timeout, c.Deployment.HealthCheckTimeout, defaults[c.Environment.Name], 300*time.Second)
}

// SecretRetention returns how long an unused version of a secret is kept at least.
func (c *Config) SecretRetention() time.Duration {
	days := c.Secrets.Retention.Days
	if !c.set("secrets.retention.days") {
		defaults := map[string]int{"development": 7, "sandbox": 14, "testing": 30}
		days = cmp.Or(defaults[c.Environment.Name], 90)
	}
	return inDays(days)
}

// RotationPeriod returns after how long a secret must be rotated, or 0 for never.
func (c *Config) RotationPeriod(secret string) time.Duration {
	days, own := c.Secrets.RotationExceptions[secret]
	if !own {
		days = c.Secrets.RotationDays
	}
	return inDays(days)
}

// inDays gives a number of days as a duration, a century at most: a duration has no more than 292
// years, and what is more would become negative.
func inDays(days int) time.Duration {
	const century = 36525
	return time.Duration(min(days, century)) * 24 * time.Hour
}

// RequiredSecrets lists the secrets that must have a value on a node, sorted.
func (c *Config) RequiredSecrets(node string) []string {
	entry, _ := c.Node(node)
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(c.Secrets.Required, entry.RequiredSecrets))))
}

// Events lists the events that users are notified of.
func (c *Config) Events() []string {
	if c.set("notifications.on") {
		return c.Notifications.On
	}
	return []string{"failure", "rollback", "recovery", "waiting", "drift"}
}

// Place returns where config.yml sets a key, such as nodes[0].stack. For a key that
// is not set it returns the place of the nearest section that contains it.
func (c *Config) Place(key string) fault.Place {
	for {
		if place, ok := c.places[key]; ok {
			return place
		}
		cut := strings.LastIndexAny(key, ".[")
		if cut < 0 {
			return fault.Place{File: c.file}
		}
		key = key[:cut]
	}
}

// set reports whether config.yml sets a key.
func (c *Config) set(key string) bool {
	_, ok := c.places[key]
	return ok
}

func nodeNames(c *Config) []string {
	names := make([]string, 0, len(c.Nodes))
	for _, node := range c.Nodes {
		names = append(names, node.Name)
	}
	return names
}
