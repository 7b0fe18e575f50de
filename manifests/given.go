package manifests

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// nodeEnv is the file that sets a node's variables where config.yml lists no other.
const nodeEnv = "node.env"

// featurePrefix begins the variable of a feature flag.
const featurePrefix = "FEATURE_"

// allFeatures is the entry of feature_flags that stands for the flags that are not listed and
// that the template of the project settings mentions.
const allFeatures = "all"

// given sets the variables that config.yml gives: what the node is called, and the keys of
// base and deployment that the application reads (seed 6.2, 6.5). All others take precedence.
func (l *loader) given() {
	entry, key := l.chosen.entry, l.chosen.key
	give := func(name, key, value string) {
		if value != "" {
			l.node.Variables[name] = Variable{Value: value, Place: l.node.Config.Place(key), Given: true}
		}
	}
	positive := func(number int) string {
		if number == 0 {
			return ""
		}
		return strconv.Itoa(number)
	}
	give("ENVIRONMENT", "environment.name", l.node.Environment)
	give("NODE_NAME", key+".name", entry.Name)
	give("STACK_NAME", l.chosen.nameOfIt, l.chosen.stack.Name)
	give("PUBLIC_NODE_IP", key+".public_ip", entry.PublicIP)
	give("DOCKER_REGISTRY", "base.registry", l.node.Config.Base.Registry)
	deployment := &l.node.Config.Deployment
	give("REPLICAS", "deployment.replicas", positive(deployment.Replicas))
	give("DB_POOL_SIZE", "deployment.database_pool_size", positive(deployment.DatabasePoolSize))
	give("LOG_LEVEL", "deployment.log_level", deployment.LogLevel)
	for flag, on := range deployment.FeatureFlags {
		if flag != allFeatures {
			give(featureVariable(flag), "deployment.feature_flags."+flag, strconv.FormatBool(on))
		}
	}
}

// featureVariable names the variable of a feature flag: new-checkout has FEATURE_NEW_CHECKOUT.
func featureVariable(flag string) string {
	return featurePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// giveSetting gives the value of a placeholder of the template that the values' file does not
// set: that of config.yml.
func giveSetting(l *loader, name string) (setting, bool) {
	if all, set := l.node.Config.Deployment.FeatureFlags[allFeatures]; set && strings.HasPrefix(name, featurePrefix) {
		if _, listed := l.provided[name]; !listed {
			return setting{name: name, value: strconv.FormatBool(all), written: true, place: l.node.Config.Place("deployment.feature_flags." + allFeatures)}, true
		}
	}
	value, found := l.provided[name]
	return setting{name: name, value: value.Value, written: true, place: value.Place}, found
}

// nodeFiles lists the files that set the node's variables, in order, each over the one before:
// the one named after the node's context, as deployment.sh has it, and those of config.yml.
// Those of the stack's folder that have the same names follow.
func (l *loader) nodeFiles() []string {
	entry := l.chosen.entry
	var files []string
	others := []string{nodeEnv, "project.env", "project_" + entry.Name + ".env", overrideEnv}
	own := entry.Context + ".env"
	if slices.Contains(l.names[l.node.Home], own) && !slices.Contains(others, own) && !slices.Contains(entry.NodeFiles, own) {
		files = append(files, path.Join(l.node.Home, own))
	}
	if len(entry.NodeFiles) > 0 {
		files = append(files, l.named(l.node.Home, entry.NodeFiles, l.chosen.key+".node_files")...)
	} else {
		files = append(files, path.Join(l.node.Home, nodeEnv))
	}
	if slices.Contains(others, own) {
		own = nodeEnv
	}
	return append(files, namedByStack(l, own, nodeEnv, entry.NodeFiles)...)
}

// namedByStack lists the files of the stack's folder, if that is not the node's: those that are there
// of the two default names, and of those that config.yml lists for the node, in this order.
func namedByStack(l *loader, first, second string, listed []string) (files []string) {
	if l.node.Dir == l.node.Home {
		return nil
	}
	for _, name := range append([]string{first, second}, listed...) {
		if file := path.Join(l.node.Dir, name); slices.Contains(l.names[l.node.Dir], name) && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

// validateFeatures finds flags that share a variable.
func (v *validator) validateFeatures() {
	names := map[string]string{}
	for _, flag := range slices.Sorted(maps.Keys(v.config.Deployment.FeatureFlags)) {
		name := featureVariable(flag)
		if before, twice := names[name]; twice {
			v.add("deployment.feature_flags."+flag, "remove one of the two", "the flags %s and %s are both the variable %s", before, flag, name)
		}
		names[name] = flag
		if flag == "" || strings.ContainsFunc(flag, func(r rune) bool { return !strings.ContainsRune("-_", r) && !isAlphanumeric(r) }) {
			v.add("deployment.feature_flags."+flag, fmt.Sprintf("write letters, digits, '-' and '_': the flag is the variable %s<NAME>", featurePrefix), "the name of the flag %q has another character", flag)
		}
	}
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
