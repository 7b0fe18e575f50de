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

// merging looks at what the docker CLI's merge makes of the node's files where
// its author can hardly have meant it. The files are as the CLI's loader gets
// them, each with its source.
type merging struct {
	*renderer
	files       []composetypes.ConfigFile
	environment map[string]string // what an empty value stands for
}

func (r *renderer) warnMerges(details composetypes.ConfigDetails) {
	m := &merging{renderer: r, files: details.ConfigFiles, environment: details.Environment}
	for i := range m.files {
		for _, section := range []string{"networks", "volumes", "secrets", "configs"} {
			m.objects(i, section)
		}
		services := mapping(m.files[i].Config["services"])
		for _, name := range slices.Sorted(maps.Keys(services)) {
			m.taken(i, name)
			if !m.again(i, name) {
				continue
			}
			m.empties(i, []string{"services", name}, mapping(services[name]))
			m.health(i, name)
			m.attachments(i, name)
			m.environments(i, name)
		}
	}
	for _, name := range m.serviceNames() {
		for _, list := range keyedLists {
			m.keyed(name, list)
		}
	}
}

// at gives what file i has under the keys.
func (m *merging) at(i int, keys ...string) (any, bool) {
	var value any = m.files[i].Config
	for _, key := range keys {
		values := mapping(value)
		if values == nil {
			return nil, false
		}
		below, ok := values[key]
		if !ok {
			return nil, false
		}
		value = below
	}
	return value, true
}

// again tells whether a file before i has the service.
func (m *merging) again(i int, name string) bool {
	return slices.ContainsFunc(m.files[:i], func(file composetypes.ConfigFile) bool {
		return mapping(file.Config["services"])[name] != nil
	})
}

// earlier finds the last file before i that says something under the keys.
func (m *merging) earlier(i int, keys ...string) (int, bool) {
	for j := i - 1; j >= 0; j-- {
		if value, ok := m.at(j, keys...); ok && !saysNothing(keys, value) {
			return j, true
		}
	}
	return 0, false
}

func (m *merging) place(i int, keys ...string) fault.Place { return m.sources[i].place(keys...) }

func (m *merging) serviceNames() []string {
	names := map[string]int{}
	for _, file := range m.files {
		for name := range mapping(file.Config["services"]) {
			names[name]++
		}
	}
	maps.DeleteFunc(names, func(_ string, n int) bool { return n < 2 })
	return slices.Sorted(maps.Keys(names))
}

// objects tells of networks and the like that a later file defines again: it
// replaces the earlier definition whole.
func (m *merging) objects(i int, section string) {
	for _, key := range slices.Sorted(maps.Keys(mapping(m.files[i].Config[section]))) {
		j := i - 1
		for j >= 0 && !m.has(j, section, key) {
			j--
		}
		if j < 0 {
			continue
		}
		before, _ := m.at(j, section, key)
		after, _ := m.at(i, section, key)
		if m.same(i, j, section, key) && reflect.DeepEqual(before, after) {
			continue
		}
		var lost []string
		for name, value := range mapping(before) {
			if _, kept := mapping(after)[name]; !kept && !isEmpty(value) {
				lost = append(lost, name)
			}
		}
		slices.Sort(lost)
		effect := "whole"
		if len(lost) > 0 {
			effect = "whole, without its " + strings.Join(lost, ", ")
		}
		m.warn(m.place(i, section, key), "define it in one file only, or write all of it in the later one",
			"%s %s replaces the one of %s %s", strings.TrimSuffix(section, "s"), key, m.place(j, section, key), effect)
	}
}

func (m *merging) has(i int, section, key string) bool {
	_, ok := m.at(i, section, key)
	return ok
}

// same compares the inline content of two configs, which the files have no more.
func (m *merging) same(i, j int, section, key string) bool {
	return section != "configs" || m.inline[settingsOf{m.sources[i], key}] == m.inline[settingsOf{m.sources[j], key}]
}

// empties tells of values that mean nothing to the merge, over some that do.
func (m *merging) empties(i int, keys []string, values map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		here := append(slices.Clip(keys), key)
		below, isMapping := values[key].(map[string]any)
		switch {
		case slices.Contains(overridden, strings.Join(here[2:], ".")):
		case isMapping:
			m.empties(i, here, below)
		case saysNothing(here, values[key]):
			if j, ok := m.earlier(i, here...); ok {
				m.warn(m.place(i, here...), changeEarlier, "service %s: %s has no effect: an empty value does not override that of %s",
					here[1], strings.Join(here[2:], "."), m.place(j, here...))
			}
		}
	}
}

// overridden are the mappings of a service in which an empty value counts, or
// which have a warning of their own.
var overridden = []string{"environment", "labels", "sysctls", "networks", "ulimits", "logging.options", "deploy.labels"}

// saysNothing tells the values that the docker CLI's merge passes over.
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

// health tells of a test that is added to another, and makes no sense with it.
func (m *merging) health(i int, name string) {
	keys := []string{"services", name, "healthcheck", "test"}
	test, ok := m.at(i, keys...)
	if j, before := m.earlier(i, keys...); ok && before && !isEmpty(test) {
		m.warn(m.place(i, keys...), changeEarlier, "service %s: healthcheck.test is added to that of %s, and does not replace it", name, m.place(j, keys...))
	}
}

// attachments tells of what is lost of a network that a service joins in two files.
func (m *merging) attachments(i int, name string) {
	networks, _ := m.at(i, "services", name, "networks")
	for _, network := range slices.Sorted(maps.Keys(mapping(networks))) {
		after, given := mapping(networks)[network].(map[string]any)
		keys := []string{"services", name, "networks", network}
		j, ok := m.earlier(i, keys...)
		if !ok || !given {
			continue
		}
		before, _ := m.at(j, keys...)
		var lost []string
		for _, alias := range list(mapping(before)["aliases"]) {
			if !slices.Contains(list(after["aliases"]), alias) {
				lost = append(lost, fmt.Sprint(alias))
			}
		}
		if len(lost) > 0 {
			m.warn(m.place(i, append(keys, "aliases")...), "write them again in the later file", "service %s: networks.%s replaces the aliases of %s: %s is lost",
				name, network, m.place(j, append(keys, "aliases")...), strings.Join(lost, ", "))
		}
		if mapping(before) != nil && !isEmpty(after["driver_opts"]) {
			m.warn(m.place(i, append(keys, "driver_opts")...), changeEarlier, "service %s: networks.%s.driver_opts has no effect beside the network of %s",
				name, network, m.place(j, keys...))
		}
	}
}
