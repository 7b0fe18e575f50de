package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// verdict says how the renderer treats a key of the Compose specification.
type verdict int

const (
	carried verdict = iota + 1 // the specs contain it, or depend on it
	dropped                    // has no effect: a warning describes what happens instead
	refused                    // an error: the service would run differently than written
)

// rule is the verdict on one key, with its reason and hint.
type rule struct {
	verdict  verdict
	instead  string // what happens instead, or would happen
	remedy   string
	harmless string // a value that matches what Swarm does anyway
}

// rules has a verdict for each key of the Compose specification, by its path. "*" means
// any name; the rule of a list applies to its items. Keys below a dropped or refused
// key have the same verdict. Keys that `docker stack deploy` accepts and ignores are
// dropped. Keys that it refuses are refused, unless they do not affect a running task.
var rules = func() map[string]rule {
	all := map[string]rule{}
	for _, key := range strings.Fields(carriedKeys) {
		all[key] = rule{verdict: carried}
	}
	for _, part := range []struct {
		prefix string
		rules  map[string]rule
	}{
		{"", topRules},
		{"services.*.", serviceRules},
		{"services.*.", limitRules},
		{"services.*.", partRules},
	} {
		for key, one := range part.rules {
			all[part.prefix+key] = one
		}
	}
	return all
}()

// carriedKeys lists the keys that reach the engine's specs. adapt treats the values
// that do not.
const carriedKeys = `
version name include
services services.*
networks networks.* networks.*.name networks.*.driver networks.*.driver_opts networks.*.attachable
networks.*.internal networks.*.external networks.*.external.name networks.*.labels
networks.*.ipam networks.*.ipam.driver networks.*.ipam.config networks.*.ipam.config.subnet
volumes volumes.* volumes.*.name volumes.*.driver volumes.*.driver_opts volumes.*.labels
volumes.*.external volumes.*.external.name
secrets secrets.* secrets.*.name secrets.*.file secrets.*.labels secrets.*.driver secrets.*.driver_opts
secrets.*.template_driver secrets.*.external secrets.*.external.name
configs configs.* configs.*.name configs.*.file configs.*.content configs.*.labels
configs.*.template_driver configs.*.external configs.*.external.name

services.*.cap_add services.*.cap_drop services.*.command services.*.entrypoint services.*.environment
services.*.extends services.*.extends.file services.*.extends.service services.*.extra_hosts
services.*.hostname services.*.image services.*.init services.*.isolation services.*.labels
services.*.label_file services.*.network_mode services.*.profiles
services.*.read_only services.*.restart services.*.stdin_open services.*.stop_grace_period
services.*.stop_signal services.*.sysctls services.*.tty services.*.user services.*.working_dir
services.*.dns services.*.dns_opt services.*.dns_search services.*.group_add
services.*.credential_spec services.*.credential_spec.config services.*.credential_spec.file
services.*.credential_spec.registry
services.*.env_file services.*.env_file.path services.*.env_file.required services.*.env_file.format
services.*.healthcheck services.*.healthcheck.disable services.*.healthcheck.interval
services.*.healthcheck.retries services.*.healthcheck.start_interval services.*.healthcheck.start_period
services.*.healthcheck.test services.*.healthcheck.timeout
services.*.logging services.*.logging.driver services.*.logging.options
services.*.networks services.*.networks.* services.*.networks.*.aliases services.*.networks.*.driver_opts
services.*.ports services.*.ports.mode services.*.ports.protocol services.*.ports.published
services.*.ports.target services.*.ports.host_ip
services.*.configs services.*.configs.gid services.*.configs.mode services.*.configs.source
services.*.configs.target services.*.configs.uid
services.*.secrets services.*.secrets.gid services.*.secrets.mode services.*.secrets.source
services.*.secrets.target services.*.secrets.uid
services.*.ulimits services.*.ulimits.* services.*.ulimits.*.hard services.*.ulimits.*.soft
services.*.volumes services.*.volumes.type services.*.volumes.source services.*.volumes.target
services.*.volumes.read_only services.*.volumes.consistency
services.*.volumes.bind services.*.volumes.bind.propagation services.*.volumes.bind.create_host_path
services.*.volumes.volume services.*.volumes.volume.nocopy services.*.volumes.volume.subpath
services.*.volumes.tmpfs services.*.volumes.tmpfs.size services.*.volumes.tmpfs.mode

services.*.deploy services.*.deploy.endpoint_mode services.*.deploy.labels services.*.deploy.mode
services.*.deploy.replicas
services.*.deploy.placement services.*.deploy.placement.constraints
services.*.deploy.placement.max_replicas_per_node services.*.deploy.placement.preferences
services.*.deploy.placement.preferences.spread
services.*.deploy.resources services.*.deploy.resources.limits services.*.deploy.resources.limits.cpus
services.*.deploy.resources.limits.memory services.*.deploy.resources.limits.pids
services.*.deploy.resources.reservations services.*.deploy.resources.reservations.cpus
services.*.deploy.resources.reservations.memory
services.*.deploy.resources.reservations.generic_resources
services.*.deploy.resources.reservations.generic_resources.discrete_resource_spec
services.*.deploy.resources.reservations.generic_resources.discrete_resource_spec.kind
services.*.deploy.resources.reservations.generic_resources.discrete_resource_spec.value
services.*.deploy.restart_policy services.*.deploy.restart_policy.condition
services.*.deploy.restart_policy.delay services.*.deploy.restart_policy.max_attempts
services.*.deploy.restart_policy.window
services.*.deploy.rollback_config services.*.deploy.rollback_config.delay
services.*.deploy.rollback_config.failure_action services.*.deploy.rollback_config.max_failure_ratio
services.*.deploy.rollback_config.monitor services.*.deploy.rollback_config.order
services.*.deploy.rollback_config.parallelism
services.*.deploy.update_config services.*.deploy.update_config.delay
services.*.deploy.update_config.failure_action services.*.deploy.update_config.max_failure_ratio
services.*.deploy.update_config.monitor services.*.deploy.update_config.order
services.*.deploy.update_config.parallelism
`

