package report

import (
	"strconv"
	"strings"
	"unicode"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/visible"
)

// ChangeText gives a change in the words of a compose file, such as
// "env LOG_LEVEL: info -> debug", "+ port 80:8080/tcp: ingress" or
// "secret db_access: 1 -> 2".
func ChangeText(c deploy.Change) string {
	label, old, want := sides(c)
	label, old, want = visible.Line(label), visible.Line(old), visible.Line(want)
	switch {
	case old == "":
		return strings.TrimSuffix("+ "+label+": "+want, ": ")
	case want == "":
		return strings.TrimSuffix("- "+label+": "+old, ": ")
	case old == want && old == deploy.Hidden:
		return "~ " + label + ": changed"
	case old == want: // the difference is masked or cut
		return "~ " + label + ": " + old + " -> " + want + " (differs)"
	}
	return "~ " + label + ": " + old + " -> " + want
}

// ChangeLabels names the fields that a step changes in the words of a compose file:
// "env LOG_LEVEL, image".
func ChangeLabels(step deploy.Step) string {
	labels := make([]string, 0, len(step.Changes))
	for _, change := range step.Changes {
		label, _, _ := sides(change)
		labels = append(labels, visible.Line(label))
	}
	return strings.Join(labels, ", ")
}

// sides gives the label of the field and both values.
func sides(c deploy.Change) (label, old, want string) {
	old, want = valueWords(c.Path, c.Old), valueWords(c.Path, c.New)
	if match := isReference().FindStringSubmatch(c.Path); match != nil {
		return referenceSides(strings.ToLower(match[1]), match[2], old, want)
	}
	label = pathWords(c.Path)
	if old == want || old != "" && want != "" {
		return label, old, want
	}
	// The key of the element is its value, or begins it: "+ constraint: node.role==manager".
	if one, _, _ := strings.Cut(old+want, " ("); strings.HasSuffix(label, " "+one) {
		label = strings.TrimSuffix(label, " "+one)
	}
	return label, old, want
}

// isReference matches a path that holds the name of a secret or config.
var isReference = lazyregexp.New(`^TaskTemplate\.ContainerSpec\.(Secret|Config)s\[(.*)\](?:\.(?:Secret|Config)Name)?$`)

// referenceSides gives only the versions if both sides are versions of one object. The
// label contains the place in the container unless it follows from the name.
func referenceSides(kind, target, old, want string) (label, from, to string) {
	oldKey, oldVersion := versioned(old)
	newKey, newVersion := versioned(want)
	key := newKey
	if want == "" {
		key = oldKey
	}
	place := " at " + target
	if target == key || target == "/"+key || strings.HasSuffix(key, "_"+target) || strings.HasPrefix(target, "runtime:") {
		place = ""
	}
	if oldKey == newKey && oldVersion != "" && newVersion != "" {
		return kind + " " + newKey + place, oldVersion, newVersion
	}
	return kind + place, old, want
}

// versioned splits <key>.<version>. A version starts with a digit or is a digest of the
// content.
func versioned(name string) (key, version string) {
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || !isVersion().MatchString(name[dot+1:]) {
		return name, ""
	}
	return name[:dot], name[dot+1:]
}

var isVersion = lazyregexp.New(`^([0-9][0-9A-Za-z_-]*|[0-9a-f]{8,})$`)

// composeName gives the name for the beginning of a path. A name with a blank at its end
// is followed by the key of an element, and then by a field of the element if elements
// have fields.
type composeName struct {
	path, name string
	fields     bool
}

