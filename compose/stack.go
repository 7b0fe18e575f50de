package compose

import (
	"maps"
	"slices"
	"strings"
	"time"

	composetypes "github.com/docker/cli/cli/compose/types"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Labels that the agent sets on the objects that it owns, never on containers.
const (
	// LabelOwner names the node that owns an object: <environment>/<node>. Every
	// comparison includes it.
	LabelOwner = "coin-agent.owner"
	// LabelTimeout says, in deploy.labels of a compose file, how long the service may
	// take to become healthy. The agent reads it from the files only, so a difference
	// is not a reason to update a service.
	LabelTimeout = "coin-agent.timeout"
	// LabelWave sets, in deploy.labels as well, the wave of the service, from 1. It
	// overrides deployment.waves in config.yml. A difference is not a reason to update.
	LabelWave = "coin-agent.wave"
	// LabelPrefix is the prefix of all labels of the agent. Except for LabelOwner, a
	// difference in them is not a reason to update.
	LabelPrefix = "coin-agent."
	// LabelStack is Docker's label for the objects of a stack.
	LabelStack = "com.docker.stack.namespace"
	// LabelImage is the label in which `docker stack deploy` stores the image as written.
	LabelImage = "com.docker.stack.image"
)

// Resolve says when registries are asked for the digests of images.
type Resolve string

// The choices of `docker stack deploy --resolve-image`.
const (
	ResolveAlways  Resolve = "always"  // at each sync
	ResolveChanged Resolve = "changed" // when the image's text differs from the running service's
	ResolveNever   Resolve = "never"
)

// Stack is the desired state of one node, as engine specs by the full names of the
// objects in the engine. Its object IDs are empty.
type Stack struct {
	Name    string // the stack's name, such as sbxapp3
	Owner   string // <environment>/<node>, the value of LabelOwner; "" for a stack of no agent
	Release string // TAG in node.env, or ""

	// TakesOver says that a user has the stack take over the objects that agents own. It is
	// for a stack without an owner.
	TakesOver bool `json:"-"`

	// Resolve is images.resolve in config.yml; "" means ResolveChanged.
	Resolve Resolve `json:"-"`

	// WarnMissing says that config.yml's images.missing is warn: an image that does not
	// exist does not stop a sync.
	WarnMissing bool `json:"-"`

	// Waves has the waves from deployment.waves in config.yml, from 1, by the full names
	// of the services; nil without deployment.waves.
	Waves map[string]int `json:"-"`

	// Ignored has the fields of services, by full name, whose live values stay: drift_ignore
	// in config.yml.
	Ignored map[string][]Ignored `json:"-"`

	Networks map[string]network.CreateOptions
	Secrets  []Secret // sorted by name
	Configs  []Config // sorted by name
	Services map[string]swarm.ServiceSpec

	// Depends has the dependencies of services that depends_on lists, by the names in the compose
	// files: the other service, and the condition. They have no effect in Swarm.
	Depends map[string]map[string]string `json:"-"`

	// External objects must exist in Swarm. The agent never writes them. Sorted.
	ExternalNetworks []string
	ExternalSecrets  []string
	ExternalConfigs  []string

	// Given has external objects that a plan takes to be there: an earlier stack of the node
	// makes them before this one is applied. Empty for a stack that is applied now.
	Given Given `json:"-"`

	// Warnings describe settings that have no effect, and what happens instead.
	Warnings []*fault.Error `json:"-"`

	// Mentioned has the variables that the compose files mention; nil if Inspect could not
	// read all of them.
	Mentioned map[string]bool `json:"-"`

	// Unset lists the variables of Mentioned that apply without a default and are not set,
	// sorted.
	Unset []string `json:"-"`

	merged *composetypes.Config // for YAML
	files  *files               // for Place; nil unless it was rendered from files
}

// Ignored is a field of a service that another process manages.
type Ignored struct {
	Field  string `json:"field"`
	Until  string `json:"until,omitempty"` // the day from which on the field counts again; "" for none
	Reason string `json:"reason"`
}

// Over reports whether the field counts again.
func (i Ignored) Over(now time.Time) bool { return manifests.DayOver(i.Until, now) }

// ownerOf gives the owner of a node's stack. Files that a user names one by one belong to no
// environment, and so to no agent.
func ownerOf(node *manifests.Node) string {
	if node.Environment == "" {
		return ""
	}
	return node.Environment + "/" + node.Name
}

// own adds the label of the stack's owner, if it has one.
func (s *Stack) own(labels map[string]string) {
	if s.Owner != "" {
		labels[LabelOwner] = s.Owner
	}
}

// Short lists the stack's services by their names in the compose files, sorted.
func (s *Stack) Short() []string {
	names := slices.Sorted(maps.Keys(s.Services))
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, s.Name+"_")
	}
	return names
}

// Secret is a versioned secret of the stack. Its value is not in the spec, so that the
// spec can be printed.
type Secret struct {
	Spec     swarm.SecretSpec // Data is always empty
	Value    secrets.Value
	Key      string // the name in the compose file, such as db_access
	Variable string // the SV_ variable in its name, or ""
	Version  string // of Variable: its value, also if that is a default in the compose file, or auto
	Derived  string `json:"-"` // the version in the name where Version is auto
	File     string `json:"-"` // the path of its file, or ""

	Vault secrets.Reference `json:"-"` // where the value is in Vault; zero for a value of the repository

	// Missing says why there is no value. Swarm must have the secret then.
	Missing *fault.Error `json:"-"`
}

// Config is a config of the stack. Its content is not secret.
type Config struct {
	Spec     swarm.ConfigSpec
	Key      string
	Variable string
}
