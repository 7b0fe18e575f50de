package enginetest

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/swarm"
)

// The names that Swarm takes for services, and for secrets and configs.
var (
	serviceNames = regexp.MustCompile(`^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*$`)
	objectNames  = regexp.MustCompile(`^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?$`)
)

// validate refuses specs as Swarm does, on their own.
func validate(spec *swarm.ServiceSpec) error {
	switch {
	case spec.Name == "":
		return invalid("meta: name must be provided")
	case !serviceNames.MatchString(spec.Name):
		return invalid("name must be valid as a DNS name component")
	case len(spec.Name) > 63:
		return invalid("name must be 63 characters or fewer")
	}
	if err := validateTask(&spec.TaskTemplate); err != nil {
		return err
	}
	if spec.Mode.ReplicatedJob != nil || spec.Mode.GlobalJob != nil {
		if spec.UpdateConfig != nil {
			return invalid("Jobs may not have an update config")
		}
	} else if config := spec.UpdateConfig; config != nil {
		switch {
		case config.Delay < 0:
			return invalid("TaskSpec: update-delay cannot be negative")
		case config.Monitor < 0:
			return invalid("TaskSpec: update-monitor cannot be negative")
		case config.MaxFailureRatio < 0 || config.MaxFailureRatio > 1:
			return invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1")
		}
	}
	return validateEndpoint(spec.EndpointSpec)
}

func validateTask(task *swarm.TaskSpec) error {
	if r := task.Resources; r != nil {
		if r.Limits != nil && r.Limits.MemoryBytes != 0 && r.Limits.MemoryBytes < 4<<20 {
			return invalid("invalid memory value %d: Must be at least 4MiB", r.Limits.MemoryBytes)
		}
		if r.Limits != nil && r.Limits.NanoCPUs != 0 && r.Limits.NanoCPUs < 1e6 {
			return invalid("invalid cpu value %g: Must be at least %g", float64(r.Limits.NanoCPUs)/1e9, 1e6/1e9)
		}
	}
	if policy := task.RestartPolicy; policy != nil && policy.Delay != nil && *policy.Delay < 0 {
		return invalid("TaskSpec: restart-delay cannot be negative")
	}
	if task.Placement != nil {
		for _, text := range task.Placement.Constraints {
			if !constraint.MatchString(text) {
				return refusal(errInternal, "Unknown", "constraint expected one operator from ==, !=")
			}
		}
	}
	return validateContainer(task.ContainerSpec)
}

func validateContainer(spec *swarm.ContainerSpec) error {
	if spec.Image == "" {
		return invalid("ContainerSpec: image reference must be provided")
	}
	if _, err := reference.ParseNormalizedNamed(spec.Image); err != nil {
		return invalid("ContainerSpec: %q is not a valid repository/tag", spec.Image)
	}
	targets := map[string]bool{}
	for _, m := range spec.Mounts {
		if targets[m.Target] {
			return invalid("ContainerSpec: duplicate mount point: %s", m.Target)
		}
		targets[m.Target] = true
	}
	if check := spec.Healthcheck; check != nil {
		for i, d := range []time.Duration{check.Interval, check.Timeout, check.StartPeriod} {
			if d != 0 && d < time.Millisecond {
				return invalid("ContainerSpec: %s in HealthConfig cannot be less than 1ms", []string{"Interval", "Timeout", "StartPeriod"}[i])
			}
		}
	}
	return validateReferences(spec)
}

