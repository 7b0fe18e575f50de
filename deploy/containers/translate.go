package containers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/go-connections/nat"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// wanted is one container of the stack.
type wanted struct {
	name, service string // service in the compose files
	job           bool   // it ends by itself
	config        container.Config
	host          container.HostConfig
	networks      []attachment
	files         []file
	image         string // its ID in the engine
}

// attachment is a network of a container.
type attachment struct {
	name    string
	aliases []string
}

// network gives the networks for the creation of a container; the engine takes one there.
func (w wanted) network(i int) *network.NetworkingConfig {
	if i >= len(w.networks) {
		return nil
	}
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{w.networks[i].name: {Aliases: w.networks[i].aliases}}}
}

func (w wanted) grace() *int { return w.config.StopTimeout }

// sum gives a digest of what a container is made from: of a secret its name and the number of its file, not its content.
func (w wanted) sum() string {
	text, err := json.Marshal([]any{w.config, w.host, w.image, fmt.Sprint(w.networks), names(w.files)})
	if err != nil {
		return ""
	}
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:16])
}

// translation makes containers of a stack, and warns of what they do not have.
type translation struct {
	stack    *compose.Stack
	jobs     []string // the services that end by themselves
	files    string
	warnings []string
}

func translate(stack *compose.Stack, files string) ([]wanted, []string, error) {
	t := &translation{stack: stack, files: files, jobs: deploy.OneShots(stack)}
	var all []wanted
	for _, name := range slices.Sorted(maps.Keys(stack.Services)) {
		spec := stack.Services[name]
		count, job := t.replicas(name, spec)
		for i := range count {
			one, err := t.container(name, spec, i)
			if err != nil {
				return nil, nil, err
			}
			one.job = job
			all = append(all, one)
		}
	}
	return all, t.warnings, nil
}

func (t *translation) warn(service, text string) {
	t.warnings = append(t.warnings, "service "+service+": "+text)
}

// replicas gives how many containers a service has, and whether they end by themselves.
func (t *translation) replicas(name string, spec swarm.ServiceSpec) (count int, job bool) {
	count = 1
	switch mode := spec.Mode; {
	case mode.Replicated != nil && mode.Replicated.Replicas != nil:
		count = int(min(*mode.Replicated.Replicas, 1000)) //nolint:gosec // at most 1000
	case mode.ReplicatedJob != nil:
		job = true
		if mode.ReplicatedJob.TotalCompletions != nil {
			count = int(min(*mode.ReplicatedJob.TotalCompletions, 1000)) //nolint:gosec // at most 1000
		}
	case mode.GlobalJob != nil:
		job = true
	case mode.Global != nil:
		t.warn(name, "mode global is one container: there is one engine")
	}
	return count, job || slices.Contains(t.jobs, name)
}

func (t *translation) container(name string, spec swarm.ServiceSpec, index int) (wanted, error) {
	from := spec.TaskTemplate.ContainerSpec
	if from == nil {
		return wanted{}, fault.New(fault.Place{}, "leave it out", "the service %s is not a container", name)
	}
	short := strings.TrimPrefix(name, t.stack.Name+"_")
	one := wanted{
		name: fmt.Sprintf("%s.%d", name, index+1), service: short,
		config: container.Config{
			Image: from.Image, Entrypoint: from.Command, Cmd: from.Args, Env: from.Env, WorkingDir: from.Dir, User: from.User, Hostname: from.Hostname,
			Labels: maps.Clone(from.Labels), Healthcheck: from.Healthcheck, StopSignal: from.StopSignal, Tty: from.TTY, OpenStdin: from.OpenStdin,
		},
		host: container.HostConfig{
			GroupAdd: from.Groups, Init: from.Init, ReadonlyRootfs: from.ReadOnly, Sysctls: from.Sysctls, CapAdd: from.CapabilityAdd, CapDrop: from.CapabilityDrop,
			Mounts: slices.Clone(from.Mounts), ExtraHosts: hosts(from.Hosts), RestartPolicy: restart(spec),
		},
	}
	if from.StopGracePeriod != nil {
		seconds := int(from.StopGracePeriod.Seconds())
		one.config.StopTimeout = &seconds
	}
	if dns := from.DNSConfig; dns != nil {
		one.host.DNS, one.host.DNSSearch, one.host.DNSOptions = dns.Nameservers, dns.Search, dns.Options
	}
	if driver := spec.TaskTemplate.LogDriver; driver != nil {
		one.host.LogConfig = container.LogConfig{Type: driver.Name, Config: driver.Options}
	}
	t.resources(&one, spec)
	t.attach(&one, spec)
	t.ports(&one, spec, index)
	if err := t.contents(&one, from); err != nil {
		return wanted{}, err
	}
	if index == 0 {
		t.missing(name, spec)
	}
	return one, nil
}

// hosts turns the engine's lines for /etc/hosts into those of a container.
func hosts(lines []string) (all []string) {
	for _, line := range lines {
		fields := strings.Fields(line)
		for _, name := range fields[min(1, len(fields)):] {
			all = append(all, name+":"+fields[0])
		}
	}
	return all
}

// restart gives the policy of a service; Swarm's is to start a task again that has ended.
func restart(spec swarm.ServiceSpec) container.RestartPolicy {
	policy := spec.TaskTemplate.RestartPolicy
	if policy == nil {
		return container.RestartPolicy{Name: container.RestartPolicyUnlessStopped}
	}
	switch policy.Condition {
	case swarm.RestartPolicyConditionAny:
	case swarm.RestartPolicyConditionNone:
		return container.RestartPolicy{Name: container.RestartPolicyDisabled}
	case swarm.RestartPolicyConditionOnFailure:
		attempts := 0
		if policy.MaxAttempts != nil {
			attempts = int(min(*policy.MaxAttempts, 1<<30)) //nolint:gosec // at most 1<<30
		}
		return container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: attempts}
	}
	return container.RestartPolicy{Name: container.RestartPolicyUnlessStopped}
}

