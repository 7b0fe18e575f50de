package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// setting is a value in an environment.
type setting struct {
	value any  // nil if environment has only the name
	own   bool // from environment of the compose file, not from its env_file
}

// environments warns of empty names in the environment of a later file, which have no
// effect, and of names in its env_file that override the environment of an earlier file.
func (c *comparison) environments(i int, name string) {
	now := c.sources[i].settings[name]
	overridden := map[fault.Place][]string{}
	var emptied []string
	for _, key := range slices.Sorted(maps.Keys(now)) {
		value := c.settled(key, now[key])
		before, place := c.before(i, name, key)
		switch {
		case before == "" || before == value:
		case now[key].own && value == "":
			c.warnings.add(c.place(i, "services", name, "environment", key), changeEarlier,
				"service %s: environment: %s has no effect: an empty value does not override the earlier file", name, key)
		case now[key].own:
		case value == "":
			emptied = append(emptied, key)
		case place.Line > 0:
			overridden[place] = append(overridden[place], key)
		}
	}
	place := c.place(i, "services", name, "env_file")
	for _, earlier := range slices.SortedFunc(maps.Keys(overridden), comparePlaces) {
		c.warnings.add(place, "set the value in environment of the later file", "service %s: env_file overrides %s in the environment of %s",
			name, strings.Join(overridden[earlier], ", "), earlier)
	}
	if len(emptied) > 0 {
		c.warnings.add(place, changeEarlier, "service %s: env_file sets %s to an empty value, which does not override the earlier file", name, strings.Join(emptied, ", "))
	}
}

// before returns the value of a name in the files before file i, and its place if
// environment sets it.
func (c *comparison) before(i int, name, key string) (string, fault.Place) {
	for j := i - 1; j >= 0; j-- {
		then := c.sources[j].settings[name][key]
		text := c.settled(key, then)
		switch {
		case text == "":
		case then.own:
			return text, c.place(j, "services", name, "environment", key)
		default:
			return text, fault.Place{}
		}
	}
	return "", fault.Place{}
}

// settled returns the value that the docker CLI uses for a name. It replaces an empty
// value by the variable with the same name.
func (c *comparison) settled(key string, one setting) string {
	if !isEmpty(one.value) {
		return fmt.Sprint(one.value)
	}
	return c.environment[key]
}

// taken warns of empty names that get the value of the variable with the same name.
func (c *comparison) taken(i int, name string) {
	now := c.sources[i].settings[name]
	const hint = "remove or rename the variable in node.env"
	var names []string
	for _, key := range slices.Sorted(maps.Keys(now)) {
		switch {
		case now[key].value != "" || c.environment[key] == "":
		case now[key].own:
			c.warnings.add(c.place(i, "services", name, "environment", key), hint,
				"service %s: environment: %s is empty, so it gets the value of the variable %[2]s", name, key)
		default:
			names = append(names, key)
		}
	}
	if len(names) > 0 {
		c.warnings.add(c.place(i, "services", name, "env_file"), hint,
			"service %s: env_file: %s is empty, so it gets the value of the variable with this name", name, strings.Join(names, ", "))
	}
}
