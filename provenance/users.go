package provenance

import (
	"fmt"
	"maps"
	"path"
	"slices"
)

// composeFile is what a compose file says of secrets.
type composeFile struct {
	Secrets  map[string]definition
	Services map[string]service
	Include  []any
}

// service is a service of a compose file.
type service struct {
	Secrets []any // keys, or mappings with a source
	Extends any   // a service of the file, or a mapping with a service and a file
}

// use adds the services of a compose file to the users of their secrets.
func (f *files) use(n *node, name, dir string) {
	for of := range decode[composeFile](f, name).Services {
		for _, key := range f.usedBy(n, place{name, dir, of}, 0) {
			n.users[key] = append(n.users[key], n.stack+"_"+of)
		}
	}
}

// place is a service in a compose file, whose relative paths start from dir.
type place struct{ file, dir, service string }

// usedBy gives the secrets of a service, and of those that it extends.
func (f *files) usedBy(n *node, at place, depth int) (keys []string) {
	of := decode[composeFile](f, at.file).Services[at.service]
	for _, one := range of.Secrets {
		if long, is := one.(map[string]any); is {
			one = long["source"]
		}
		keys = append(keys, fmt.Sprint(one))
	}
	if of.Extends == nil || depth == maxIncludes {
		return keys
	}
	long, is := of.Extends.(map[string]any)
	if !is {
		long = map[string]any{"service": of.Extends}
	}
	base := place{at.file, at.dir, fmt.Sprint(long["service"])}
	if file, is := long["file"].(string); is {
		base.file = path.Join(at.dir, n.replace(file))
		base.dir = path.Dir(base.file)
	}
	return append(keys, f.usedBy(n, base, depth+1)...)
}

// setUsers sets the users of each secret, sorted.
func (n *node) setUsers() {
	for key, one := range n.secrets {
		users := map[string]bool{}
		for _, user := range n.users[key] {
			users[user] = true
		}
		one.users = slices.Sorted(maps.Keys(users))
	}
}
