// Package deploy makes a Swarm equal to a rendered stack: it takes a compose.Stack and
// the live state, and gives a Plan, applies it, and gives a Result per service. It is
// the only package that calls the engine. It writes only differences, and it changes
// no object of another owner.
package deploy

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/docker/docker/client"

	"coin.internal/coin-agent/internal/fault"
)

const (
	// ReadLimit is the time limit of one call that only reads. An engine that hangs is known
	// after it.
	ReadLimit = 10 * time.Second
	// callLimit is the time limit of a write, which Swarm's managers must agree on, and of
	// several reads together.
	callLimit = time.Minute
	// leaderLimit is the time in which an engine says that its Swarm has no leader.
	leaderLimit = 2 * time.Second
)

// Engine is a connection to one Docker Engine. It may be used concurrently.
type Engine struct {
	swarm      SwarmAPI
	host       HostAPI
	address    address
	reader     *reader
	registries *registries
	negotiated sync.Once
	told       told
}

// Connect prepares a connection to the engine at host (unix:///path or
// tcp://host:port). It reads no environment variables and sends nothing yet.
func Connect(host string) (*Engine, error) {
	api, err := Dial(host)
	if err != nil {
		return nil, err
	}
	return New(api), nil
}

// Dial gives Docker's client for the engine at host, as Connect does.
func Dial(host string) (*client.Client, error) {
	const hint = "give it as unix:///var/run/docker.sock"
	if host == "" {
		return nil, fault.New(fault.Place{}, hint, "no engine address given")
	}
	// As docker's own, but that one keeps two connections, and opens others anew for each write.
	connections := &http.Transport{MaxIdleConns: writesAtOnce, MaxIdleConnsPerHost: writesAtOnce, IdleConnTimeout: 30 * time.Second}
	with := &http.Client{Transport: connections, CheckRedirect: client.CheckRedirect}
	api, err := client.NewClientWithOpts(client.WithHTTPClient(with), client.WithHost(host), client.WithAPIVersionNegotiation())
	if err == nil {
		err = hearAnswers(api, connections)
	}
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("use engine address %q: %w", host, err), hint)
	}
	return api, nil
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

// timed makes one call that only reads.
func timed[T any](ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, ReadLimit)
	defer cancel()
	return read(ctx)
}
