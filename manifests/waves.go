package manifests

import (
	"fmt"
	"path"
	"slices"

	"coin.internal/coin-agent/internal/fault"
)

// Wave returns the number of the wave, from 1, of a service in deployment.waves, or 0
// if no entry matches it. A name takes precedence over a pattern, and a pattern of an
// earlier wave over a later one.
func (c *Config) Wave(service string) int {
	matched := 0
	for i, wave := range c.Deployment.Waves {
		for _, pattern := range wave {
			if pattern == service {
				return i + 1
			}
			if ok, _ := path.Match(pattern, service); ok && matched == 0 { // validated
				matched = i + 1
			}
		}
	}
	return matched
}

// Idle returns a warning for each entry of deployment.waves and drift_ignore that matches
// none of the services.
func (c *Config) Idle(services []string) []*fault.Error {
	var idle []*fault.Error
	for i, wave := range c.Deployment.Waves {
		for j, pattern := range wave {
			matches := func(service string) bool { ok, _ := path.Match(pattern, service); return ok }
			if !slices.ContainsFunc(services, matches) {
				idle = append(idle, fault.New(c.Place(fmt.Sprintf("deployment.waves[%d][%d]", i, j)),
					"write the name of a service in the compose files, without the stack, or remove the entry",
					"deployment.waves lists %q, which matches no service of this node", pattern))
			}
		}
	}
	return append(idle, idleIgnores(c, services)...)
}

func (v *validator) validateWaves() {
	if v.config.set("deployment.waves") && len(v.config.Deployment.Waves) == 0 {
		v.add("deployment.waves", "list waves such as [[migrate], [admin_api, client_api]], or remove the key", "deployment.waves is empty")
	}
	first := map[string]string{}
	for i, wave := range v.config.Deployment.Waves {
		at := fmt.Sprintf("deployment.waves[%d]", i)
		if len(wave) == 0 {
			v.add(at, "list the services of the wave, or remove it", "%s is empty", at)
		}
		for j, pattern := range wave {
			v.once(first, "deployment.waves", fmt.Sprintf("%s[%d]", at, j), pattern, "remove one of the two")
		}
	}
}
