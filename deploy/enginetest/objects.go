package enginetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
)

// networkObject is a network. Those that are hidden are Swarm's counterparts of
// networks of the node: no listing shows them, yet services may name them.
type networkObject struct {
	summary  network.Summary
	hidden   bool
	removed  bool   // Swarm has forgotten it, and the node lists it until its containers have ended
	allocate func() // gives it what it works with; nil once that is done
}

// secretObject is a secret with its content, which no answer shows.
type secretObject struct {
	id               string
	version          uint64
	created, updated time.Time
	spec             swarm.SecretSpec
}

func (s *secretObject) meta() swarm.Meta {
	return swarm.Meta{Version: swarm.Version{Index: s.version}, CreatedAt: s.created, UpdatedAt: s.updated}
}

// configObject is a config.
type configObject struct {
	id      string
	version uint64
	created time.Time
	spec    swarm.ConfigSpec
}

func (c *configObject) meta() swarm.Meta {
	return swarm.Meta{Version: swarm.Version{Index: c.version}, CreatedAt: c.created, UpdatedAt: c.created}
}

// addBuiltInNetworks makes the networks that each engine has.
func (e *Engine) addBuiltInNetworks() {
	for _, one := range []struct{ name, driver, scope string }{
		{"bridge", "bridge", "local"},
		{"docker_gwbridge", "bridge", "local"},
		{"host", "host", "local"},
		{"none", "null", "local"},
		{"ingress", "overlay", "swarm"},
		{"host", "host", "swarm"},
		{"bridge", "bridge", "swarm"},
	} {
		hidden := one.scope == "swarm" && one.driver != "overlay"
		made := &networkObject{hidden: hidden, summary: network.Summary{
			ID: e.newID("network", one.scope+" "+one.name), Name: one.name, Driver: one.driver, Scope: one.scope, Created: e.now(), Ingress: one.name == "ingress",
		}}
		e.networks[made.summary.ID] = made
	}
}

// findNetwork finds a network by its ID or name; with a scope, of that scope only.
func (e *Engine) findNetwork(reference, scope string) *networkObject {
	if found := e.networks[reference]; found != nil {
		return found
	}
	for _, one := range sorted(e.networks) {
		if one.summary.Name == reference && (scope == "" && !one.hidden || one.summary.Scope == scope) {
			return one
		}
	}
	return nil
}

// createNetwork makes a network. A moment later Swarm has given it what it works with.
func (e *Engine) createNetwork(name string, options network.CreateOptions) (*networkObject, error) {
	if found := e.findNetwork(name, ""); found != nil {
		return nil, &answer{text: fmt.Sprintf("network with name %s already exists", name), kind: errConflict}
	}
	options = clone(options)
	made := &networkObject{summary: network.Summary{
		ID: e.newID("network", name), Name: name, Created: e.now(), Scope: "local",
		EnableIPv6: options.EnableIPv6 != nil && *options.EnableIPv6, Internal: options.Internal, Attachable: options.Attachable,
		Ingress: options.Ingress, Labels: options.Labels,
	}}
	if options.Driver == "overlay" {
		made.summary.Scope = "swarm"
	}
	number := len(e.networks)
	e.networks[made.summary.ID] = made
	made.allocate = func() { made.give(options, number) }
	e.after(orchestrates, made.allocate)
	e.tellObject("network", "create", made.summary.ID, name)
	return made, nil
}

// give gives a network its driver with its options, and an address range unless it
// was made with one.
func (n *networkObject) give(options network.CreateOptions, number int) {
	n.allocate = nil
	n.summary.Driver, n.summary.Options = options.Driver, options.Options
	if options.IPAM != nil {
		n.summary.IPAM = *options.IPAM
	}
	if n.summary.IPAM.Driver == "" {
		n.summary.IPAM.Driver = "default"
	}
	if len(n.summary.IPAM.Config) == 0 {
		n.summary.IPAM.Config = []network.IPAMConfig{{
			Subnet: fmt.Sprintf("10.0.%d.0/24", number%256), Gateway: fmt.Sprintf("10.0.%d.1", number%256),
		}}
	}
	if n.summary.Scope == "swarm" {
		n.summary.Options = maps.Clone(n.summary.Options)
		if n.summary.Options == nil {
			n.summary.Options = map[string]string{}
		}
		n.summary.Options["com.docker.network.driver.overlay.vxlanid_list"] = fmt.Sprint(4096 + number)
	}
}

// removeNetwork removes a network that no service uses. The node lists it, and refuses
// another one of its name, until the containers of removed services have left it.
func (e *Engine) removeNetwork(found *networkObject) error {
	id := found.summary.ID
	if found.removed {
		return notFound("network", id)
	}
	for _, s := range sorted(e.services) {
		if slices.ContainsFunc(attachments(s.spec), func(a swarm.NetworkAttachmentConfig) bool { return a.Target == id }) {
			return precondition("network %s is in use by service %s", id, s.id)
		}
	}
	users := 0
	for _, t := range sorted(e.tasks) {
		if t.stage < stageAssigned || t.stage > stageRunning || !slices.ContainsFunc(t.spec.Networks, func(a swarm.NetworkAttachmentConfig) bool { return a.Target == id }) {
			continue
		}
		users++
		t.ended = append(t.ended, func() {
			if users--; users == 0 {
				e.after(reaps, func() { delete(e.networks, id) })
			}
		})
	}
	if found.removed = users > 0; !found.removed {
		delete(e.networks, id)
	}
	e.tellObject("network", "remove", id, found.summary.Name)
	return nil
}

