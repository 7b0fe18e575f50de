package journal

import (
	"maps"
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// SecretNames are the names of secrets that services refer to, by service.
type SecretNames map[string]map[string]bool

// add notes the secrets that a service refers to.
func (n SecretNames) add(service string, spec *swarm.ServiceSpec) {
	if spec.TaskTemplate.ContainerSpec == nil {
		return
	}
	for _, reference := range spec.TaskTemplate.ContainerSpec.Secrets {
		if n[service] == nil {
			n[service] = map[string]bool{}
		}
		n[service][reference.SecretName] = true
	}
}

// StackSecrets gives the secrets that a stack's services refer to.
func StackSecrets(stack *compose.Stack) SecretNames {
	names := SecretNames{}
	for name, spec := range stack.Services {
		names.add(name, &spec)
	}
	return names
}

// LiveSecrets gives the secrets that the live services refer to.
func LiveSecrets(live *deploy.Live) SecretNames {
	names := SecretNames{}
	for name, service := range live.Services {
		names.add(name, &service.Spec)
	}
	return names
}

// NewUses lists by service, sorted, the secrets that it is to refer to and did not
// before.
func NewUses(before SecretNames, want *compose.Stack) map[string][]string {
	uses := map[string][]string{}
	for service, secrets := range StackSecrets(want) {
		for _, secret := range slices.Sorted(maps.Keys(secrets)) {
			if !before[service][secret] {
				uses[service] = append(uses[service], secret)
			}
		}
	}
	return uses
}
