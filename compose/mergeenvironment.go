package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// settingsOf names the environment of a service in one file.
type settingsOf struct {
	source  *source
	service string
}

// settings are an environment by origin: written in the compose file, or read
// from its env_file.
type settings struct {
	own   map[string]any
	files map[string]string
}

// environments tells of names in the environment of a later file that are empty, to
// no effect, and of those in its env_file that override what an earlier file says
// under environment.
func (m *merging) environments(i int, name string) {
	now := m.settings[settingsOf{m.sources[i], name}]
	overridden := map[fault.Place][]string{}
	var emptied []string
	for _, key := range slices.Sorted(maps.Keys(now.files)) {
		if _, own := now.own[key]; own {
			continue
		}
		value := m.settled(key, now.files[key])
		before, place := m.before(i, name, key)
		switch {
		case before == "" || before == value:
		case value == "":
			emptied = append(emptied, key)
		case place.Line > 0:
			overridden[place] = append(overridden[place], key)
		}
	}
	place := m.place(i, "services", name, "env_file")
	for _, earlier := range slices.SortedFunc(maps.Keys(overridden), comparePlaces) {
		m.warn(place, "write the value under environment of the later file", "service %s: env_file overrides %s in the environment of %s",
			name, strings.Join(overridden[earlier], ", "), earlier)
	}
	if len(emptied) > 0 {
		m.warn(place, changeEarlier, "service %s: env_file sets %s to nothing, which has no effect on what an earlier file says", name, strings.Join(emptied, ", "))
	}
	for _, key := range slices.Sorted(maps.Keys(now.own)) {
		if before, _ := m.before(i, name, key); before != "" && m.settled(key, now.own[key]) == "" {
			m.warn(m.place(i, "services", name, "environment", key), changeEarlier,
				"service %s: environment: %s has no effect: an empty value does not override what an earlier file says", name, key)
		}
	}
}

// before is the value that a name has in the environment before file i, and where
// it stands when it is written there under environment.
func (m *merging) before(i int, name, key string) (string, fault.Place) {
	for j := i - 1; j >= 0; j-- {
		then := m.settings[settingsOf{m.sources[j], name}]
		if value, ok := then.own[key]; ok {
			if text := m.settled(key, value); text != "" {
				return text, m.place(j, "services", name, "environment", key)
			}
			continue
		}
		if text := m.settled(key, then.files[key]); text != "" {
			return text, fault.Place{}
		}
	}
	return "", fault.Place{}
}

// settled is the value that the docker CLI gives a name: one that is empty takes
// that of the variable of its name.
func (m *merging) settled(key string, value any) string {
	if !isEmpty(value) {
		return fmt.Sprint(value)
	}
	return m.environment[key]
}

// taken tells of names that are written as empty and are not: the docker CLI gives
// them the value of the variable of their name.
func (m *merging) taken(i int, name string) {
	now := m.settings[settingsOf{m.sources[i], name}]
	const hint = "remove the variable from node.env, or call it otherwise there"
	for _, key := range slices.Sorted(maps.Keys(now.own)) {
		if text, ok := now.own[key].(string); ok && text == "" && m.environment[key] != "" {
			m.warn(m.place(i, "services", name, "environment", key), hint,
				"service %s: environment: %s is empty, and so takes the value of the variable %[2]s", name, key)
		}
	}
	var names []string
	for _, key := range slices.Sorted(maps.Keys(now.files)) {
		if _, own := now.own[key]; !own && now.files[key] == "" && m.environment[key] != "" {
			names = append(names, key)
		}
	}
	if len(names) > 0 {
		m.warn(m.place(i, "services", name, "env_file"), hint,
			"service %s: env_file: %s is empty, and so takes the value of the variable of this name", name, strings.Join(names, ", "))
	}
}
