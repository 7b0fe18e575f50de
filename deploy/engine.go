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
	swarm      SwarmAPI
	host       HostAPI
	address    address
	reader     *reader
	registries *registries
	negotiated sync.Once
}

// Connect prepares a connection to the engine at host (unix:///path or
// tcp://host:port). It reads no environment variables and sends nothing yet.
func Connect(host string) (*Engine, error) {
	const hint = "give it as unix:///var/run/docker.sock"
	if host == "" {
		return nil, fault.New(fault.Place{}, hint, "no engine address given")
	}
	api, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("use engine address %q: %w", host, err), hint)
	}
	return New(api), nil
}

// New gives an Engine that calls through client, which it closes at its end.
func New(client interface {
	SwarmAPI
	HostAPI
},
) *Engine {
	at := address(client.DaemonHost())
	return &Engine{
		swarm: client, host: client, address: at,
		reader:     &reader{api: client, engine: at},
		registries: &registries{api: client, engine: at},
	}
}

// Close ends the connection.
func (e *Engine) Close() error { return e.host.Close() }

// Local tells whether the engine runs on this machine.
func (e *Engine) Local() bool { return strings.HasPrefix(string(e.address), "unix://") }

// Info is what the engine reports about itself and its Swarm.
type Info struct {
	EngineVersion string
	APIVersion    string // as negotiated
	DataRoot      string // the engine's data folder, on the engine's machine
	Nodes         int    // of the Swarm; 0 unless the engine is a manager

	swarm swarm.Info
}

// Info asks the engine about itself and its Swarm, with one call.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	system, err := e.host.Info(ctx)
	if err != nil {
		return Info{}, e.address.explain("ask the engine for its state", err)
	}
	return Info{
		EngineVersion: system.ServerVersion, APIVersion: e.host.ClientVersion(), DataRoot: system.DockerRootDir,
		Nodes: system.Swarm.Nodes, swarm: system.Swarm,
	}, nil
}

// Ready gives Info, or a fault with a remedy unless the engine is a manager of a Swarm
// that works and its API version is supported.
func (e *Engine) Ready(ctx context.Context) (Info, error) {
	info, err := e.Info(ctx)
	switch {
	case err != nil:
		return Info{}, err
	case info.swarm.LocalNodeState != swarm.LocalNodeStateActive:
		return Info{}, e.address.notInSwarm(nil)
	case !info.swarm.ControlAvailable:
		return Info{}, e.address.notManager(nil)
	case info.swarm.Error != "": // the managers have lost their quorum, for example
		return Info{}, e.address.explain("ask the managers for the state of the Swarm", errors.New(info.swarm.Error))
	}
	return info, tooOld(info.APIVersion)
}

// address is where the engine is. Errors name it.
type address string

func (a address) notInSwarm(cause error) error {
	return unavailable(cause, "run `docker swarm init` on it, or point the agent at a manager",
		"the engine at %s is not part of a Swarm", a)
}

func (a address) notManager(cause error) error {
	return unavailable(cause, "run the agent on a manager (`docker node promote` makes a node a manager), or start the other managers again",
		"the engine at %s is not a Swarm manager, or its Swarm has lost its quorum", a)
}

// explain turns an error of the engine's client into a fault with a remedy. For nil it
// gives nil.
func (a address) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "This node is not part of a swarm"), strings.Contains(text, `Use "docker swarm init"`):
		return a.notInSwarm(err)
	case strings.Contains(text, "not a swarm manager"), strings.Contains(text, "The swarm does not have a leader"):
		return a.notManager(err)
	case errors.Is(err, os.ErrPermission) || strings.Contains(text, "permission denied while trying to connect"):
		return unavailable(err, "run the agent as root or as a member of the group that owns the socket (docker)",
			"%s: no permission to use the engine at %s", doing, a)
	case client.IsErrConnectionFailed(err):
		return unavailable(err, "start the engine (`systemctl start docker`), or correct its address",
			"%s: the engine at %s does not answer", doing, a)
	case errors.Is(err, context.DeadlineExceeded), busy.MatchString(text):
		return unavailable(err, "find out why it is busy: `journalctl -u docker`, `docker node ls`",
			"%s: the engine at %s did not answer in time, or its managers did not agree", doing, a)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func unavailable(cause error, hint, format string, args ...any) error {
	return &fault.Error{Message: fmt.Sprintf(format, args...), Hint: hint, Err: errors.Join(ErrUnavailable, cause)}
}

// busy matches the errors of managers that did not process a call. Such an error is not
// a refusal.
var busy = regexp.MustCompile(`code = (DeadlineExceeded|Unavailable|Canceled|Aborted)|los(ing|t) leader status|raft: stopped`)
