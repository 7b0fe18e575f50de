package compose

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	composetypes "github.com/docker/cli/cli/compose/types"

	"coin.internal/coin-agent/internal/fault"
)

const changeEarlier = "change the earlier file instead"

// comparison warns of unexpected results when the docker CLI merges the node's files.
type comparison struct {
	sources     []*source
	files       []composetypes.ConfigFile // the same, as the docker CLI's loader gets them
	environment map[string]string         // replaces empty values
	warnings    *warnings
}

func (c *comparison) warn() {
	for i := range c.files {
		for _, section := range []string{"networks", "volumes", "secrets", "configs"} {
			c.objects(i, section)
		}
		services := mapping(c.files[i].Config["services"])
		for _, name := range slices.Sorted(maps.Keys(services)) {
			c.taken(i, name)
			if _, _, again := c.definition(i, "services", name); !again {
				continue
			}
			c.empties(i, []string{"services", name}, mapping(services[name]))
			c.health(i, name)
			c.attachments(i, name)
			c.environments(i, name)
			for _, list := range keyedLists {
				c.keyed(i, name, list)
			}
		}
	}
}

// at returns the value of the keys in file i.
func (c *comparison) at(i int, keys ...string) (value any, ok bool) {
	value = c.files[i].Config
	for _, key := range keys {
		if value, ok = mapping(value)[key]; !ok {
			return nil, false
		}
	}
	return value, true
}

// earlier finds the last file before i with a value that counts in the merge.
func (c *comparison) earlier(i int, keys ...string) (int, bool) {
	for j := i - 1; j >= 0; j-- {
		if value, ok := c.at(j, keys...); ok && !saysNothing(keys, value) {
			return j, true
		}
	}
	return 0, false
}

func (c *comparison) place(i int, keys ...string) fault.Place { return c.sources[i].place(keys...) }

// objects warns of a network, volume, secret or config that a later file defines again:
// it replaces the whole earlier definition.
func (c *comparison) objects(i int, section string) {
	for _, key := range slices.Sorted(maps.Keys(mapping(c.files[i].Config[section]))) {
		before, j, ok := c.definition(i, section, key)
		if !ok {
			continue
		}
		after, _ := c.at(i, section, key)
		if reflect.DeepEqual(before, after) {
			continue
		}
		var lost []string
		for name, value := range mapping(before) {
			if _, kept := mapping(after)[name]; !kept && !isEmpty(value) && name != inlineContent {
				lost = append(lost, name)
			}
		}
		slices.Sort(lost)
		effect := ""
		if len(lost) > 0 {
			effect = ", and drops its " + strings.Join(lost, ", ")
		}
		c.warnings.add(c.place(i, section, key), "define it in one file only, or repeat the whole definition in the later file",
			"%s %s replaces the definition in %s%s", strings.TrimSuffix(section, "s"), key, c.place(j, section, key), effect)
	}
}

// definition returns the last definition of an object or service before file i, and its
// file.
func (c *comparison) definition(i int, section, key string) (value any, j int, ok bool) {
	for j = i - 1; j >= 0 && !ok; j-- {
		value, ok = c.at(j, section, key)
	}
	return value, j + 1, ok
}

// empties warns of values that the merge ignores and that an earlier file sets.
func (c *comparison) empties(i int, keys []string, values map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		here := append(slices.Clip(keys), key)
		below, isMapping := values[key].(map[string]any)
		switch {
		case slices.Contains(overridden, strings.Join(here[2:], ".")):
		case isMapping:
			c.empties(i, here, below)
		case saysNothing(here, values[key]):
			if j, ok := c.earlier(i, here...); ok {
				c.warnings.add(c.place(i, here...), changeEarlier, "service %s: %s has no effect: an empty value does not override the value in %s",
					here[1], strings.Join(here[2:], "."), c.place(j, here...))
			}
		}
	}
}

// overridden lists the mappings of a service in which an empty value counts, or that
// have a separate warning.
var overridden = []string{"environment", "labels", "sysctls", "networks", "ulimits", "logging.options", "deploy.labels"}

// saysNothing reports whether the docker CLI's merge ignores a value.
func saysNothing(keys []string, value any) bool {
	last := keys[len(keys)-1]
	switch value := value.(type) {
	case bool:
		return !value
	case int, float64:
		return fmt.Sprint(value) == "0" && !slices.Contains([]string{"replicas", "retries", "parallelism", "max_attempts"}, last)
	case string:
		if zeroText.MatchString(value) {
			return slices.Contains(zeroKeys, last)
		}
	case map[string]any:
		return false
	}
	return isEmpty(value)
}

// health warns of a test that is appended to an earlier one.
func (c *comparison) health(i int, name string) {
	keys := []string{"services", name, "healthcheck", "test"}
	test, ok := c.at(i, keys...)
	if j, before := c.earlier(i, keys...); ok && before && !isEmpty(test) {
		c.warnings.add(c.place(i, keys...), changeEarlier, "service %s: healthcheck.test is appended to the test in %s, and does not replace it", name, c.place(j, keys...))
	}
}

// attachments warns of settings that are lost if a service joins a network in two files.
func (c *comparison) attachments(i int, name string) {
	networks, _ := c.at(i, "services", name, "networks")
	for _, network := range slices.Sorted(maps.Keys(mapping(networks))) {
		after, given := mapping(networks)[network].(map[string]any)
		keys := []string{"services", name, "networks", network}
		j, ok := c.earlier(i, keys...)
		if !ok || !given {
			continue
		}
		before, _ := c.at(j, keys...)
		var lost []string
		for _, alias := range list(mapping(before)["aliases"]) {
			if !slices.Contains(list(after["aliases"]), alias) {
				lost = append(lost, fmt.Sprint(alias))
			}
		}
		if len(lost) > 0 {
			c.warnings.add(c.place(i, append(keys, "aliases")...), "repeat them in the later file", "service %s: networks.%s replaces the aliases in %s: %s is lost",
				name, network, c.place(j, append(keys, "aliases")...), strings.Join(lost, ", "))
		}
		if mapping(before) != nil && !isEmpty(after["driver_opts"]) {
			c.warnings.add(c.place(i, append(keys, "driver_opts")...), changeEarlier, "service %s: networks.%s.driver_opts has no effect, because %s sets the network",
				name, network, c.place(j, keys...))
		}
	}
}
