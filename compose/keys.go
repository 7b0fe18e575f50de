package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// verdict says how the renderer treats a key that does not reach the specs.
type verdict int

const (
	dropped verdict = iota + 1 // has no effect: a warning describes what happens instead
	refused                    // an error: the service would run differently than written
)

// rule is the verdict on one key, with its reason and hint.
type rule struct {
	verdict  verdict
	instead  string // what happens instead, or would happen
	remedy   string
	harmless string // a value that matches what Swarm does anyway
}

// rules has a verdict for each key of the Compose specification that does not reach the
// engine's specs, by its path. "*" means any name; the rule of a list applies to its
// items. Keys below a dropped or refused key have the same verdict. Keys that `docker
// stack deploy` accepts and ignores are dropped. Keys that it refuses are refused, unless
// they do not affect a running task. testdata/keys.txt lists the keys without a rule too,
// and a test finds a new key there.
var rules = func() map[string]rule {
	all := maps.Clone(topRules)
	for key, one := range serviceRules {
		all["services.*."+key] = one
	}
	return all
}()

// ruledPaths lists the paths of all rules, one per line.
var ruledPaths = "\n" + strings.Join(slices.Sorted(maps.Keys(rules)), "\n")

// hasRules reports whether there are rules for keys below path.
func hasRules(path string) bool { return strings.Contains(ruledPaths, "\n"+path+".") }

// judge applies the rules to the keys of a mapping in a file. It removes dropped keys with
// a warning, and refuses refused keys.
func (a *adapter) judge(s *source, path string, at []string, values map[string]any) (faults []error) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		below, here := strings.TrimPrefix(path+"."+key, "."), append(slices.Clip(at), key)
		if hasRules(path + ".*") {
			below = path + ".*"
		}
		if one, ok := rules[below]; ok {
			faults = append(faults, a.condemn(s, one, here, values[key]))
			delete(values, key)
		} else if hasRules(below) {
			faults = append(faults, a.judge(s, below, here, mapping(values[key]))...)
			items := list(values[key])
			for i, item := range items {
				faults = append(faults, a.judge(s, below, append(here, itemKey(i, len(items))), mapping(item))...)
			}
		}
	}
	return faults
}

// condemn warns of a dropped key, or returns the fault of a refused one.
func (a *adapter) condemn(s *source, one rule, at []string, value any) error {
	if isEmpty(value) || fmt.Sprint(value) == one.harmless {
		return nil
	}
	place, what := s.place(at...), describeKey(at)
	if one.verdict == refused {
		return fault.New(place, one.remedy, "%s does not work in Swarm: %s", what, one.instead)
	}
	instead := one.instead
	if what := conditions(at, value); what != "" {
		instead += " and does not wait for " + what
	}
	a.warnings.add(place, one.remedy, "%s has no effect: %s", what, instead)
	a.noteDependencies(at, value)
	return nil
}

// noteDependencies keeps a depends_on for those who run the stack without Swarm.
func (a *adapter) noteDependencies(at []string, value any) {
	if len(at) != 3 || at[2] != "depends_on" {
		return
	}
	if a.depends[at[1]] == nil {
		a.depends[at[1]] = map[string]string{}
	}
	for _, name := range list(value) {
		a.depends[at[1]][fmt.Sprint(name)] = ""
	}
	for name, item := range mapping(value) {
		condition, _ := mapping(item)["condition"].(string)
		a.depends[at[1]][name] = condition
	}
}

// conditions lists the conditions of a depends_on other than the start.
func conditions(at []string, value any) string {
	if at[len(at)-1] != "depends_on" {
		return ""
	}
	var all []string
	for _, item := range mapping(value) {
		if condition, ok := mapping(item)["condition"].(string); ok && condition != "service_started" {
			all = append(all, condition)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " or ")
}

// describeKey returns the name of a key in messages, such as "service app: ports.name".
func describeKey(at []string) string {
	keys := slices.DeleteFunc(slices.Clone(at), func(key string) bool { return strings.HasPrefix(key, "[") })
	if len(keys) < 3 {
		return strings.Join(keys, ".")
	}
	return fmt.Sprintf("%s %s: %s", strings.TrimSuffix(keys[0], "s"), keys[1], strings.Join(keys[2:], "."))
}

// isEmpty reports whether a value is nil or empty.
func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return value == ""
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return false
}
