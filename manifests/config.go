package manifests

import (
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

// The struct tags below are the one description of config.yml: the decoder and
// the JSON Schema both read them.
//
//	yaml      the key
//	doc       what it means
//	required  the key must be there
//	enum      the values allowed, parted by |
//	format    a rule of format.go
//	min, max  bounds of a number
//	default   the value when the key is absent
//	single    a list may be written as its one element

// Config is an environment's config.yml, with defaults filled in.
type Config struct {
	Environment           Environment   `yaml:"environment" required:"true" doc:"What this environment is."`
	Base                  Base          `yaml:"base" doc:"What the environment's nodes have in common."`
	Nodes                 []NodeConfig  `yaml:"nodes" required:"true" doc:"The nodes of the environment, each a Swarm manager with a stack of its own."`
	Database              Database      `yaml:"database" doc:"The database that the application uses."`
	Deployment            Deployment    `yaml:"deployment" doc:"How a release is rolled out."`
	Approval              Approval      `yaml:"approval" doc:"Who has to agree before a rollout."`
	Freeze                []Freeze      `yaml:"freeze" doc:"When no rollout begins."`
	Notifications         Notifications `yaml:"notifications" doc:"Who is told of rollouts."`
	Interpolation         Interpolation `yaml:"interpolation" enum:"strict|lenient" default:"strict" doc:"What an unset variable without a default is: an error (strict), or a warning and an empty string as docker stack deploy has it (lenient)."`
	Images                Images        `yaml:"images" doc:"How images are taken from their registry."`
	Secrets               Secrets       `yaml:"secrets" doc:"What holds for the environment's secrets: which must exist, when they are to be rotated, how long old versions stay."`
	AllowPlaintextSecrets bool          `yaml:"allow_plaintext_secrets" doc:"Accept secrets that stand unencrypted in the repository. Never in production."`
	Drift                 Drift         `yaml:"drift" enum:"report|correct" default:"report" doc:"What follows when the live stack is found changed between commits: only a report, or the applied state put back."`

	file   string
	places map[string]fault.Place
}

// Interpolation says what becomes of a variable that nobody sets.
type Interpolation string

// The two ways to treat an unset variable.
const (
	Strict  Interpolation = "strict"
	Lenient Interpolation = "lenient"
)

// Drift says what follows when the live stack differs from the applied one.
type Drift string

// The two answers to drift.
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
	Name  string          `yaml:"name" required:"true" format:"name" doc:"The environment's name; the same as its folder's."`
	Type  EnvironmentType `yaml:"type" required:"true" enum:"non-production|production" doc:"Production is held to stricter rules."`
	Color string          `yaml:"color" doc:"The colour people know the environment by."`
}

// Base is the section `base`.
type Base struct {
	Directory string `yaml:"directory" format:"absolute" doc:"The directory on the nodes that holds the environment's files."`
	Registry  string `yaml:"registry" format:"registry" doc:"The image repository that releases come from, without a scheme."`
	BindRoot  string `yaml:"bind_root" format:"absolute" doc:"The directory on the nodes below which relative bind mounts (./data:/data) are resolved. Without it they are refused."`
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
	Name            string   `yaml:"name" required:"true" format:"name" doc:"The node's name; the same as its folder's below nodes/."`
	Context         string   `yaml:"context" required:"true" doc:"The Docker context that people and scripts reach the node by."`
	Endpoint        string   `yaml:"endpoint" format:"endpoint" doc:"The address of the node's engine."`
	Stack           string   `yaml:"stack" required:"true" format:"stack" doc:"The name of the node's Swarm stack."`
	Role            Role     `yaml:"role" enum:"primary|secondary" default:"primary" doc:"The node's part in a blue-green rollout: secondaries go first."`
	PublicIP        string   `yaml:"public_ip" format:"ip" doc:"The address that users and checks reach the node at."`
	ComposeFiles    []string `yaml:"compose_files" format:"file" doc:"The node's compose files in merge order, relative to its folder. When none is named: docker-compose.yml, custom.secrets.yml, then docker-compose-*.y(a)ml sorted."`
	RequiredSecrets []string `yaml:"required_secrets" doc:"Secrets that must have a value on this node, besides secrets.required."`
	ProjectFiles    []string `yaml:"project_files" format:"file" doc:"The node's settings files, relative to its folder; a later one wins. They come after common/project.env. When none is named: project.env, then project_<node>.env."`
}

