package enginetest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
)

// NetworkList lists networks by label, scope or a part of their names.
func (c *Client) NetworkList(ctx context.Context, options network.ListOptions) ([]network.Summary, error) {
	return ask(ctx, c, Call{Method: "NetworkList", Kind: "network"}, func() ([]network.Summary, error) {
		all := []network.Summary{}
		names, labels := options.Filters.Get("name"), options.Filters.Get("label")
		for _, one := range sorted(c.engine.networks) {
			fits := len(names) == 0 || slices.ContainsFunc(names, func(part string) bool { return strings.Contains(one.summary.Name, part) })
			scoped := !options.Filters.Contains("scope") || options.Filters.ExactMatch("scope", one.summary.Scope)
			if !one.hidden && fits && scoped && labelled(labels, one.summary.Labels) {
				all = append(all, clone(one.summary))
			}
		}
		return all, nil
	})
}

// NetworkInspect gives a network by its ID or name.
func (c *Client) NetworkInspect(ctx context.Context, reference string, options network.InspectOptions) (network.Inspect, error) {
	return ask(ctx, c, Call{Method: "NetworkInspect", Kind: "network", Name: reference}, func() (network.Inspect, error) {
		found := c.engine.findNetwork(reference, options.Scope)
		if found == nil || options.Scope != "" && found.summary.Scope != options.Scope {
			return network.Inspect{}, notFound("network", reference)
		}
		return clone(found.summary), nil
	})
}

// NetworkCreate makes a network.
func (c *Client) NetworkCreate(ctx context.Context, name string, options network.CreateOptions) (network.CreateResponse, error) {
	call := Call{Method: "NetworkCreate", Kind: "network", Name: name, Write: true}
	return ask(ctx, c, call, func() (network.CreateResponse, error) {
		made, err := c.engine.createNetwork(name, options)
		if err != nil {
			return network.CreateResponse{}, err
		}
		return network.CreateResponse{ID: made.summary.ID}, nil
	})
}

// NetworkRemove removes a network that no service uses.
func (c *Client) NetworkRemove(ctx context.Context, reference string) error {
	return c.call(ctx, Call{Method: "NetworkRemove", Kind: "network", Name: reference, Write: true}, func() error {
		found := c.engine.findNetwork(reference, "")
		if found == nil {
			return notFound("network", reference)
		}
		return c.engine.removeNetwork(found)
	})
}

// SecretList lists secrets, without their content, that begin with a name or ID, or
// carry labels.
func (c *Client) SecretList(ctx context.Context, options swarm.SecretListOptions) ([]swarm.Secret, error) {
	return ask(ctx, c, Call{Method: "SecretList", Kind: "secret"}, func() ([]swarm.Secret, error) {
		all, labels := []swarm.Secret{}, options.Filters.Get("label")
		for _, one := range sorted(c.engine.secrets) {
			if named(options.Filters, one.id, one.spec.Name) && labelled(labels, one.spec.Labels) {
				all = append(all, one.swarm())
			}
		}
		var err error
		if deploy.SameAnswer(ctx, func() (answer []byte) { answer, err = json.Marshal(all); return answer }) || err != nil {
			return nil, err
		}
		return all, nil
	})
}

// swarm gives a secret as the API does, without its content.
func (s *secretObject) swarm() swarm.Secret {
	shown := s.spec
	shown.Data = nil
	given := swarm.Secret{ID: s.id, Meta: s.meta(), Spec: clone(shown)}
	if given.Spec.Labels == nil {
		given.Spec.Labels = map[string]string{}
	}
	return given
}

// SecretInspectWithRaw gives a secret by its ID or name. The raw form is empty.
func (c *Client) SecretInspectWithRaw(ctx context.Context, reference string) (swarm.Secret, []byte, error) {
	given, err := ask(ctx, c, Call{Method: "SecretInspectWithRaw", Kind: "secret", Name: c.secretName(reference)}, func() (swarm.Secret, error) {
		found := c.engine.findSecret(reference)
		if found == nil {
			return swarm.Secret{}, notFound("secret", reference)
		}
		return found.swarm(), nil
	})
	return given, nil, err
}