// validateReferences refuses references to secrets and configs that are incomplete, or
// whose files meet.
func validateReferences(spec *swarm.ContainerSpec) error {
	targets := map[string]string{}
	for _, one := range spec.Secrets {
		if one.SecretID == "" || one.SecretName == "" {
			return invalid("malformed secret reference")
		}
		if before, taken := targets[one.File.Name]; taken {
			return invalid("secret references '%s' and '%s' have a conflicting target: '%s'", before, one.SecretName, one.File.Name)
		}
		targets[one.File.Name] = one.SecretName
	}
	clear(targets)
	pointed := false
	var credentials string
	if p := spec.Privileges; p != nil && p.CredentialSpec != nil {
		credentials = p.CredentialSpec.Config
	}
	for _, one := range spec.Configs {
		if one.ConfigID == "" || one.ConfigName == "" {
			return invalid("malformed config reference")
		}
		if one.File == nil {
			pointed = pointed || one.ConfigID == credentials
			continue
		}
		if before, taken := targets[one.File.Name]; taken {
			return invalid("config references '%s' and '%s' have a conflicting target: '%s'", before, one.ConfigName, one.File.Name)
		}
		targets[one.File.Name] = one.ConfigName
	}
	if credentials != "" && !pointed {
		return invalid("CredentialSpec references config '%s', but that config isn't in config references with RuntimeTarget", credentials)
	}
	return nil
}

func validateEndpoint(endpoint *swarm.EndpointSpec) error {
	if endpoint == nil {
		return nil
	}
	ports := map[port]bool{}
	for _, one := range endpoint.Ports {
		if endpoint.Mode == swarm.ResolutionModeDNSRR && one.PublishMode == swarm.PortConfigPublishModeIngress {
			return invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
		}
		key := port{one.PublishedPort, one.Protocol}
		if one.PublishedPort != 0 && ports[key] {
			return invalid("EndpointSpec: duplicate published ports provided")
		}
		ports[key] = true
	}
	return nil
}

// checkPorts refuses ports that another service publishes.
func (e *Engine) checkPorts(spec *swarm.ServiceSpec, own *service) error {
	mesh, host := published(spec.EndpointSpec, swarm.PortConfigPublishModeIngress), hostPorts(spec.EndpointSpec)
	if len(mesh)+len(host) == 0 {
		return nil
	}
	for _, other := range sorted(e.services) {
		if other == own {
			continue
		}
		for _, one := range other.ports() {
			key := port{one.PublishedPort, one.Protocol}
			switch {
			case one.PublishedPort == 0:
			case one.PublishMode == swarm.PortConfigPublishModeHost && mesh[key]:
				return invalid("port '%d' is already in use by service '%s' (%s) as a host-published port", key.number, other.spec.Name, other.id)
			case one.PublishMode == swarm.PortConfigPublishModeIngress && (mesh[key] || host[key]):
				return invalid("port '%d' is already in use by service '%s' (%s) as an ingress port", key.number, other.spec.Name, other.id)
			}
		}
	}
	return nil
}

// ports lists what a service publishes, and what it did until a moment ago.
func (s *service) ports() []swarm.PortConfig {
	var ports []swarm.PortConfig
	if s.spec.EndpointSpec != nil {
		ports = s.spec.EndpointSpec.Ports
	}
	if s.allocated != nil && s.allocated != s.spec.EndpointSpec {
		ports = slices.Concat(ports, s.allocated.Ports)
	}
	return ports
}

// checkObjects refuses references to secrets and configs that are not there.
func (e *Engine) checkObjects(spec *swarm.ContainerSpec) error {
	var secrets, configs []string
	for _, one := range spec.Secrets {
		if found := e.secrets[one.SecretID]; found == nil || found.spec.Name != one.SecretName {
			secrets = append(secrets, one.SecretName)
		}
	}
	for _, one := range spec.Configs {
		if found := e.configs[one.ConfigID]; found == nil || found.spec.Name != one.ConfigName {
			configs = append(configs, one.ConfigName)
		}
	}
	if len(secrets) > 0 {
		return invalid("%s not found: %s", plural("secret", len(secrets)), strings.Join(secrets, ", "))
	}
	if len(configs) > 0 {
		return invalid("%s not found: %s", plural("config", len(configs)), strings.Join(configs, ", "))
	}
	return nil
}

func plural(word string, count int) string {
	if count == 1 {
		return word
	}
	return word + "s"
}
