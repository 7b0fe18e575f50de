package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/swarm"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// Port is a range of ports that services may publish. The zero range is a port that the
// engine chooses.
type Port struct {
	First, Last uint32
	Protocol    swarm.PortConfigProtocol
	Mode        swarm.PortConfigPublishMode
}

// Ports are the ports that services may publish. Nil is not set.
type Ports []Port

// IsZero reports whether the rule is not set.
func (p Ports) IsZero() bool { return p == nil }

// anyPort is the rule for a port that the engine chooses.
const anyPort = "any"

// MarshalText writes the range as agent.yml has it: 8000-8010/udp/host.
func (p Port) MarshalText() ([]byte, error) {
	text := fmt.Sprint(p.First)
	if p.Last != p.First {
		text = fmt.Sprintf("%d-%d", p.First, p.Last)
	}
	if p.First == 0 {
		text = anyPort
	}
	if p.Protocol != swarm.PortConfigProtocolTCP {
		text += "/" + string(p.Protocol)
	}
	if p.Mode == swarm.PortConfigPublishModeHost {
		text += "/host"
	}
	return []byte(text), nil
}

// UnmarshalText reads a range of agent.yml. tcp and ingress need not be written.
func (p *Port) UnmarshalText(text []byte) error {
	numbers, options, has := strings.Cut(string(text), "/")
	*p = Port{Protocol: swarm.PortConfigProtocolTCP, Mode: swarm.PortConfigPublishModeIngress}
	first, last, several := strings.Cut(numbers, "-")
	if !several {
		last = first
	}
	if numbers != anyPort {
		from, err := strconv.ParseUint(first, 10, 16)
		to, lastErr := strconv.ParseUint(last, 10, 16)
		if err != nil || lastErr != nil || from == 0 || to < from {
			return fault.New(fault.Place{}, "write 443, 8000-8010, or any for one that the engine chooses", "%q is neither a port nor a range of ports", numbers)
		}
		p.First, p.Last = uint32(from), uint32(to)
	}
	for option := range strings.SplitSeq(options, "/") {
		switch option {
		case "tcp", "udp", "sctp":
			p.Protocol = swarm.PortConfigProtocol(option)
		case "ingress", "host":
			p.Mode = swarm.PortConfigPublishMode(option)
		default:
			if has {
				return fault.New(fault.Place{}, "write /udp, /host or /udp/host after it", "%q is neither a protocol nor a mode of a port", option)
			}
		}
	}
	return nil
}

// covers reports whether the range has a published port.
func (p Port) covers(port swarm.PortConfig) bool {
	return p.Protocol == protocol(port) && p.Mode == mode(port) && p.First <= port.PublishedPort && port.PublishedPort <= p.Last
}

func protocol(port swarm.PortConfig) swarm.PortConfigProtocol {
	return cmp.Or(port.Protocol, swarm.PortConfigProtocolTCP)
}

func mode(port swarm.PortConfig) swarm.PortConfigPublishMode {
	return cmp.Or(port.PublishMode, swarm.PortConfigPublishModeIngress)
}

func readPorts(p *Policy, file string, value *yaml.Node) (err error) {
	p.PublishedPorts, err = readTexts[Port](file, "published_ports", value)
	return err
}

// published gives a published port as a rule names it.
func published(port swarm.PortConfig) Port {
	return Port{First: port.PublishedPort, Last: port.PublishedPort, Protocol: protocol(port), Mode: mode(port)}
}

// portsOf lists the ports that a service publishes.
func portsOf(service service) []swarm.PortConfig {
	if service.spec.EndpointSpec == nil {
		return nil
	}
	return service.spec.EndpointSpec.Ports
}

func judgePorts(j *judgement) {
	if !j.policy.dangerous(j.policy.PublishedPorts != nil) {
		return
	}
	for _, service := range j.services {
		for _, port := range portsOf(service) {
			if slices.ContainsFunc(j.policy.PublishedPorts, func(p Port) bool { return p.covers(port) }) {
				continue
			}
			text, _ := published(port).MarshalText() // it has no error
			at := j.item([]string{fmt.Sprint(cmp.Or(port.PublishedPort, port.TargetPort))}, service.name, "ports")
			j.refuse("published_ports", service.name, at, allow("remove it", "published_ports", string(text)),
				"publishes port %s (%s, mode %s)", strings.SplitN(string(text), "/", 2)[0], protocol(port), mode(port))
		}
	}
}

func suggestPorts(p *Policy, j *judgement) {
	for _, service := range j.services {
		for _, port := range portsOf(service) {
			p.PublishedPorts = append(p.PublishedPorts, published(port))
		}
	}
	slices.SortFunc(p.PublishedPorts, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.First, b.First), strings.Compare(string(a.Protocol+"/"), string(b.Protocol+"/")), strings.Compare(string(a.Mode), string(b.Mode)))
	})
	p.PublishedPorts = slices.Compact(p.PublishedPorts)
}
