package deploy

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
)

// Info is what the engine reports about itself and its Swarm.
type Info struct {
	EngineVersion string
	APIVersion    string // as negotiated
	DataRoot      string // the engine's data folder, on the engine's machine
	Local         bool   // the engine runs on this machine
	Nodes         int    // of the Swarm; 0 unless the engine is a manager

	swarm swarm.Info
}

// Info asks the engine about itself and its Swarm. An engine whose Swarm has no leader waits for
// 20 s before it answers this call (moby, daemon/cluster); asked for services it says so at once.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	system, err := timed(ctx, e.host.Info)
	if errors.Is(err, context.DeadlineExceeded) {
		ctx, cancel := context.WithTimeout(ctx, leaderLimit)
		defer cancel()
		if _, cause := e.swarm.ServiceList(ctx, swarm.ServiceListOptions{}); WhyUnusable(e.address.explain("", cause)) != Hangs {
			err = cmp.Or(cause, err)
		}
	}
	if err != nil {
		return Info{}, e.address.explain("ask the engine for its state", err)
	}
	return Info{
		EngineVersion: system.ServerVersion, APIVersion: e.host.ClientVersion(), DataRoot: system.DockerRootDir,
		Local: strings.HasPrefix(string(e.address), "unix://"), Nodes: system.Swarm.Nodes, swarm: system.Swarm,
	}, nil
}

// Ready gives Info, or a fault with a remedy unless the engine is a manager of a Swarm
// that works and its API version is supported. While the engine's events are followed, what it said
// of itself is asked once: its answer takes 10 ms, and starts two processes in Docker 20.10. Then
// Ready only asks whether it still manages the Swarm.
func (e *Engine) Ready(ctx context.Context) (Info, error) {
	followed := e.told.stream.Load()
	if followed != nil {
		if known := followed.info.Load(); known != nil && manages(ctx, e) {
			return *known, nil
		}
	}
	info, err := e.Info(ctx)
	switch {
	case err != nil:
		return Info{}, err
	case info.swarm.Error != "": // the managers have lost their quorum, for example
		return Info{}, e.address.explain("ask the managers for the state of the Swarm", errors.New(info.swarm.Error))
	case info.swarm.LocalNodeState == swarm.LocalNodeStatePending:
		return Info{}, e.address.unusable(NoQuorum, nil)
	case info.swarm.LocalNodeState != swarm.LocalNodeStateActive:
		return Info{}, e.address.unusable(NoSwarm, nil)
	case !info.swarm.ControlAvailable:
		return Info{}, e.address.unusable(NoManager, nil)
	}
	if err := tooOld(info.APIVersion); err != nil {
		return info, err
	}
	if followed != nil { // one that has ended meanwhile is not looked at again
		followed.info.Store(&info)
	}
	return info, nil
}

// manages reports whether the engine gives services, which takes a manager of a Swarm that has a leader. It
// asks for one that no Swarm has.
func manages(ctx context.Context, e *Engine) bool {
	_, err := timed(ctx, func(ctx context.Context) ([]swarm.Service, error) {
		return e.swarm.ServiceList(ctx, swarm.ServiceListOptions{Filters: filters.NewArgs(filters.Arg("id", "none"))})
	})
	return err == nil
}

// told is what an engine has said of itself. It counts while a stream of its events lasts: an engine
// that restarts, perhaps with another version or folder, ends the stream.
type told struct{ stream atomic.Pointer[stream] } // nil: none is followed

// stream has what the engine said during a stream of events; nil before it was asked.
type stream struct{ info atomic.Pointer[Info] }

// follows notes that a stream begins, and gives the function that notes its end.
func (t *told) follows() (end func()) {
	begun := &stream{}
	t.stream.Store(begun)
	return func() { t.stream.CompareAndSwap(begun, nil) }
}