// attachments lists the networks of a spec, those of the field that is out of use too.
func attachments(spec *swarm.ServiceSpec) []swarm.NetworkAttachmentConfig {
	return slices.Concat(spec.TaskTemplate.Networks, spec.Networks) //nolint:staticcheck // old services have the deprecated field
}

// attach puts the networks' IDs in place of their names.
func (e *Engine) attach(spec *swarm.ServiceSpec) error {
	networks := spec.TaskTemplate.Networks
	if len(networks) == 0 {
		networks = spec.Networks //nolint:staticcheck // old services have the deprecated field
	}
	for i := range networks {
		found := e.findNetwork(networks[i].Target, "swarm")
		switch {
		case found == nil && e.findNetwork(networks[i].Target, "local") != nil, found != nil && found.summary.Scope != "swarm":
			return &answer{kind: errForbidden, text: "The network " + networks[i].Target + " cannot be used with services. Only networks scoped to the swarm can be used, such as those created with the overlay driver."}
		case found == nil || found.removed: // with status 500, unlike other objects that are missing
			return &answer{text: "network " + networks[i].Target + " not found", kind: errInternal}
		case found.summary.Ingress:
			return invalid("Service cannot be explicitly attached to the ingress network %q", found.summary.Name)
		}
		networks[i].Target = found.summary.ID
	}
	return nil
}

func checkName(name string) error {
	if len(name) > 64 || !objectNames.MatchString(name) {
		return invalid("invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]")
	}
	return nil
}

func (e *Engine) createSecret(spec swarm.SecretSpec) (*secretObject, error) {
	if err := checkName(spec.Name); err != nil {
		return nil, err
	}
	if spec.Driver == nil && (len(spec.Data) == 0 || len(spec.Data) >= 500*1024) {
		return nil, invalid("secret data must be larger than 0 and less than 512000 bytes")
	}
	if e.findSecret(spec.Name) != nil {
		return nil, exists("secret %s already exists", spec.Name)
	}
	made := &secretObject{id: e.newID("secret", spec.Name), version: e.nextVersion(), created: e.now(), updated: e.now(), spec: clone(spec)}
	e.secrets[made.id] = made
	e.tellObject("secret", "create", made.id, spec.Name)
	return made, nil
}

// findSecret finds a secret by its ID or name.
func (e *Engine) findSecret(reference string) *secretObject {
	if found := e.secrets[reference]; found != nil {
		return found
	}
	for _, one := range e.secrets {
		if one.spec.Name == reference {
			return one
		}
	}
	return nil
}

// updateSecret changes the labels of a secret. Content that comes along must be equal.
func (e *Engine) updateSecret(found *secretObject, version uint64, spec swarm.SecretSpec) error {
	if spec.Name != found.spec.Name || spec.Data != nil && !bytes.Equal(spec.Data, found.spec.Data) {
		return invalid("only updates to Labels are allowed")
	}
	if version != found.version {
		return outOfSequence()
	}
	found.spec.Labels = clone(spec.Labels)
	found.version, found.updated = e.nextVersion(), e.now()
	e.tellObject("secret", "update", found.id, found.spec.Name)
	return nil
}

func (e *Engine) removeSecret(found *secretObject) error {
	err := e.unused("secret", found.spec.Name, func(spec *swarm.ContainerSpec) bool {
		return slices.ContainsFunc(spec.Secrets, func(one *swarm.SecretReference) bool { return one.SecretID == found.id })
	})
	if err != nil {
		return err
	}
	delete(e.secrets, found.id)
	e.tellObject("secret", "remove", found.id, found.spec.Name)
	return nil
}

// unused refuses to remove what services use as they are now.
func (e *Engine) unused(kind, name string, uses func(*swarm.ContainerSpec) bool) error {
	var users []string
	for _, s := range sorted(e.services) {
		if uses(s.spec.TaskTemplate.ContainerSpec) {
			users = append(users, s.spec.Name)
		}
	}
	if len(users) == 0 {
		return nil
	}
	return invalid("%s '%s' is in use by the following %s: %s", kind, name, plural("service", len(users)), strings.Join(users, ", "))
}

func (e *Engine) createConfig(spec swarm.ConfigSpec) (*configObject, error) {
	if err := checkName(spec.Name); err != nil {
		return nil, err
	}
	if len(spec.Data) == 0 || len(spec.Data) >= 1000*1024 {
		return nil, invalid("config data must be larger than 0 and less than 1024000 bytes")
	}
	if e.findConfig(spec.Name) != nil {
		return nil, exists("config %s already exists", spec.Name)
	}
	made := &configObject{id: e.newID("config", spec.Name), version: e.nextVersion(), created: e.now(), spec: clone(spec)}
	e.configs[made.id] = made
	e.tellObject("config", "create", made.id, spec.Name)
	return made, nil
}

// findConfig finds a config by its ID or name.
func (e *Engine) findConfig(reference string) *configObject {
	if found := e.configs[reference]; found != nil {
		return found
	}
	for _, one := range e.configs {
		if one.spec.Name == reference {
			return one
		}
	}
	return nil
}

func (e *Engine) removeConfig(found *configObject) error {
	err := e.unused("config", found.spec.Name, func(spec *swarm.ContainerSpec) bool {
		return slices.ContainsFunc(spec.Configs, func(one *swarm.ConfigReference) bool { return one.ConfigID == found.id })
	})
	if err != nil {
		return err
	}
	delete(e.configs, found.id)
	e.tellObject("config", "remove", found.id, found.spec.Name)
	return nil
}
