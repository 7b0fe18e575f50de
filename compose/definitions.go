package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Definition is a secret as the compose files of a node define it.
type Definition struct {
	Key      string
	Name     string // in Swarm; "" where the version in it is not known
	File     string // the path of its file, or ""
	External bool
	Variable string   // the SV_ variable in its name, or ""
	Version  string   // of Variable, else what the name has after the key
	Users    []string // the services that have it, by their names in Swarm, sorted
}

// Definitions gives the secrets of a node by their keys, without rendering it: what is wrong with
// its files is left out. It is for the files of old commits, never for applying them.
func Definitions(node *manifests.Node, set *secrets.Set) map[string]Definition {
	values := nodeVariables(node, set)
	files, _ := readFiles(node, values, nil)
	_ = versions{files: files, set: set}.decide(values)
	d := definitions{files: files, all: map[string]Definition{}, users: map[string]map[string]bool{}}
	for _, s := range files.main {
		d.add(s)
	}
	for key, one := range d.all {
		one.Users = slices.Sorted(maps.Keys(d.users[key]))
		d.all[key] = one
	}
	return d.all
}

// definitions collects what compose files say of secrets, by key.
type definitions struct {
	files *files
	all   map[string]Definition
	users map[string]map[string]bool
}

// add adds a compose file to those before it, after the files that it includes.
func (d *definitions) add(s *source) {
	for _, other := range slices.Concat(s.included...) {
		d.add(other)
	}
	for service := range mapping(s.plain["services"]) {
		for _, key := range s.secretsOf(service, 0) {
			if d.users[key] == nil {
				d.users[key] = map[string]bool{}
			}
			d.users[key][d.files.node.Stack+"_"+service] = true
		}
	}
	for key, body := range mapping(s.plain["secrets"]) {
		d.all[key] = d.define(s, key, mapping(body))
	}
}

// secretsOf gives the keys of a service's secrets, and of those of the services that it extends.
func (s *source) secretsOf(service string, depth int) (keys []string) {
	for _, one := range list(mapping(mapping(s.plain["services"])[service])["secrets"]) {
		if long := mapping(one); long != nil {
			one = long["source"]
		}
		keys = append(keys, fmt.Sprint(one))
	}
	if base, extends := s.bases[service]; extends && depth < maxFiles { // services may extend each other
		keys = append(keys, base.source.secretsOf(base.service, depth+1)...)
	}
	return keys
}

// define reads the definition of a secret in a file.
func (d *definitions) define(s *source, key string, body map[string]any) Definition {
	text := func(value any) string {
		if value == nil {
			return ""
		}
		return fmt.Sprint(value)
	}
	elsewhere, isLong := body["external"].(map[string]any)
	made := Definition{Key: key, External: isLong || text(body["external"]) == "true"}
	name := cmp.Or(text(body["name"]), text(elsewhere["name"]))
	if made.External {
		name = cmp.Or(name, key)
	}
	if file, err := Substitute(text(body["file"]), s.variables.lookup); err == nil && !made.External {
		made.File, _ = manifests.Resolve(s.dir, file, fault.Place{}) // the value of another file is not known
	}
	if name == "" {
		made.Name = d.files.node.Stack + "_" + key
		return made
	}
	made.Name, _ = Substitute(name, s.variables.lookup)
	if made.Variable, made.Version = VersionIn(name, s.variables.lookup); made.Variable == "" {
		made.Version = strings.TrimPrefix(strings.TrimPrefix(made.Name, key), ".")
		return made
	}
	derived, _ := s.variables.value(made.Variable)
	if d.files.auto[made.Variable] {
		made.Version = autoVersion
	}
	if made.Version == autoVersion && (derived == "" || derived == autoVersion) {
		made.Name = ""
	}
	return made
}