func (t *translation) resources(one *wanted, spec swarm.ServiceSpec) {
	one.host.Ulimits = spec.TaskTemplate.ContainerSpec.Ulimits
	resources := spec.TaskTemplate.Resources
	if resources == nil {
		return
	}
	if limits := resources.Limits; limits != nil {
		one.host.NanoCPUs, one.host.Memory = limits.NanoCPUs, limits.MemoryBytes
		if limits.Pids > 0 {
			one.host.PidsLimit = &limits.Pids
		}
	}
	if reserved := resources.Reservations; reserved != nil {
		one.host.MemoryReservation = reserved.MemoryBytes
	}
}

// attach connects a container to the service's networks, where it has the service's names.
func (t *translation) attach(one *wanted, spec swarm.ServiceSpec) {
	for i, to := range spec.TaskTemplate.Networks {
		if to.Target == "host" || to.Target == "none" {
			one.host.NetworkMode = container.NetworkMode(to.Target)
			return
		}
		if i == 0 {
			one.host.NetworkMode = container.NetworkMode(to.Target)
		}
		one.networks = append(one.networks, attachment{to.Target, to.Aliases})
	}
}

// ports publishes the service's ports on this machine. Of several containers only the first one
// can have them.
func (t *translation) ports(one *wanted, spec swarm.ServiceSpec, index int) {
	if spec.EndpointSpec == nil || len(spec.EndpointSpec.Ports) == 0 {
		return
	}
	if index > 0 {
		if index == 1 {
			t.warn(spec.Name, "only its first container has the published ports: nothing distributes connections")
		}
		return
	}
	one.config.ExposedPorts, one.host.PortBindings = nat.PortSet{}, nat.PortMap{}
	for _, port := range spec.EndpointSpec.Ports {
		inside := nat.Port(net.JoinHostPort("", strconv.Itoa(int(port.TargetPort)))[1:] + "/" + string(port.Protocol))
		one.config.ExposedPorts[inside] = struct{}{}
		outside := ""
		if port.PublishedPort != 0 {
			outside = strconv.Itoa(int(port.PublishedPort))
		}
		one.host.PortBindings[inside] = append(one.host.PortBindings[inside], nat.PortBinding{HostPort: outside})
	}
}

// missing warns of what only Swarm has.
func (t *translation) missing(name string, spec swarm.ServiceSpec) {
	task := spec.TaskTemplate
	if p := task.Placement; p != nil && (len(p.Constraints) > 0 || len(p.Preferences) > 0 || p.MaxReplicas > 0) {
		t.warn(name, "placement has no effect: there is one engine")
	}
	if spec.UpdateConfig != nil || spec.RollbackConfig != nil {
		t.warn(name, "update_config and rollback_config have no effect: containers are replaced one after the other, and not rolled back")
	}
	if r := task.RestartPolicy; r != nil && (r.Delay != nil || r.Window != nil) {
		t.warn(name, "delay and window of restart_policy have no effect: the engine waits longer each time")
	}
	if r := task.Resources; r != nil && r.Reservations != nil && (r.Reservations.NanoCPUs > 0 || len(r.Reservations.GenericResources) > 0) {
		t.warn(name, "reservations of CPUs and generic resources have no effect")
	}
	if spec.EndpointSpec != nil && spec.EndpointSpec.Mode == swarm.ResolutionModeDNSRR {
		return
	}
	if count, _ := t.replicas(name, swarm.ServiceSpec{Mode: spec.Mode}); count > 1 && spec.Mode.Global == nil {
		t.warn(name, "it has no virtual address: its name has the addresses of all its containers")
	}
}

// contents adds the files of secrets and configs.
func (t *translation) contents(one *wanted, from *swarm.ContainerSpec) error {
	for _, ref := range from.Secrets {
		if ref.File == nil {
			continue
		}
		i := slices.IndexFunc(t.stack.Secrets, func(s compose.Secret) bool { return s.Spec.Name == ref.SecretName })
		if i < 0 || !t.stack.Secrets[i].Value.Known() {
			return fault.New(fault.Place{}, "give it a file in the compose file: without Swarm there are no external secrets", "the secret %s has no value", ref.SecretName)
		}
		target := ref.File.Name
		if !strings.HasPrefix(target, "/") {
			target = "/run/secrets/" + target
		}
		t.add(one, file{name: ref.SecretName, target: target, uid: ref.File.UID, gid: ref.File.GID, mode: ref.File.Mode, content: t.stack.Secrets[i].Value.Reveal()})
	}
	for _, ref := range from.Configs {
		if ref.File == nil {
			continue
		}
		i := slices.IndexFunc(t.stack.Configs, func(c compose.Config) bool { return c.Spec.Name == ref.ConfigName })
		if i < 0 {
			return fault.New(fault.Place{}, "give it a file in the compose file: without Swarm there are no external configs", "the config %s has no content", ref.ConfigName)
		}
		target := ref.File.Name
		if !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
		t.add(one, file{name: ref.ConfigName, target: target, uid: ref.File.UID, gid: ref.File.GID, mode: ref.File.Mode, content: t.stack.Configs[i].Spec.Data})
	}
	return nil
}

func (t *translation) add(one *wanted, f file) {
	f.path = filePath(t.files, t.stack.Name, one.service, len(one.files))
	one.files = append(one.files, f)
	one.host.Mounts = append(one.host.Mounts, mount.Mount{Type: mount.TypeBind, Source: f.path, Target: f.target, ReadOnly: true})
}
