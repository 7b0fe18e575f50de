package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// activeProfiles is the variable that names the active profiles, as the compose
// command has it: separated by commas, * for all.
const activeProfiles = "COMPOSE_PROFILES"

// leaveOut removes the services that have profiles of which none is active from
// the models of the node's compose files. A service has the profiles of all files.
func (r *renderer) leaveOut(models []map[string]any) {
	var active []string
	for name := range strings.SplitSeq(r.variables.values[activeProfiles], ",") {
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
		r.warn(r.placeOf("services", name, "profiles"), "name one of its profiles in COMPOSE_PROFILES in node.env, or remove profiles, to deploy it",
			"service %s has profiles, and none is active: it is left out", name)
		for _, model := range models {
			delete(mapping(model["services"]), name)
		}
	}
}
