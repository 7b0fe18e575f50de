package paritytest

import "go.yaml.in/yaml/v3"

// odd adds a key to a service that one side or both refuse.
func (g *grammar) odd(service *yaml.Node) {
	oddities := []part{
		{"environment", 0, func(*grammar) *yaml.Node { return flow("ON", plain("true")) }},
		{"labels", 0, func(*grammar) *yaml.Node { return flow("off", plain("false")) }},
		{"ports", 0, func(g *grammar) *yaml.Node {
			return g.list(flow("target", plain("86"), "published", g.quoted(g.one("8600", "8600-8602"))))
		}},
		{"ports", 0, func(g *grammar) *yaml.Node { return g.list(plain("86.5")) }},
		{"deploy", 0, func(*grammar) *yaml.Node { return flow("resources", flow("limits", flow("cpus", plain("0.5")))) }},
		{"init", 0, func(g *grammar) *yaml.Node { return g.quoted("${" + g.set("true") + "}") }},
		{"profiles", 0, listOf("debug")},
		{"env_file", 0, func(g *grammar) *yaml.Node {
			return g.list(flow("path", plain(g.one("a.env", "none.env")), "required", plain(g.one("false", "true"))))
		}},
		{"env_file", 0, of("none.env", "../up.env")},
		{"volumes", 0, listOf("~/home:/home", "../up:/up", "undefined:/u", "/a:/same", "/b:/same")},
		{"volumes", 0, func(*grammar) *yaml.Node {
			return &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{flow("type", plain("bind"), "target", plain("/x"))}}
		}},
		{"user", 0, func(g *grammar) *yaml.Node {
			return g.quoted(g.one("${UNSET}", "$UNSET", "${UNSET?needed}", "${EMPTY:?needed}", "${SET:+alt}", "${", "$1"))
		}},
		{"secrets", 0, listOf("undefined")},
		{"secrets", 0, func(g *grammar) *yaml.Node { return g.list(flow("source", plain("key"), "mode", g.quoted("0440"))) }},
		{"configs", 0, listOf("undefined")},
		{"networks", 0, listOf("undefined")},
		{"networks", 0, func(g *grammar) *yaml.Node {
			return flow("default", flow(g.one("priority", "ipv4_address", "link_local_ips"), plain("1")))
		}},
		{"healthcheck", 0, func(*grammar) *yaml.Node { return flow("disable", plain("true"), "test", plain("x")) }},
		{"stop_grace_period", 0, of("10", "1d", "soon")},
		{"restart", 0, of("sometimes")},
		{"image", 0, of("Upper/Case", "", "a b")},
		{g.one("mem_limit", "cpus", "scale", "dns_opt", "group_add", "runtime", "pull_policy", "platform", "unknown", "cgroup"), 0, of("1")},
		{"command", 0, func(*grammar) *yaml.Node { return plain(g.one("null", "5", "true")) }},
		{"logging", 0, func(*grammar) *yaml.Node { return flow("options", flow("compress", plain("true"))) }},
		{"ulimits", 0, func(*grammar) *yaml.Node { return flow("nofile", flow("soft", plain("1"))) }},
	}
	one := oddities[g.pick(len(oddities))]
	for i := 0; i+1 < len(service.Content); i += 2 {
		if service.Content[i].Value == one.key {
			return
		}
	}
	add(service, one.key, one.make(g))
}

// oddFile adds a key to a compose file that one side or both refuse.
func (g *grammar) oddFile(file *yaml.Node) {
	has := func(key string) bool { _, has := lookup(file, key); return has }
	switch g.pick(6) {
	case 0:
		add(file, "name", g.quoted("project"))
	case 1:
		if version, has := lookup(file, "version"); has {
			version.Value = g.one("3.12", "2.4", "3.99", "1")
		}
	case 2:
		if !has("configs") {
			add(file, "configs", flow("inline", flow("content", g.quoted("some $$text"))))
		}
	case 3:
		if !has("configs") {
			add(file, "configs", flow("leak", flow("file", plain("./secrets/key"))))
		}
	case 4:
		if services, has := lookup(file, "services"); has {
			add(services, g.one("a.b", "-a", "ends-"), flow("image", plain("app")))
		}
	case 5:
		if services, has := lookup(file, "services"); has {
			add(services, "more", flow("extends", flow("service", plain("app"))))
		}
	}
}

// flow is a mapping of keys and nodes.
func flow(pairs ...any) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for i := 0; i+1 < len(pairs); i += 2 {
		add(node, pairs[i].(string), pairs[i+1].(*yaml.Node))
	}
	return node
}
