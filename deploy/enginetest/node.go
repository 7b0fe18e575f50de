package enginetest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// node is a node of the Swarm. All of them are managers that run on linux/amd64.
type node struct {
	id, hostname string
	created      time.Time
	version      uint64
}

// swarm gives the node as the API does.
func (n *node) swarm() swarm.Node {
	return swarm.Node{
		ID:   n.id,
		Meta: swarm.Meta{Version: swarm.Version{Index: n.version}, CreatedAt: n.created, UpdatedAt: n.created},
		Spec: swarm.NodeSpec{Role: swarm.NodeRoleManager, Availability: swarm.NodeAvailabilityActive},
		Description: swarm.NodeDescription{
			Hostname: n.hostname, Platform: swarm.Platform{Architecture: "x86_64", OS: "linux"},
		},
		Status: swarm.NodeStatus{State: swarm.NodeStateReady, Addr: "127.0.0.1"},
	}
}

// constraint is the form of a placement constraint.
var constraint = regexp.MustCompile(`(?i)^\s*([a-z_][a-z0-9\-_.]+)\s*(==|!=)\s*([a-z0-9:\-_\s.*()?+\[\]\\^$|/]+)$`)

// satisfies reports whether a node is what the constraints of a placement ask for.
func (n *node) satisfies(placement *swarm.Placement) bool {
	if placement == nil {
		return true
	}
	for _, text := range placement.Constraints {
		parts := constraint.FindStringSubmatch(text)
		if parts == nil {
			return false
		}
		is, known := n.property(parts[1])
		if !known || strings.EqualFold(is, strings.TrimSpace(parts[3])) != (parts[2] == "==") {
			return false
		}
	}
	return true
}

// property gives what a constraint may ask of a node. The nodes have no labels.
func (n *node) property(key string) (is string, known bool) {
	switch key = strings.ToLower(key); key {
	case "node.id":
		return n.id, true
	case "node.hostname":
		return n.hostname, true
	case "node.role":
		return "manager", true
	case "node.platform.os":
		return "linux", true
	case "node.platform.arch":
		return "x86_64", true
	}
	return "", strings.HasPrefix(key, "node.labels.") || strings.HasPrefix(key, "engine.labels.")
}

// runs reports whether a node has a platform that an image is for.
func (n *node) runs(placement *swarm.Placement) bool {
	return placement == nil || len(placement.Platforms) == 0 || slices.ContainsFunc(placement.Platforms, func(p swarm.Platform) bool {
		return (p.OS == "" || p.OS == "linux") && slices.Contains([]string{"", "amd64", "x86_64"}, p.Architecture)
	})
}

// schedule gives a task to the node with the fewest tasks of those that fit.
func (e *Engine) schedule(t *task) {
	if t.stage > stagePending || !t.wanted() || t.service.removed {
		return
	}
	if t.stage == stageNew {
		e.set(t, stagePending, "pending task scheduling", "")
	}
	candidates := e.nodes
	if t.fixed != nil {
		candidates = []*node{t.fixed}
	}
	var chosen *node
	refused := map[string]int{}
	for _, one := range candidates {
		if why := e.unfit(t, one); why != "" {
			refused[why]++
		} else if chosen == nil || e.load(one) < e.load(chosen) {
			chosen = one
		}
	}
	if chosen == nil {
		problem := "no suitable node (" + explain(refused) + ")"
		if t.fixed != nil {
			problem = explain(refused)
		}
		if t.problem != problem {
			e.set(t, stagePending, "pending task scheduling", problem)
		}
		if !slices.Contains(e.pending, t) {
			e.pending = append(e.pending, t)
		}
		return
	}
	t.node = chosen
	e.set(t, stageAssigned, "scheduler assigned task to node", "")
	e.after(orchestrates, func() { e.prepare(t) })
}

// unschedule ends a task that is not wanted any more before it got to a node.
func (e *Engine) unschedule(t *task) {
	if t.stage < stageAssigned {
		e.set(t, stageShutdown, "pending task scheduling", "")
	}
}

// schedulePending tries again what has found no node.
func (e *Engine) schedulePending() {
	waiting := e.pending
	e.pending = nil
	for _, t := range waiting {
		e.schedule(t)
	}
}

// load counts the tasks that a node has or is to have.
func (e *Engine) load(on *node) int {
	count := 0
	for _, t := range e.tasks {
		if t.node == on && t.wanted() && t.stage <= stageRunning {
			count++
		}
	}
	return count
}

// Why a node does not fit, of one node and of several.
const (
	misses   = "scheduling constraints not satisfied on %s"
	foreign  = "unsupported platform on %s"
	portHeld = "host-mode port already in use on %s"
	tooMany  = "max replicas per node limit exceed"
)

// unfit tells why a task cannot be on a node; "" when it can.
func (e *Engine) unfit(t *task, on *node) string {
	placement := t.spec.Placement
	switch {
	case !on.satisfies(placement):
		return misses
	case !on.runs(placement):
		return foreign
	case e.portsHeld(t, on):
		return portHeld
	case placement != nil && placement.MaxReplicas > 0 && e.replicasOn(t, on) >= placement.MaxReplicas:
		return tooMany
	}
	return ""
}

func (e *Engine) replicasOn(t *task, on *node) uint64 {
	count := uint64(0)
	for _, other := range t.service.tasks {
		if other != t && other.node == on && other.wanted() && other.stage >= stageAssigned && other.stage <= stageRunning {
			count++
		}
	}
	return count
}

// portsHeld reports whether another task on the node has a port of its host that a
// task publishes.
func (e *Engine) portsHeld(t *task, on *node) bool {
	ports := hostPorts(t.endpoint)
	if len(ports) == 0 {
		return false
	}
	for _, other := range e.tasks {
		if other == t || other.node != on || other.stage < stageAssigned || other.stage > stageRunning {
			continue
		}
		for port := range hostPorts(other.endpoint) {
			if ports[port] {
				return true
			}
		}
	}
	return false
}

// port is a published port.
type port struct {
	number   uint32
	protocol swarm.PortConfigProtocol
}

// hostPorts gives the ports that an endpoint publishes on the node itself.
func hostPorts(endpoint *swarm.EndpointSpec) map[port]bool {
	return published(endpoint, swarm.PortConfigPublishModeHost)
}

func published(endpoint *swarm.EndpointSpec, mode swarm.PortConfigPublishMode) map[port]bool {
	var ports map[port]bool
	if endpoint == nil {
		return nil
	}
	for _, one := range endpoint.Ports {
		if one.PublishMode == mode && one.PublishedPort != 0 {
			if ports == nil {
				ports = map[port]bool{}
			}
			ports[port{one.PublishedPort, one.Protocol}] = true
		}
	}
	return ports
}

// explain tells why no node fits, in the order of the reasons.
func explain(refused map[string]int) string {
	var words []string
	for _, why := range []string{misses, foreign, portHeld, tooMany} {
		switch count := refused[why]; {
		case count == 0:
		case why == tooMany:
			words = append(words, why)
		case count == 1:
			words = append(words, fmt.Sprintf(why, "1 node"))
		default:
			words = append(words, fmt.Sprintf(why, fmt.Sprintf("%d nodes", count)))
		}
	}
	return strings.Join(words, "; ")
}