// Database is the section `database`.
type Database struct {
	Host string `yaml:"host" format:"host" doc:"The database server's host name or address."`
	Port int    `yaml:"port" min:"1" max:"65535" doc:"The database server's port."`
	Name string `yaml:"name" doc:"The database's name."`
	User string `yaml:"user" doc:"The user to connect as."`
}

// Strategy is the way a release goes over the nodes.
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
	Strategy           Strategy        `yaml:"strategy" enum:"sequential|parallel|blue-green|replace" default:"sequential" doc:"How a release goes over the nodes: one after another, all at once, secondaries before primaries, or each for itself in place."`
	Order              []string        `yaml:"order" doc:"All nodes, in the order they are rolled out. Without it, the order of nodes."`
	OrderTimeout       time.Duration   `yaml:"order_timeout" default:"1h" doc:"How long a node waits for one that comes before it and does not move on."`
	BlueGreen          BlueGreenRules  `yaml:"blue_green" doc:"How the primaries follow the secondaries in a blue-green rollout."`
	Waves              [][]string      `yaml:"waves" format:"services" doc:"The services in the order in which they roll, in waves: the services of one have to be what they declare before the next begins. Names of the compose files, or patterns such as *_api; a service that none names rolls in a last wave. The label coin-agent.wave of a service wins. Without waves: migrate, test_setup and jobs, then all others."`
	Replicas           int             `yaml:"replicas" min:"1" doc:"How many tasks a service of this environment has."`
	DatabasePoolSize   int             `yaml:"database_pool_size" min:"1" doc:"The size of the application's database pool."`
	LogLevel           string          `yaml:"log_level" enum:"debug|info|warning|error" doc:"The application's log level."`
	FeatureFlags       map[string]bool `yaml:"feature_flags" doc:"The application's feature flags."`
	HealthCheckTimeout time.Duration   `yaml:"health_check_timeout" doc:"The short form of health_check.timeout."`
	AutoDeploy         bool            `yaml:"auto_deploy" default:"true" doc:"Whether a merged commit rolls out without anyone asking for it."`
	ApprovalRequired   bool            `yaml:"approval_required" doc:"The short form of approval.required."`
	HealthCheck        HealthCheck     `yaml:"health_check" doc:"How it is seen that services are well after a rollout."`
	MigrationCheck     MigrationCheck  `yaml:"migration_check" doc:"Whether the database's migrations are compared before and after a rollout."`
	Checks             []Check         `yaml:"checks" doc:"What is asked of the node once its services are well: a rollout has succeeded when each has passed."`
	Performance        Performance     `yaml:"performance" doc:"What follows when checks take longer than in earlier releases."`
	Gates              Gates           `yaml:"gates" doc:"What a release and its surroundings have to be before it is rolled out."`
	Rollback           Rollback        `yaml:"rollback" doc:"What follows a failed rollout."`
}

// HealthCheck is the section `deployment.health_check`.
type HealthCheck struct {
	Enabled  bool          `yaml:"enabled" default:"true" doc:"Whether a rollout waits for its services to be well."`
	Timeout  time.Duration `yaml:"timeout" doc:"How long services may take to be well. Without it: 60s in development, 120s in sandbox, 180s in testing, else 300s."`
	Interval time.Duration `yaml:"interval" default:"10s" doc:"The time between two checks."`
}

// Rollback is the section `deployment.rollback`.
type Rollback struct {
	Enabled   bool `yaml:"enabled" default:"true" doc:"Whether a failed rollout may be taken back."`
	Automatic bool `yaml:"automatic" doc:"Whether that happens without a person asking for it."`
}

// ResolveImage says when an image's tag is looked up in its registry.
type ResolveImage string

// The choices of `docker stack deploy --resolve-image`.
const (
	ResolveAlways  ResolveImage = "always"
	ResolveChanged ResolveImage = "changed"
	ResolveNever   ResolveImage = "never"
)

// Images is the section `images`.
type Images struct {
	Resolve ResolveImage `yaml:"resolve" enum:"always|changed|never" default:"changed" doc:"When a tag is resolved to a digest through its registry, so that every node runs the same content: at each sync (always; a tag that was moved is then seen), when the image's text changed (changed), or never."`
}

// Secrets is the section `secrets`.
type Secrets struct {
	Required           []string       `yaml:"required" doc:"Secrets that must have a value on every node: a sync stops before it starts where one is missing."`
	Retention          Retention      `yaml:"retention" doc:"How long versions that nothing uses any more stay in Swarm."`
	RotationDays       int            `yaml:"rotation_days" min:"0" doc:"After how many days a secret is to be rotated. 0 for never."`
	RotationExceptions map[string]int `yaml:"rotation_exceptions" doc:"Secrets with a period of their own, in days. 0 for never."`
}

