package journal

import (
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// SecretNames are the names of secrets that services refer to, sorted, by service.
type SecretNames map[string][]string

// namesIn gives the secrets that a service refers to.
func namesIn(spec *swarm.ServiceSpec) []string {
	if spec.TaskTemplate.ContainerSpec == nil {
		return nil
	}
	var names []string
	for _, reference := range spec.TaskTemplate.ContainerSpec.Secrets {
		names = append(names, reference.SecretName)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// StackSecrets gives the secrets that a stack's services refer to.
func StackSecrets(stack *compose.Stack) SecretNames {
	names := SecretNames{}
	for name, spec := range stack.Services {
		names[name] = namesIn(&spec)
	}
	return names
}

// LiveSecrets gives the secrets that the live services refer to.
func LiveSecrets(live *deploy.Live) SecretNames {
	names := SecretNames{}
	for name, service := range live.Services {
		names[name] = namesIn(&service.Spec)
	}
	return names
}

// NewUses gives the secrets that the services are to refer to and did not before.
func NewUses(before SecretNames, want *compose.Stack) SecretNames {
	uses := StackSecrets(want)
	for service, secrets := range uses {
		uses[service] = slices.DeleteFunc(secrets, func(secret string) bool {
			return slices.Contains(before[service], secret)
		})
	}
	return uses
}
