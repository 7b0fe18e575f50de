package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// Subject is what a commit, or a recorded good state, asks of the node.
type Subject struct {
	Stack  *compose.Stack
	Node   *manifests.Node // what config.yml and node.env say; nil if that is not known
	Engine string          // the engine's address; its socket is engine_socket's, like the usual ones
}

// Refusal is something that a policy does not allow.
type Refusal struct {
	Rule    string      `json:"rule"`
	Service string      `json:"service,omitempty"` // in the compose file; "" if it concerns no single one
	Place   fault.Place `json:"place,omitzero"`
	Message string      `json:"message"`
	Hint    string      `json:"hint"`
}

// ErrRefused is in the tree of each refusal's error.
var ErrRefused = errors.New("the policy does not allow it")

// Fault gives the refusal as an error, which wraps ErrRefused.
func (r Refusal) Fault() *fault.Error {
	return &fault.Error{Place: r.Place, Message: r.Message, Hint: r.Hint, Err: ErrRefused}
}

// Err joins refusals; nil for none.
func Err(refusals []Refusal) error {
	var all []error
	for _, one := range refusals {
		all = append(all, one.Fault())
	}
	return errors.Join(all...)
}

// Judge gives what the policy refuses of a subject, sorted by place. Its rules are
// independent: each gives all of its refusals.
func (p *Policy) Judge(of Subject) []Refusal {
	if p == nil {
		return nil
	}
	j := &judgement{policy: p, of: of, services: servicesOf(of.Stack)}
	for _, rule := range []func(*judgement){
		judgeStack, judgeEnvironment, judgeMounts, judgeCapabilities, judgePrivileges, judgeHostNetwork, judgeExternal,
		judgeAliases, judgeDrivers, judgePorts, judgeChecks, judgeImages, judgeSignatures, judgePlacement, judgeLimits, judgeVault,
	} {
		rule(j)
	}
	slices.SortStableFunc(j.refusals, func(a, b Refusal) int {
		return cmp.Or(strings.Compare(a.Place.File, b.Place.File), a.Place.Line-b.Place.Line, strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(j.refusals)
}

// judgement collects the refusals of a subject.
type judgement struct {
	of Subject

	policy   *Policy
	services []service
	refusals []Refusal
}

// service is a service with its name in the compose files.
type service struct {
	name      string
	spec      swarm.ServiceSpec
	container swarm.ContainerSpec
}

func servicesOf(stack *compose.Stack) []service {
	all := make([]service, 0, len(stack.Services))
	for _, full := range slices.Sorted(maps.Keys(stack.Services)) {
		if task := stack.Services[full].TaskTemplate; task.ContainerSpec == nil && task.Runtime == "" {
			continue // a check could not render it
		}
		one := service{name: strings.TrimPrefix(full, stack.Name+"_"), spec: stack.Services[full]}
		if container := one.spec.TaskTemplate.ContainerSpec; container != nil {
			one.container = *container
		}
		all = append(all, one)
	}
	return all
}

// refuse notes a refusal. what follows the service's name in the message.
func (j *judgement) refuse(rule, service string, place fault.Place, hint, what string, args ...any) {
	message := fmt.Sprintf(what, args...)
	if service != "" {
		message = "service " + service + " " + message
	}
	j.refusals = append(j.refusals, Refusal{
		Rule: rule, Service: service, Place: place, Hint: hint, Message: message + ": policy." + rule + " does not allow it",
	})
}

// place gives where a service sets a key.
func (j *judgement) place(service string, keys ...string) fault.Place {
	return j.of.Stack.Place(append([]string{"services", service}, keys...)...)
}

// item gives where a service names one of the texts.
func (j *judgement) item(texts []string, service string, keys ...string) fault.Place {
	return j.of.Stack.ItemPlace(texts, append([]string{"services", service}, keys...)...)
}

// dangerous reports whether a rule about something dangerous restricts it.
func (p *Policy) dangerous(set bool) bool { return set || p.Strict }

// allow is the hint for something that the node's user may allow.
func allow(remove, rule, entry string) string {
	return remove + ", or have the node's operator add " + entry + " to policy." + rule + " in agent.yml"
}
