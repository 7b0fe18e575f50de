package manifests

import (
	"fmt"
	"path"

	"coin.internal/coin-agent/internal/fault"
)

// Wave is the wave, counted from 1, that deployment.waves puts a service of a
// compose file into; 0 where none names it. A name beats a pattern, and of two
// patterns the one of the earlier wave holds.
func (c *Config) Wave(service string) int {
	matched := 0
	for i, wave := range c.Deployment.Waves {
		for _, pattern := range wave {
			if pattern == service {
				return i + 1
			}
			if ok, _ := path.Match(pattern, service); ok && matched == 0 { // a bad pattern was refused
				matched = i + 1
			}
		}
	}
	return matched
}

// IdleWaves gives a warning for each entry of deployment.waves that names none of
// the services.
func (c *Config) IdleWaves(services []string) []*fault.Error {
	var idle []*fault.Error
	for i, wave := range c.Deployment.Waves {
		for j, pattern := range wave {
			if !matchesAny(pattern, services) {
				idle = append(idle, fault.New(c.Place(fmt.Sprintf("deployment.waves[%d][%d]", i, j)),
					"name a service as the compose files have it, without the stack, or remove the entry",
					"deployment.waves names %q, which is no service here", pattern))
			}
		}
	}
	return idle
}

func matchesAny(pattern string, services []string) bool {
	for _, service := range services {
		if ok, _ := path.Match(pattern, service); ok {
			return true
		}
	}
	return false
}

func (c *Config) validateWaves(found *faults) {
	if _, set := c.places["deployment.waves"]; set && len(c.Deployment.Waves) == 0 {
		found.add(c.Place("deployment.waves"), "list waves such as [[migrate], [admin_api, client_api]], or remove the key", "deployment.waves is empty")
	}
	first := map[string]string{}
	for i, wave := range c.Deployment.Waves {
		at := fmt.Sprintf("deployment.waves[%d]", i)
		if len(wave) == 0 {
			found.add(c.Place(at), "name the wave's services, or remove it", "%s is empty", at)
		}
		for j, pattern := range wave {
			key := fmt.Sprintf("%s[%d]", at, j)
			if before, twice := first[pattern]; twice && pattern != "" {
				found.add(c.Place(key), "remove one of the two", "deployment.waves names %q twice, first on line %d", pattern, c.Place(before).Line)
				continue
			}
			first[pattern] = key
		}
	}
}
