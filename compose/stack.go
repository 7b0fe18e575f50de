package compose

import (
	composetypes "github.com/docker/cli/cli/compose/types"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// Labels that the agent puts on the objects it owns, never on containers.
const (
	// LabelOwner names the node that owns an object: <environment>/<node>.
	// It is the agent's ownership mark: fixed, and part of every comparison.
	LabelOwner = "coin-agent.owner"
	// LabelTimeout may stand in a compose file's deploy.labels: how long the
	// service may take to be what it declares. It is read from the files, and
	// stands in the engine for people; so it is never a reason to write.
	LabelTimeout = "coin-agent.timeout"
	// LabelWave may stand there, too: the wave that the service rolls in, counted
	// from 1. It beats deployment.waves of config.yml, and is no reason to write.
	LabelWave = "coin-agent.wave"
	// LabelPrefix starts all labels of the agent. Those other than LabelOwner
	// are metadata, which is never a reason to write by itself.
	LabelPrefix = "coin-agent."
	// LabelStack is Docker's own mark of a stack's objects.
	LabelStack = "com.docker.stack.namespace"
	// LabelImage is where `docker stack deploy` keeps the image as written.
	LabelImage = "com.docker.stack.image"
)

// Resolve says when the digests of images are looked up in their registries.
type Resolve string

// The choices of `docker stack deploy --resolve-image`.
const (
	ResolveAlways  Resolve = "always"  // at each sync
	ResolveChanged Resolve = "changed" // when the image's text differs from the running one's
	ResolveNever   Resolve = "never"
)

// Stack is what one node should run, as engine specs under the full names that
// the objects have in the engine. Object IDs in it are empty.
type Stack struct {
	Name    string // the stack's name, such as sbxapp3
	Owner   string // <environment>/<node>, the value of LabelOwner
	Release string // TAG, as node.env says; "" when unset

	// Resolve is config.yml's images.resolve; "" counts as ResolveChanged.
	Resolve Resolve `json:"-"`

	// Waves are those that config.yml's deployment.waves puts services into, by full
	// name, counted from 1; nil where it has none.
	Waves map[string]int `json:"-"`

	Networks map[string]network.CreateOptions
	Secrets  []Secret // sorted by name
	Configs  []Config // sorted by name
	Services map[string]swarm.ServiceSpec

	// External objects must exist in Swarm; they are never written. Sorted.
	ExternalNetworks []string
	ExternalSecrets  []string
	ExternalConfigs  []string

	// Warnings say where the engine cannot do what a file asks for, and what
	// happens instead.
	Warnings []*fault.Error `json:"-"`

	merged *composetypes.Config // for YAML
}

// Secret is a versioned secret of the stack: its spec without data, and its
// value apart from it, so that the spec can be printed.
type Secret struct {
	Spec     swarm.SecretSpec // Data is always empty
	Value    secrets.Value
	Key      string // the name in the compose file, such as db_access
	Variable string // the SV_ variable that versions it, "" when the name has none

	// Missing says why there is no value; Swarm has to hold the secret then.
	Missing *fault.Error `json:"-"`
}

// Config is a config of the stack. Its content is no secret.
type Config struct {
	Spec     swarm.ConfigSpec
	Key      string
	Variable string
}
