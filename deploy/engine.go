// Package deploy brings a Swarm to what a rendered stack says: it takes a
// compose.Stack and the live state, and gives a Plan, its application, and a
// Result per service. It is the only package that talks to the engine, it
// writes nothing but differences, and it touches no object of another owner.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"coin.internal/coin-agent/internal/fault"
)

// callLimit bounds one call to the engine, so that an engine that hangs is
// reported instead of waited for.
const callLimit = time.Minute

// ErrUnavailable is the cause of errors over an engine that does not answer, may
// not be used, or is no manager: what was asked of it may succeed later.
var ErrUnavailable = errors.New("the engine cannot be used")

// Engine is a connection to one Docker Engine. It may be used concurrently.
type Engine struct {
	api       *client.Client
	host      string
	loginFile string // registry credentials; "" for none

	negotiated sync.Once

	mu       sync.Mutex
	networks map[string]string // network names by ID: they never change, so asking once serves all later looks
}

// Connect prepares a connection to the engine at host (unix:///path or
// tcp://host:port) and consults no environment. Nothing is sent yet.
func Connect(host string) (*Engine, error) {
	if host == "" {
		return nil, fault.New(fault.Place{}, "give it as unix:///var/run/docker.sock", "no engine address given")
	}
	api, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("use engine address %q: %w", host, err), "give it as unix:///var/run/docker.sock")
	}
	return &Engine{api: api, host: host, networks: map[string]string{}}, nil
}

// negotiate settles the API version. Every call does so by itself, but the stream
// of events reads the version without a lock: it must be there before.
func (e *Engine) negotiate(ctx context.Context) {
	e.negotiated.Do(func() { e.api.NegotiateAPIVersion(ctx) })
}

// Close ends the connection.
func (e *Engine) Close() error { return e.api.Close() }

// Node is a node of the Swarm.
type Node struct {
	ID           string `json:"id"`
	Hostname     string `json:"hostname"`
	Role         string `json:"role"`
	State        string `json:"state"`
	Availability string `json:"availability"`
}

// Info is what the engine says about itself and its Swarm. Nodes is filled on
// managers only.
type Info struct {
	EngineVersion string `json:"engine_version"`
	APIVersion    string `json:"api_version"` // as negotiated
	SwarmActive   bool   `json:"swarm_active"`
	Manager       bool   `json:"manager"`
	NodeID        string `json:"node_id,omitempty"`
	Nodes         []Node `json:"nodes,omitempty"`
}

// Info asks the engine who it is.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	system, err := e.api.Info(ctx)
	if err != nil {
		return Info{}, e.explain("ask the engine for its state", err)
	}
	info := Info{
		EngineVersion: system.ServerVersion,
		APIVersion:    e.api.ClientVersion(),
		SwarmActive:   system.Swarm.LocalNodeState == swarm.LocalNodeStateActive,
		Manager:       system.Swarm.ControlAvailable,
		NodeID:        system.Swarm.NodeID,
	}
	if !info.Manager {
		return info, nil
	}
	nodes, err := e.api.NodeList(ctx, swarm.NodeListOptions{})
	if err != nil {
		return Info{}, e.explain("list the Swarm's nodes", err)
	}
	for _, node := range nodes {
		info.Nodes = append(info.Nodes, Node{
			ID:           node.ID,
			Hostname:     node.Description.Hostname,
			Role:         string(node.Spec.Role),
			State:        string(node.Status.State),
			Availability: string(node.Spec.Availability),
		})
	}
	sort.Slice(info.Nodes, func(i, j int) bool { return info.Nodes[i].Hostname < info.Nodes[j].Hostname })
	return info, nil
}

// CheckManager gives a fault with its remedy unless the engine answers and is a
// manager of a Swarm.
func (e *Engine) CheckManager(ctx context.Context) error {
	info, err := e.Info(ctx)
	switch {
	case err != nil:
		return err
	case !info.SwarmActive:
		return e.notInSwarm(nil)
	case !info.Manager:
		return e.notManager(nil)
	}
	return nil
}

func (e *Engine) notInSwarm(cause error) error {
	return &fault.Error{
		Message: fmt.Sprintf("the engine at %s is not part of a Swarm", e.host),
		Hint:    "run `docker swarm init` on it, or point the agent at a manager",
		Err:     errors.Join(ErrUnavailable, cause),
	}
}

func (e *Engine) notManager(cause error) error {
	return &fault.Error{
		Message: fmt.Sprintf("the engine at %s is no Swarm manager, or its Swarm has lost its quorum", e.host),
		Hint:    "run the agent on a manager (`docker node promote` makes one), or bring the other managers back",
		Err:     errors.Join(ErrUnavailable, cause),
	}
}

// explain turns an engine client's error into one that says what to do.
func (e *Engine) explain(doing string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "This node is not part of a swarm"), strings.Contains(text, `Use "docker swarm init"`):
		return e.notInSwarm(err)
	case strings.Contains(text, "not a swarm manager"), strings.Contains(text, "The swarm does not have a leader"):
		return e.notManager(err)
	case errors.Is(err, os.ErrPermission) || strings.Contains(text, "permission denied while trying to connect"):
		return &fault.Error{
			Message: fmt.Sprintf("%s: no permission to use the engine at %s", doing, e.host),
			Hint:    "run the agent as root or as a member of the group that owns the socket (docker)",
			Err:     errors.Join(ErrUnavailable, err),
		}
	case client.IsErrConnectionFailed(err):
		return &fault.Error{
			Message: fmt.Sprintf("%s: no engine answers at %s", doing, e.host),
			Hint:    "start the engine (`systemctl start docker`), or give its address",
			Err:     errors.Join(ErrUnavailable, err),
		}
	case errors.Is(err, context.DeadlineExceeded), busy.MatchString(text):
		return &fault.Error{
			Message: fmt.Sprintf("%s: the engine at %s gave no answer in time, or its managers did not agree", doing, e.host),
			Hint:    "see what keeps it busy: `journalctl -u docker`, `docker node ls`",
			Err:     errors.Join(ErrUnavailable, err),
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// busy is how managers speak that did not come to do what they were asked: it is no
// refusal.
var busy = regexp.MustCompile(`code = (DeadlineExceeded|Unavailable|Canceled|Aborted)|los(ing|t) leader status|raft: stopped`)