// Retention is the section `secrets.retention`. A version has to be beyond both
// bounds before it is collected.
type Retention struct {
	Days     int `yaml:"days" min:"0" doc:"How many days a version stays after nothing uses it any more; 0 to go by versions alone. Without it: 7 in development, 14 in sandbox, 30 in testing, else 90."`
	Versions int `yaml:"versions" min:"1" default:"1" doc:"How many old versions stay besides the newest one, however old they are."`
}

// Notifications is the section `notifications`.
type Notifications struct {
	Slack Slack    `yaml:"slack" doc:"A Slack-compatible channel."`
	Email []string `yaml:"email" format:"email" doc:"E-mail addresses."`
	On    []Event  `yaml:"on" enum:"failure|rollback|recovery|success|waiting|drift" doc:"What is told: a failed rollout, a rollback, the first success after a failure, a rollout that changed something, one that waits for a person, a live stack that was changed by hand. Without it: all but success. An empty list for nothing."`
}

// Event is what people are told of.
type Event string

// The events.
const (
	EventFailure  Event = "failure"
	EventRollback Event = "rollback"
	EventRecovery Event = "recovery"
	EventSuccess  Event = "success"
	EventWaiting  Event = "waiting"
	EventDrift    Event = "drift"
)

// Slack is the section `notifications.slack`.
type Slack struct {
	Channel            string `yaml:"channel" required:"true" doc:"The channel, such as \"#deployments\"."`
	WebhookURLVariable string `yaml:"webhook_url_variable" format:"variable" doc:"The key of the node's secrets.enc that holds the webhook's URL."`
}

// Node gives the entry of a node by its name.
func (c *Config) Node(name string) (NodeConfig, bool) {
	for _, node := range c.Nodes {
		if node.Name == name {
			return node, true
		}
	}
	return NodeConfig{}, false
}

// Order lists all nodes in the order they are rolled out.
func (c *Config) Order() []string {
	if len(c.Deployment.Order) > 0 {
		return c.Deployment.Order
	}
	return c.nodeNames()
}

// HealthTimeout is how long services may take to be well after a rollout.
func (c *Config) HealthTimeout() time.Duration {
	switch {
	case c.Deployment.HealthCheck.Timeout > 0:
		return c.Deployment.HealthCheck.Timeout
	case c.Deployment.HealthCheckTimeout > 0:
		return c.Deployment.HealthCheckTimeout
	}
	switch c.Environment.Name {
	case "development":
		return 60 * time.Second
	case "sandbox":
		return 120 * time.Second
	case "testing":
		return 180 * time.Second
	}
	return 300 * time.Second
}

// SecretRetention is how long an old version of a secret stays at least (seed,
// the table of section 6.2).
func (c *Config) SecretRetention() time.Duration {
	const day = 24 * time.Hour
	if _, set := c.places["secrets.retention.days"]; set {
		return time.Duration(c.Secrets.Retention.Days) * day
	}
	switch c.Environment.Name {
	case "development":
		return 7 * day
	case "sandbox":
		return 14 * day
	case "testing":
		return 30 * day
	}
	return 90 * day
}

// RotationPeriod is after how long a secret is to be rotated; 0 for never.
func (c *Config) RotationPeriod(secret string) time.Duration {
	days, own := c.Secrets.RotationExceptions[secret]
	if !own {
		days = c.Secrets.RotationDays
	}
	return time.Duration(days) * 24 * time.Hour
}

// RequiredSecrets lists what must have a value on a node, sorted.
func (c *Config) RequiredSecrets(node string) []string {
	entry, _ := c.Node(node)
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(c.Secrets.Required, entry.RequiredSecrets))))
}

// Events lists what people are told of.
func (c *Config) Events() []Event {
	if _, set := c.places["notifications.on"]; set {
		return c.Notifications.On
	}
	return []Event{EventFailure, EventRollback, EventRecovery, EventWaiting, EventDrift}
}

// Place says where config.yml sets a key, such as nodes[0].stack; for a key
// that it does not set, where the nearest section around it stands.
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

func (c *Config) nodeNames() []string {
	names := make([]string, 0, len(c.Nodes))
	for _, node := range c.Nodes {
		names = append(names, node.Name)
	}
	return names
}
