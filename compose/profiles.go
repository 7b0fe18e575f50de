package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// activeProfiles is the variable with the active profiles, as in docker compose:
// separated by commas, * for all.
const activeProfiles = "COMPOSE_PROFILES"

// leaveOut removes the services that have only inactive profiles from the models of the
// node's compose files. A service has the profiles of all files.
func (m *merger) leaveOut(models []map[string]any) {
	var active []string
	for name := range strings.SplitSeq(m.variables.values[activeProfiles], ",") {
		active = append(active, strings.TrimSpace(name))
	}
	profiles := map[string][]string{}
	for _, model := range models {
		for name, service := range mapping(model["services"]) {
			for _, profile := range list(mapping(service)["profiles"]) {
				profiles[name] = append(profiles[name], fmt.Sprint(profile))
			}
			delete(mapping(service), "profiles")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(profiles)) {
		if slices.Contains(active, "*") || slices.ContainsFunc(profiles[name], func(one string) bool { return slices.Contains(active, one) }) {
			continue
		}
		m.warnings.add(m.files.placeOf("services", name, "profiles"), "add one of its profiles to COMPOSE_PROFILES in node.env, or remove profiles",
			"service %s is not deployed: none of its profiles is active", name)
		for _, model := range models {
			delete(mapping(model["services"]), name)
		}
	}
}