// judge applies the rules to a file's keys. It removes dropped keys with a warning, and
// refuses refused keys and keys without a rule.
type judge struct {
	source   *source
	warnings *warnings
	faults   []error
}

func (j *judge) mapping(path string, at []step, values map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		below, one := ruleOf(path, key)
		here := append(slices.Clip(at), step{key: key})
		switch {
		case one.verdict == carried:
			j.below(below, here, values[key])
		case one.verdict == 0 && strings.HasPrefix(key, "x-"):
		default:
			j.condemn(one, here, values[key])
			delete(values, key)
		}
	}
}

// below continues in a value if there are rules for keys below path.
func (j *judge) below(path string, at []step, value any) {
	if !strings.Contains(ruledPaths, "\n"+path+".") {
		return
	}
	j.mapping(path, at, mapping(value))
	items := list(value)
	for i, item := range items {
		j.mapping(path, append(slices.Clip(at), step{index: i, of: len(items)}), mapping(item))
	}
}

func (j *judge) condemn(one rule, at []step, value any) {
	if one.verdict != 0 && (isEmpty(value) || fmt.Sprint(value) == one.harmless) {
		return
	}
	place, what := j.source.placeAt(at), describeKey(at)
	switch one.verdict {
	case dropped:
		instead := one.instead
		if what := conditions(at, value); what != "" {
			instead += " and does not wait for " + what
		}
		j.warnings.add(place, one.remedy, "%s has no effect: %s", what, instead)
	case refused:
		j.faults = append(j.faults, fault.New(place, one.remedy, "%s does not work in Swarm: %s", what, one.instead))
	case carried:
	default:
		j.faults = append(j.faults, fault.New(place, "remove it", "%s is not supported by the agent", what))
	}
}

// conditions lists the conditions of a depends_on other than the start.
func conditions(at []step, value any) string {
	if at[len(at)-1].key != "depends_on" {
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

func ruleOf(path, key string) (string, rule) {
	path = strings.TrimPrefix(path+".", ".")
	if one, ok := rules[path+"*"]; ok {
		return path + "*", one
	}
	return path + key, rules[path+key]
}

// ruledPaths lists the paths of all rules, one per line.
var ruledPaths = "\n" + strings.Join(slices.Sorted(maps.Keys(rules)), "\n") + "\n"

// step is a key of a mapping, or the index of an item in a list of length of.
type step struct {
	key       string
	index, of int
}

// placeAt returns the place of the deepest step that exists in the file. It returns the
// list's place if one written item became several.
func (s *source) placeAt(steps []step) fault.Place {
	place, _ := s.find(keysOf(steps))
	node, inList := s.root, false
	for _, one := range steps {
		var at *yaml.Node
		if one.key != "" {
			at, node = lookup(node, one.key)
		} else {
			at = itemAt(node, one)
			node, inList = at, true
		}
		if at == nil {
			break
		}
		if inList {
			place.Line = at.Line
		}
	}
	return place
}

// itemAt returns an item of a list in the file, or nil if one item became several.
func itemAt(node *yaml.Node, one step) *yaml.Node {
	node = deref(node)
	if node == nil || node.Kind != yaml.SequenceNode || len(node.Content) != one.of {
		return nil
	}
	return node.Content[one.index]
}

func keysOf(steps []step) []string {
	var keys []string
	for _, one := range steps {
		if one.key != "" {
			keys = append(keys, one.key)
		}
	}
	return keys
}

// describeKey returns the name of a key in messages, such as "service app: ports.name".
func describeKey(at []step) string {
	keys := keysOf(at)
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
