package paritytest

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// mounts makes a service's volumes with different targets.
func (g *grammar) mounts() *yaml.Node {
	node := g.list()
	for _, target := range g.some("/data", "/srv/logs/", "/var/run/docker.sock", "/tmp/a b", "/z") {
		one := g.mount(target)
		node.Content = append(node.Content, one)
		if one.Kind == yaml.MappingNode && one.Style == 0 {
			node.Style = 0
		}
	}
	return node
}

func (g *grammar) mount(target string) *yaml.Node {
	names := g.defined["volumes"]
	if g.chance(50) {
		source := g.one("/srv", "./rel", "/srv/a b", "./", "/", "./a/../b")
		if len(names) > 0 && g.chance(60) {
			source = names[g.pick(len(names))]
		}
		short := source + ":" + target
		if g.chance(10) {
			short = target // an anonymous volume
		} else if g.chance(50) {
			short += ":" + g.one("ro", "rw", "nocopy", "ro,nocopy", "rprivate", "z", "cached", "ro,rshared")
		}
		return g.text(short)
	}
	kind := g.one("volume", "bind", "tmpfs", "volume", "bind", "npipe", "cluster")
	parts := []part{
		{"type", 100, of(kind)},
		{"target", 98, of(target)},
		{"read_only", 30, truth},
		{"consistency", 10, of("cached", "default")},
	}
	switch kind {
	case "volume":
		if len(names) > 0 {
			parts = append(parts, part{"source", 80, of(names...)})
		}
		parts = append(parts, part{"volume", 40, func(g *grammar) *yaml.Node {
			return g.fresh([]part{{"nocopy", 80, truth}, {"subpath", 10, of("sub/path")}})
		}})
	case "bind":
		parts = append(parts, part{"source", 98, of("/srv", "./rel", "./a/../b", "rel", "/srv/")}, part{"bind", 40, func(g *grammar) *yaml.Node {
			return g.fresh([]part{{"propagation", 80, of("rprivate", "rshared")}})
		}})
	case "tmpfs":
		parts = append(parts, part{"tmpfs", 50, func(g *grammar) *yaml.Node {
			return g.fresh([]part{{"size", 80, func(g *grammar) *yaml.Node { return plain(g.one("1048576", "0", "1000")) }}})
		}})
	case "npipe":
		parts = append(parts, part{"source", 98, of(`\\.\pipe\docker`)})
	case "cluster":
		parts = append(parts, part{"source", 98, of(append(slices.Clone(names), "group:g")...)})
	}
	return g.fresh(parts)
}

func (g *grammar) ports() *yaml.Node {
	node := g.list()
	for i, target := range g.some("80", "443", "53", "9090") {
		published := []string{"8080", "8443", "5353", "9091"}[i]
		switch g.pick(4) {
		case 0:
			node.Content = append(node.Content, g.quoted(g.variable(g.one(target, published+":"+target, published+":"+target+"/udp", published+":"+target+"/tcp"))))
		case 1:
			node.Content = append(node.Content, g.quoted(g.one("3000-3002:4000-4002", "127.0.0.1:8001:80", "6000-6001", "0.0.0.0:8002:82", "7000-7001:70/udp", "[::1]:8003:83", target+"/sctp")))
		case 2:
			node.Content = append(node.Content, plain(target))
		case 3:
			long := g.fresh([]part{
				{"target", 98, number(target)},
				{"published", 80, number(published)},
				{"protocol", 50, of("tcp", "udp", "sctp")},
				{"mode", 50, of("ingress", "host")},
			})
			node.Content = append(node.Content, long)
			if long.Style == 0 {
				node.Style = 0
			}
		}
	}
	return distinct(node)
}

// distinct removes duplicate scalars, which both schemas refuse.
func distinct(list *yaml.Node) *yaml.Node {
	seen := map[string]bool{}
	list.Content = slices.DeleteFunc(list.Content, func(one *yaml.Node) bool {
		again := one.Kind == yaml.ScalarNode && seen[one.Value]
		seen[one.Value] = true
		return again
	})
	return list
}
