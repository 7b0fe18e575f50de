package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
)

// takeover is a published port that one service gives up and another one takes. The engine
// refuses a port that another service publishes, if one of the two publishes it in the routing
// mesh. Two that publish it on the hosts exclude each other on a node.
type takeover struct {
	port, from, to string
	mesh           bool // one of the two publishes it in the routing mesh
}

// takeoversOf lists the ports that change hands, in order.
func takeoversOf(live LiveServices, want *compose.Stack) []takeover {
	takers := map[string][]string{}
	for _, name := range keys(want.Services) {
		had := published(live[name].Spec)
		for port, mode := range published(want.Services[name]) {
			if had[port] != mode {
				takers[port] = append(takers[port], name)
			}
		}
	}
	var all []takeover
	for _, name := range keys(live) {
		had, keeps := published(live[name].Spec), published(want.Services[name])
		for _, port := range keys(had) {
			for _, taker := range takers[port] {
				if keeps[port] != had[port] && taker != name {
					inMesh := had[port] == swarm.PortConfigPublishModeIngress || published(want.Services[taker])[port] == swarm.PortConfigPublishModeIngress
					all = append(all, takeover{port, name, taker, inMesh})
				}
			}
		}
	}
	return all
}

// inMesh gives the takeovers that the engine refuses before the port is given up.
func inMesh(takeovers []takeover) []takeover {
	return slices.DeleteFunc(slices.Clone(takeovers), func(one takeover) bool { return !one.mesh })
}

// published gives the modes of the ports that a spec publishes under fixed numbers, by number
// and protocol.
func published(spec swarm.ServiceSpec) map[string]swarm.PortConfigPublishMode {
	ports := map[string]swarm.PortConfigPublishMode{}
	if spec.EndpointSpec == nil {
		return ports
	}
	for _, port := range spec.EndpointSpec.Ports {
		if port.PublishedPort != 0 {
			mode := port.PublishMode
			fill(&mode, swarm.PortConfigPublishModeIngress)
			ports[portNumber(port)] = mode
		}
	}
	return ports
}

// turnsOf gives the turn of each service that gives up ports: 0, or the one after those of the
// services from which it takes ports. Circle are services of which each waits for another.
func turnsOf(takeovers []takeover) (turns map[string]int, circle []string) {
	turns = map[string]int{}
	var waiting []string
	for _, one := range takeovers {
		waiting = append(waiting, one.from)
	}
	slices.Sort(waiting)
	waiting = slices.Compact(waiting)
	for turn := 0; len(waiting) > 0; turn++ {
		blocked := func(name string) bool {
			return slices.ContainsFunc(takeovers, func(t takeover) bool { return t.to == name && slices.Contains(waiting, t.from) })
		}
		still := slices.Clone(waiting)
		if still = slices.DeleteFunc(still, func(name string) bool { return !blocked(name) }); len(still) == len(waiting) {
			return turns, waiting
		}
		for _, name := range waiting {
			if !slices.Contains(still, name) {
				turns[name] = turn
			}
		}
		waiting = still
	}
	return turns, nil
}

// exchangedPorts refuses services that take over ports of the routing mesh from each other: neither
// can be written first.
func exchangedPorts(live LiveServices, want *compose.Stack) []error {
	takeovers := inMesh(takeoversOf(live, want))
	_, circle := turnsOf(takeovers)
	if circle == nil {
		return nil
	}
	var moves []string
	for _, one := range takeovers {
		if slices.Contains(circle, one.from) && slices.Contains(circle, one.to) {
			moves = append(moves, fmt.Sprintf("%s takes over %s from %s", one.to, one.port, one.from))
		}
	}
	return []error{fault.New(fault.Place{}, "publish one of them on another port first, in a commit of its own",
		"the services exchange published ports, and the engine refuses two services on one port: %s", strings.Join(moves, ", "))}
}

// releasePorts moves the services to an earlier phase that give up a port for another service. Where
// services exchange ports of the hosts, Swarm itself has their tasks wait for each other.
func (p *draft) releasePorts(live LiveServices, want *compose.Stack) {
	takeovers := takeoversOf(live, want)
	turns, circle := turnsOf(takeovers)
	if circle != nil {
		turns, _ = turnsOf(inMesh(takeovers))
	}
	for i := range p.Steps {
		step := &p.Steps[i]
		if turn, gives := turns[step.Name]; gives && step.Kind == Service {
			step.phase, step.turn = phaseRelease, turn
		}
	}
}

// waitForPorts moves a service to the wave of the service from which it takes over a
// published port, if that wave is later.
func (p *draft) waitForPorts(live LiveServices, want *compose.Stack, waves map[string]int) {
	takeovers := takeoversOf(live, want)
	for moved := true; moved; {
		moved = false
		for _, one := range takeovers {
			holder, wanted := waves[one.from]
			if wanted && p.releases(one.from) && waves[one.to] < holder {
				p.Warnings = append(p.Warnings, fmt.Sprintf("%s is in wave %d, not %d: it takes over port %s from %s", one.to, holder, waves[one.to], one.port, one.from))
				waves[one.to], moved = holder, true
			}
		}
	}
}

// releases tells whether a step of the service gives up a port.
func (p *draft) releases(service string) bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == Service && s.Name == service && s.phase == phaseRelease })
}

// releaseInWaves moves the removal of a service to the wave of the service that takes
// over its published port.
func (p *draft) releaseInWaves(live LiveServices, want *compose.Stack) {
	for _, one := range takeoversOf(live, want) {
		for i := range p.Steps {
			if step := &p.Steps[i]; step.Name == one.from && step.phase == phaseRelease && step.Action == Remove {
				step.Wave = min(step.Wave, p.waves[one.to])
			}
		}
	}
}

const (
	// portLimit is how long Swarm may take to free a port that a service has given up.
	portLimit = 10 * time.Second
	// portTick is the time between two tries to take it.
	portTick = 100 * time.Millisecond
)

// heldPort matches the managers' refusal of a port that another service publishes.
var heldPort = lazyregexp.New(`port '(\d+)' is already in use by service '([^']+)' \(\w+\) as an? (ingress|host)`)

// afterRelease writes a step again that was refused for a port which its holder has given up:
// the managers free a port a moment after they took the holder's spec.
func (a *application) afterRelease(ctx context.Context, step Step, refused error) error {
	limited, cancel := context.WithTimeout(ctx, portLimit)
	defer cancel()
	for a.givenUp(limited, refused) && pause(limited, portTick) {
		refused = a.try(ctx, step)
	}
	return refused
}

// givenUp tells whether an error is about a port whose holder does not declare it any more.
func (a *application) givenUp(ctx context.Context, refused error) bool {
	if refused == nil {
		return false
	}
	match := heldPort().FindStringSubmatch(refused.Error())
	if match == nil {
		return false
	}
	holder, err := a.engine.reader.service(ctx, match[2])
	if err != nil {
		return errors.Is(err, errGone)
	}
	for port, mode := range published(holder.Spec) {
		if number, _, _ := strings.Cut(port, "/"); number == match[1] && string(mode) == match[3] {
			return false
		}
	}
	return true
}
