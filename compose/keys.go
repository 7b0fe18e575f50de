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
	for line := range strings.Lines(carriedKeys) {
		path, keys, _ := strings.Cut(line, ":")
		for key := range strings.FieldsSeq(keys) {
			all[join(path, key)] = rule{verdict: carried}
		}
	}
	maps.Copy(all, topRules)
	for key, one := range serviceRules {
		all["services.*."+key] = one
	}
	return all
}()

// carriedKeys lists, after the path of a mapping or list, its keys that reach the
// engine's specs. adapt treats the values that do not.
const carriedKeys = `
: version name include services networks volumes secrets configs
networks: *
networks.*: name driver driver_opts attachable internal external labels ipam
networks.*.external: name
networks.*.ipam: driver config
networks.*.ipam.config: subnet
volumes: *
volumes.*: name driver driver_opts labels external
volumes.*.external: name
secrets: *
secrets.*: name file labels driver driver_opts template_driver external
secrets.*.external: name
configs: *
configs.*: name file content labels template_driver external
configs.*.external: name
services: *
services.*: cap_add cap_drop command configs credential_spec deploy dns dns_opt dns_search entrypoint
services.*: env_file environment extends extra_hosts group_add healthcheck hostname image init isolation
services.*: label_file labels logging network_mode networks ports profiles read_only restart secrets
services.*: stdin_open stop_grace_period stop_signal sysctls tty ulimits user volumes working_dir
services.*.configs: gid mode source target uid
services.*.credential_spec: config file registry
services.*.deploy: endpoint_mode labels mode placement replicas resources restart_policy rollback_config update_config
services.*.deploy.placement: constraints max_replicas_per_node preferences
services.*.deploy.placement.preferences: spread
services.*.deploy.resources: limits reservations
services.*.deploy.resources.limits: cpus memory pids
services.*.deploy.resources.reservations: cpus memory generic_resources
services.*.deploy.resources.reservations.generic_resources: discrete_resource_spec
services.*.deploy.resources.reservations.generic_resources.discrete_resource_spec: kind value
services.*.deploy.restart_policy: condition delay max_attempts window
services.*.deploy.rollback_config: delay failure_action max_failure_ratio monitor order parallelism
services.*.deploy.update_config: delay failure_action max_failure_ratio monitor order parallelism
services.*.env_file: path required format
services.*.extends: file service
services.*.healthcheck: disable interval retries start_interval start_period test timeout
services.*.logging: driver options
services.*.networks: *
services.*.networks.*: aliases driver_opts
services.*.ports: mode protocol published target host_ip
services.*.secrets: gid mode source target uid
services.*.ulimits: *
services.*.ulimits.*: hard soft
services.*.volumes: type source target read_only consistency bind volume tmpfs
services.*.volumes.bind: propagation create_host_path
services.*.volumes.tmpfs: size mode
services.*.volumes.volume: nocopy subpath
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
	anyKey := join(path, "*")
	if one, ok := rules[anyKey]; ok {
		return anyKey, one
	}
	return join(path, key), rules[join(path, key)]
}

func join(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }

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
	place := s.place(keysOf(steps)...)
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