// SecretCreate makes a secret.
func (c *Client) SecretCreate(ctx context.Context, spec swarm.SecretSpec) (swarm.SecretCreateResponse, error) {
	call := Call{Method: "SecretCreate", Kind: "secret", Name: spec.Name, Write: true}
	return ask(ctx, c, call, func() (swarm.SecretCreateResponse, error) {
		made, err := c.engine.createSecret(spec)
		if err != nil {
			return swarm.SecretCreateResponse{}, err
		}
		return swarm.SecretCreateResponse{ID: made.id}, nil
	})
}

// SecretUpdate changes the labels of a secret; it refuses other content.
func (c *Client) SecretUpdate(ctx context.Context, reference string, version swarm.Version, spec swarm.SecretSpec) error {
	call := Call{Method: "SecretUpdate", Kind: "secret", Name: c.secretName(reference), Write: true}
	return c.call(ctx, call, func() error {
		found := c.engine.findSecret(reference)
		if found == nil {
			return notFound("secret", reference)
		}
		return c.engine.updateSecret(found, version.Index, spec)
	})
}

// SecretRemove removes a secret that no service uses.
func (c *Client) SecretRemove(ctx context.Context, reference string) error {
	call := Call{Method: "SecretRemove", Kind: "secret", Name: c.secretName(reference), Write: true}
	return c.call(ctx, call, func() error {
		found := c.engine.findSecret(reference)
		if found == nil {
			return notFound("secret", reference)
		}
		return c.engine.removeSecret(found)
	})
}

// secretName gives the full name of a secret, for hooks.
func (c *Client) secretName(reference string) string {
	name := reference
	c.engine.do(func() {
		if found := c.engine.findSecret(reference); found != nil {
			name = found.spec.Name
		}
	})
	return name
}

// ConfigList lists configs that begin with a name or ID, or carry labels.
func (c *Client) ConfigList(ctx context.Context, options swarm.ConfigListOptions) ([]swarm.Config, error) {
	return ask(ctx, c, Call{Method: "ConfigList", Kind: "config"}, func() ([]swarm.Config, error) {
		all, labels := []swarm.Config{}, options.Filters.Get("label")
		for _, one := range sorted(c.engine.configs) {
			if named(options.Filters, one.id, one.spec.Name) && labelled(labels, one.spec.Labels) {
				all = append(all, one.swarm())
			}
		}
		var err error
		if deploy.SameAnswer(ctx, func() (answer []byte) { answer, err = json.Marshal(all); return answer }) || err != nil {
			return nil, err
		}
		return all, nil
	})
}

// swarm gives a config as the API does.
func (c *configObject) swarm() swarm.Config {
	given := swarm.Config{ID: c.id, Meta: c.meta(), Spec: clone(c.spec)}
	if given.Spec.Labels == nil {
		given.Spec.Labels = map[string]string{}
	}
	return given
}

// ConfigCreate makes a config.
func (c *Client) ConfigCreate(ctx context.Context, spec swarm.ConfigSpec) (swarm.ConfigCreateResponse, error) {
	call := Call{Method: "ConfigCreate", Kind: "config", Name: spec.Name, Write: true}
	return ask(ctx, c, call, func() (swarm.ConfigCreateResponse, error) {
		made, err := c.engine.createConfig(spec)
		if err != nil {
			return swarm.ConfigCreateResponse{}, err
		}
		return swarm.ConfigCreateResponse{ID: made.id}, nil
	})
}

// ConfigRemove removes a config that no service uses.
func (c *Client) ConfigRemove(ctx context.Context, reference string) error {
	name := reference
	c.engine.do(func() {
		if found := c.engine.findConfig(reference); found != nil {
			name = found.spec.Name
		}
	})
	return c.call(ctx, Call{Method: "ConfigRemove", Kind: "config", Name: name, Write: true}, func() error {
		found := c.engine.findConfig(reference)
		if found == nil {
			return notFound("config", reference)
		}
		return c.engine.removeConfig(found)
	})
}
