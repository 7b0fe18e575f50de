// Package deploy makes a Swarm equal to a rendered stack: it takes a compose.Stack and
// the live state, and gives a Plan, applies it, and gives a Result per service. It is
// the only package that calls the engine. It writes only differences, and it changes
// no object of another owner.
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

// callLimit is the time limit of one call to the engine. An engine that hangs is
// reported after it.
const callLimit = time.Minute

// ErrUnavailable is the cause of errors about an engine that does not answer, that the
// agent is not allowed to use, or that is not a manager. The same call may succeed later.
var ErrUnavailable = errors.New("the engine cannot be used")

// Engine is a connection to one Docker Engine. It may be used concurrently.
type Engine struct {
	api       Client
	host      string
	loginFile string // registry credentials; "" for none

	negotiated sync.Once

	mu       sync.Mutex
	networks map[string]string // network names by ID: they never change, so each is read once
}

// Connect prepares a connection to the engine at host (unix:///path or
// tcp://host:port). It reads no environment variables and sends nothing yet.
func Connect(host string) (*Engine, error) {
	if host == "" {
		return nil, fault.New(fault.Place{}, "give it as unix:///var/run/docker.sock", "no engine address given")
	}
	api, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("use engine address %q: %w", host, err), "give it as unix:///var/run/docker.sock")
	}
	return New(api), nil
}

// negotiate sets the API version. Every call does this by itself, but the stream of
// events reads the version without a lock, so it must be set before.
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

// Info is what the engine reports about itself and its Swarm. Nodes is empty unless
// the engine is a manager.
type Info struct {
	EngineVersion string `json:"engine_version"`
	APIVersion    string `json:"api_version"` // as negotiated
	SwarmActive   bool   `json:"swarm_active"`
	Manager       bool   `json:"manager"`
	NodeID        string `json:"node_id,omitempty"`
	Nodes         []Node `json:"nodes,omitempty"`
}

// Info asks the engine about itself and its Swarm.
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
		return Info{}, e.explain("list the nodes of the Swarm", err)
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

// CheckManager gives a fault with a remedy unless the engine answers and is a manager
// of a Swarm.
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
		Message: fmt.Sprintf("the engine at %s is not a Swarm manager, or its Swarm has lost its quorum", e.host),
		Hint:    "run the agent on a manager (`docker node promote` makes a node a manager), or start the other managers again",
		Err:     errors.Join(ErrUnavailable, cause),
	}
}

// explain turns an error of the engine's client into a fault with a remedy.
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
			Message: fmt.Sprintf("%s: the engine at %s does not answer", doing, e.host),
			Hint:    "start the engine (`systemctl start docker`), or correct its address",
			Err:     errors.Join(ErrUnavailable, err),
		}
	case errors.Is(err, context.DeadlineExceeded), busy.MatchString(text):
		return &fault.Error{
			Message: fmt.Sprintf("%s: the engine at %s did not answer in time, or its managers did not agree", doing, e.host),
			Hint:    "find out why it is busy: `journalctl -u docker`, `docker node ls`",
			Err:     errors.Join(ErrUnavailable, err),
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// busy matches the errors of managers that did not process a call. Such an error is not
// a refusal.
var busy = regexp.MustCompile(`code = (DeadlineExceeded|Unavailable|Canceled|Aborted)|los(ing|t) leader status|raft: stopped`)
