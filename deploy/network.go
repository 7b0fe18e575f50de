package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
)

const (
	// oldNetworkLimit is how long a step waits for the network of a removed stack to be gone.
	// Its containers get ten seconds to end unless their service says otherwise.
	oldNetworkLimit = time.Minute
	// oldNetworkTick is the time between two questions whether it is gone.
	oldNetworkTick = time.Second / 2
)

// missingNetwork matches the answer of managers that do not have a network.
var missingNetwork = lazyregexp.New(`network (\S+) not found`)

// createNetwork creates a network, and reports whether it did. It treats the answer that the
// network exists as success if it belongs to the stack: an earlier attempt may have created
// it.
func (a *application) createNetwork(ctx context.Context, name string) (created bool, err error) {
	_, err = a.engine.swarm.NetworkCreate(ctx, name, a.want.Networks[name])
	if err == nil || !nameTaken(err) {
		return err == nil, err
	}
	existing, inspectErr := a.engine.swarm.NetworkInspect(ctx, name, network.InspectOptions{Scope: "swarm"})
	if inspectErr != nil {
		return false, errors.Join(err, inspectErr)
	}
	return false, conflict(object{Network, name}, existing.Labels, a.want)
}

// nameTaken reports whether a network was not created because of its name. The engine that
// looks for the name answers 409; the managers, who see two creations at once, name the
// conflict in a 500 (swarmkit's store.ErrNameConflict).
func nameTaken(err error) bool {
	return errdefs.IsConflict(err) || strings.Contains(err.Error(), "name conflicts with an existing object")
}

// oldNetwork gives the network of the stack that a step failed for, because it is the one of
// a removed stack: after `docker stack rm` the managers do not have it any more, and the
// engine lists it, and refuses another one of its name, until its containers have ended. It
// gives "" for any other error.
func (a *application) oldNetwork(err error) string {
	if err == nil {
		return ""
	}
	if match := missingNetwork().FindStringSubmatch(err.Error()); match != nil {
		if _, own := a.want.Networks[match[1]]; own {
			return match[1]
		}
	}
	return ""
}

// afterOldNetwork waits until the network of a removed stack is gone, creates it again, and
// writes the step.
func (a *application) afterOldNetwork(ctx context.Context, step Step, name string, tell func(Event) error) error {
	began := time.Now()
	if err := tell(Event{Step: step, Waits: "the network " + name + " of the removed stack to be gone"}); err != nil {
		return err
	}
	for {
		err := a.renewNetwork(ctx, name, tell)
		if err == nil {
			err = a.try(ctx, step)
		}
		another := a.oldNetwork(err)
		if another == "" {
			return err
		}
		if time.Since(began) >= oldNetworkLimit {
			return fault.WithHint(fault.Transient(fmt.Errorf("the network %s of the removed stack is still there after %s: %w", name, oldNetworkLimit, err)),
				"`docker network inspect "+name+"` lists the containers that still use it; if there are none, restart the engine")
		}
		if name = another; !pause(ctx, oldNetworkTick) {
			return ctx.Err()
		}
	}
}

// renewNetwork creates a network if no other step has done so, and reports it.
func (a *application) renewNetwork(ctx context.Context, name string, tell func(Event) error) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	created, err := a.createNetwork(ctx, name)
	if err != nil || !created {
		return err
	}
	return tell(Event{Step: Step{Action: Create, Kind: Network, Name: name}, Done: true})
}