func composeNames() []composeName {
	return []composeName{
		{"Mode.Replicated.Replicas", "replicas", false},
		{"Mode.Replicated", "mode replicated", false},
		{"Mode.Global", "mode global", false},
		{"Mode.", "mode ", false},
		{"Labels[", "label ", false},
		{"EndpointSpec.Mode", "endpoint_mode", false},
		{"EndpointSpec.Ports[", "port ", true},
		{"EndpointSpec", "endpoint", false},
		{"Networks[", "network ", true},
		{"TaskTemplate.Networks[", "network ", true},
		{"TaskTemplate.ForceUpdate", "forced updates", false},
		{"TaskTemplate.LogDriver.Name", "logging driver", false},
		{"TaskTemplate.LogDriver.Options[", "logging option ", false},
		{"TaskTemplate.LogDriver", "logging", false},
		{"TaskTemplate.Placement.Constraints[", "constraint ", false},
		{"TaskTemplate.Placement.Preferences[", "placement preference ", true},
		{"TaskTemplate.Placement.MaxReplicas", "max_replicas_per_node", false},
		{"TaskTemplate.Resources.Limits.NanoCPUs", "limit of cpus", false},
		{"TaskTemplate.Resources.Limits.MemoryBytes", "limit of memory", false},
		{"TaskTemplate.Resources.Limits.Pids", "limit of pids", false},
		{"TaskTemplate.Resources.Reservations.NanoCPUs", "reservation of cpus", false},
		{"TaskTemplate.Resources.Reservations.MemoryBytes", "reservation of memory", false},
		{"TaskTemplate.Resources.Reservations.GenericResources[", "generic resource ", true},
		{"TaskTemplate.ContainerSpec.Env[", "env ", false},
		{"TaskTemplate.ContainerSpec.Labels[", "container label ", false},
		{"TaskTemplate.ContainerSpec.Command", "entrypoint", false},
		{"TaskTemplate.ContainerSpec.Args", "command", false},
		{"TaskTemplate.ContainerSpec.Dir", "working_dir", false},
		{"TaskTemplate.ContainerSpec.OpenStdin", "stdin_open", false},
		{"TaskTemplate.ContainerSpec.Groups[", "group_add ", false},
		{"TaskTemplate.ContainerSpec.Hosts", "extra_hosts", false},
		{"TaskTemplate.ContainerSpec.Mounts[", "mount ", true},
		{"TaskTemplate.ContainerSpec.Secrets[", "secret ", true},
		{"TaskTemplate.ContainerSpec.Configs[", "config ", true},
		{"TaskTemplate.ContainerSpec.Ulimits[", "ulimit ", true},
		{"TaskTemplate.ContainerSpec.Sysctls[", "sysctl ", false},
		{"TaskTemplate.ContainerSpec.CapabilityAdd[", "cap_add ", false},
		{"TaskTemplate.ContainerSpec.CapabilityDrop[", "cap_drop ", false},
		{"TaskTemplate.ContainerSpec.DNSConfig.Nameservers", "dns", false},
		{"TaskTemplate.ContainerSpec.DNSConfig.Search", "dns_search", false},
		{"TaskTemplate.ContainerSpec.DNSConfig.Options", "dns_opt", false},
		{"TaskTemplate.ContainerSpec.DNSConfig", "dns settings", false},
		{"TaskTemplate.ContainerSpec.Privileges.CredentialSpec", "credential_spec", false},
		{"TaskTemplate.ContainerSpec.", "", false},
		{"TaskTemplate.", "", false},
	}
}

// pathWords names a field as compose files do. A field without a name in the list is named
// by its path in lower case.
func pathWords(path string) string {
	for _, one := range composeNames() {
		rest, ok := strings.CutPrefix(path, one.path)
		if !ok {
			continue
		}
		if !strings.HasSuffix(one.path, "[") {
			return one.name + lower(rest)
		}
		key, field := strings.TrimSuffix(rest, "]"), ""
		if one.fields {
			key, field, _ = strings.Cut(rest, "].")
			key = strings.TrimSuffix(key, "]")
		}
		if field != "" {
			field = " " + lower(field)
		}
		return one.name + key + field
	}
	return lower(path)
}

// lower turns UpdateConfig.MaxFailureRatio into update_config.max_failure_ratio. It does not
// change keys in brackets.
func lower(path string) string {
	var b strings.Builder
	inKey, before := false, rune(0)
	letters := []rune(path)
	for i, r := range letters {
		switch r {
		case '[':
			inKey = true
		case ']':
			inKey = false
		}
		if !inKey && unicode.IsUpper(r) {
			endOfAcronym := unicode.IsUpper(before) && i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if unicode.IsLower(before) || endOfAcronym {
				b.WriteByte('_')
			}
			r = unicode.ToLower(r)
			before = 'A'
		} else {
			before = r
		}
		b.WriteRune(r)
	}
	return b.String()
}

// valueWords writes a value for people: with short digests, CPUs and sizes.
func valueWords(path, value string) string {
	switch {
	case strings.HasSuffix(path, "ContainerSpec.Image"):
		return shortDigest(value)
	case strings.HasSuffix(path, ".NanoCPUs"):
		if nano, err := strconv.ParseFloat(value, 64); err == nil {
			return strconv.FormatFloat(nano/1e9, 'f', -1, 64)
		}
	case strings.HasSuffix(path, "Bytes"):
		if count, err := strconv.ParseInt(value, 10, 64); err == nil {
			return deploy.Size(count)
		}
	}
	return value
}

// shortDigest shortens the digest of an image reference.
func shortDigest(image string) string {
	const shown = 12
	name, digest, ok := strings.Cut(image, "@sha256:")
	if !ok || len(digest) <= shown {
		return image
	}
	return name + "@sha256:" + digest[:shown] + "…"
}
