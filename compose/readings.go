package compose

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	dockertemplate "github.com/docker/cli/cli/compose/template"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

var (
	bareVariable  = regexp.MustCompile(`(?i)(?:^|[^$])(?:\$\$)*\$([_a-z][_a-z0-9]*)(:?[-?])`)
	escapeInside  = regexp.MustCompile(`(?i)\$\{([_a-z][_a-z0-9]*):?[-+?][^}]*\$\$`)
	variableInner = regexp.MustCompile(`(?i)\$\{([_a-z][_a-z0-9]*):?[-+?][^}]*\$[_a-z{]`)
)

// warnOtherReadings warns of texts that `docker stack deploy` interpolates differently:
// it treats the text after an unbraced variable as a default, and does not replace
// variables in a default. The warnings do not show the texts, which may contain secrets.
// Exported is docker's environment.
func (s *source) warnOtherReadings(found *warnings, exported map[string]string) {
	docker := func(name string) (string, bool) {
		if value, ok := s.variables.lookup(name); ok {
			return value, true
		}
		value, ok := exported[name]
		return value, ok
	}
	walkScalars(s.root, func(node *yaml.Node) {
		if !strings.Contains(node.Value, "$") {
			return
		}
		ours, err := Substitute(node.Value, s.variables.lookup)
		if err != nil {
			return
		}
		theirs, err := dockertemplate.Substitute(node.Value, docker)
		if err != nil || theirs == ours { // docker refuses the text, or reads it equally
			return
		}
		message, hint := otherReading(node.Value)
		found.add(fault.Place{File: s.path, Line: node.Line}, hint, "%s", message)
	})
}

func otherReading(text string) (message, hint string) {
	const noDefault = "set the variables in node.env, and write them as ${NAME}, without a default"
	if match := bareVariable.FindStringSubmatch(text); match != nil {
		name, sign := match[1], match[2]
		return "$" + name + sign + " is the variable and then text; docker stack deploy treats " + sign + " as the start of a default, and loses the text",
			"write ${" + name + "}" + sign + ", which has the same meaning in both"
	}
	if match := variableInner.FindStringSubmatch(strings.ReplaceAll(text, "$$", "")); match != nil {
		return "the default of " + match[1] + " contains a variable; docker stack deploy ends the default at the first }, and does not replace the variable",
			noDefault
	}
	if match := escapeInside.FindStringSubmatch(text); match != nil {
		return "the default of " + match[1] + " contains $$, which means $; docker stack deploy keeps $$",
			noDefault
	}
	return "docker stack deploy reads the variables in this text differently", noDefault
}

// warnOtherFields warns of modes from variables, which docker reads as decimal numbers.
func (s *source) warnOtherFields(found *warnings) {
	_, services := lookup(s.root, "services")
	for name, service := range pairs(services) {
		for _, key := range []string{"secrets", "configs"} {
			for _, use := range itemsOf(service, key) {
				_, mode := lookup(use, "mode")
				if mode = deref(mode); mode != nil && otherMode(s, mode.Value) {
					found.add(fault.Place{File: s.path, Line: mode.Line}, "write the mode without a variable",
						"service %s: the mode from a variable is octal; docker stack deploy reads it as a decimal number", name)
				}
			}
		}
	}
}

func itemsOf(service *yaml.Node, key string) []*yaml.Node {
	_, value := lookup(service, key)
	return items(value)
}

// items returns the items of a list, or nil.
func items(node *yaml.Node) []*yaml.Node {
	if node = deref(node); node == nil || node.Kind != yaml.SequenceNode {
		return nil
	}
	return node.Content
}

// mountPlace returns the place of a service's mount at target, or that of volumes.
func (s *source) mountPlace(service, target string) fault.Place {
	for _, mount := range itemsOf(s.service(service), "volumes") {
		if path.Clean(mountTarget(s, mount)) == path.Clean(target) {
			return fault.Place{File: s.path, Line: mount.Line}
		}
	}
	return s.place("services", service, "volumes")
}

// mountTarget returns the target of a mount in the file, in short or long syntax.
func mountTarget(s *source, mount *yaml.Node) string {
	mount = deref(mount)
	text := scalarAt(mount, "target")
	if mount.Kind == yaml.ScalarNode {
		text = mount.Value
	}
	text, err := Substitute(text, s.variables.lookup)
	if err != nil {
		return ""
	}
	if parts := strings.Split(text, ":"); mount.Kind == yaml.ScalarNode && len(parts) > 1 {
		return parts[1]
	}
	return text
}

func otherMode(s *source, text string) bool {
	value, err := Substitute(text, s.variables.lookup)
	if err != nil || value == text {
		return false
	}
	octal, err := fileMode(value)
	decimal, other := strconv.Atoi(value)
	return err == nil && other == nil && int(octal) != decimal
}
