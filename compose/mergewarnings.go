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

// merging warns of unexpected results when the docker CLI merges the node's files.
type merging struct {
	*renderer
	files       []composetypes.ConfigFile // as the docker CLI's loader gets them
	environment map[string]string         // replaces empty values
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

// at returns the value of the keys in file i.
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

// again reports whether a file before i has the service.
func (m *merging) again(i int, name string) bool {
	return slices.ContainsFunc(m.files[:i], func(file composetypes.ConfigFile) bool {
		return mapping(file.Config["services"])[name] != nil
	})
}

// earlier finds the last file before i with a value that counts in the merge.
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

// objects warns of a network, volume, secret or config that a later file defines again:
// it replaces the whole earlier definition.
func (m *merging) objects(i int, section string) {
	for _, key := range slices.Sorted(maps.Keys(mapping(m.files[i].Config[section]))) {
		before, j, ok := m.definition(i, section, key)
		if !ok {
			continue
		}
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
		effect := ""
		if len(lost) > 0 {
			effect = ", and drops its " + strings.Join(lost, ", ")
		}
		m.warn(m.place(i, section, key), "define it in one file only, or repeat the whole definition in the later file",
			"%s %s replaces the definition in %s%s", strings.TrimSuffix(section, "s"), key, m.place(j, section, key), effect)
	}
}

// definition returns the last definition of an object before file i, and its file.
func (m *merging) definition(i int, section, key string) (value any, j int, ok bool) {
	for j = i - 1; j >= 0 && !ok; j-- {
		value, ok = m.at(j, section, key)
	}
	return value, j + 1, ok
}

// same compares the inline content of two configs, which is no longer in the files.
func (m *merging) same(i, j int, section, key string) bool {
	return section != "configs" || m.inline[settingsOf{m.sources[i], key}] == m.inline[settingsOf{m.sources[j], key}]
}

// empties warns of values that the merge ignores and that an earlier file sets.
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
				m.warn(m.place(i, here...), changeEarlier, "service %s: %s has no effect: an empty value does not override the value in %s",
					here[1], strings.Join(here[2:], "."), m.place(j, here...))
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
func (m *merging) health(i int, name string) {
	keys := []string{"services", name, "healthcheck", "test"}
	test, ok := m.at(i, keys...)
	if j, before := m.earlier(i, keys...); ok && before && !isEmpty(test) {
		m.warn(m.place(i, keys...), changeEarlier, "service %s: healthcheck.test is appended to the test in %s, and does not replace it", name, m.place(j, keys...))
	}
}

// attachments warns of settings that are lost if a service joins a network in two files.
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
			m.warn(m.place(i, append(keys, "aliases")...), "repeat them in the later file", "service %s: networks.%s replaces the aliases in %s: %s is lost",
				name, network, m.place(j, append(keys, "aliases")...), strings.Join(lost, ", "))
		}
		if mapping(before) != nil && !isEmpty(after["driver_opts"]) {
			m.warn(m.place(i, append(keys, "driver_opts")...), changeEarlier, "service %s: networks.%s.driver_opts has no effect, because %s sets the network",
				name, network, m.place(j, keys...))
		}
	}
}
