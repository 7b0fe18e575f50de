package paritytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// words lists values for keys that accept any text.
func (g *grammar) words() string {
	return g.one("plain", "two words", "", "it's", "a=b", "x: y", "# none", "a #b", "$HOME", "a$$b", "ünï€",
		" led", "trailed ", "yes", "null", "~", "1.0", "0x1F", "012", "1e3", "2026-01-02", "*star", "&and",
		"{brace}", "[x]", "a\nb", "a\n", "tab\tx", "100%", "@at", "`tick`", `back\slash`, `"quoted"`, "-", "a;b && c | d", "${", "true", "off")
}

// value is a text or another scalar.
func (g *grammar) value() *yaml.Node {
	if g.chance(70) {
		return g.text(g.words())
	}
	return plain(g.one("null", "1", "0", "-5", "0.5", "1e3", "1e21", "012", "0o14", "0x1F", ".5", "+3", "1_000", "1.0",
		"12345678901234567890", "0.1e-7", "1234567.0", "123456789.25", "~", "2026-01-02", "2026-01-02T03:04:05Z", "1:30", "yes", "-0", "0b11"))
}

func (g *grammar) labels() *yaml.Node {
	return g.listOrDict(g.some("one", "two", "a.b/c-d", "traefik.http.routers.x.rule"), func(string) *yaml.Node { return g.value() })
}

func (g *grammar) options() *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode, Style: g.flow()}
	for _, name := range g.some("opt", "com.example.opt", "size") {
		value := g.text(g.words())
		if g.chance(20) {
			value = plain(g.one("1", "0.5", "1500"))
		}
		add(node, name, value)
	}
	return node
}

// object makes a network, volume, secret or config under its key.
func (g *grammar) object(section, key string) *yaml.Node {
	if g.chance(20) {
		return g.external(section, key)
	}
	switch section {
	case "networks":
		return g.network(key)
	case "volumes":
		return g.volume(key)
	}
	parts := []part{
		{"name", 40, func(g *grammar) *yaml.Node {
			return g.quoted(key + "." + g.one("1", "$SV_"+key, "${SV_"+key+"}", "$TAG"))
		}},
		{"labels", 30, (*grammar).labels},
		{"template_driver", 10, func(g *grammar) *yaml.Node { return g.text("golang") }},
		{"x-note", 5, (*grammar).value},
	}
	if section == "secrets" && g.chance(10) {
		parts = append(parts, part{"driver", 100, func(g *grammar) *yaml.Node { return g.text("vault") }}, part{"driver_opts", 50, (*grammar).options})
	} else {
		file := g.one("", "./") + section + "/" + key
		parts = append(parts, part{"file", 100, func(g *grammar) *yaml.Node { return g.text(file) }})
	}
	return g.fresh(parts)
}

// fresh makes a mapping without references to earlier ones.
func (g *grammar) fresh(parts []part) *yaml.Node {
	made := g.made
	g.made = map[string][]*yaml.Node{}
	defer func() { g.made = made }()
	return g.mapping(parts)
}

func (g *grammar) external(section, key string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode, Style: g.flow()}
	switch g.pick(4) {
	case 0:
		add(node, "external", plain("true"))
	case 1:
		add(node, "external", g.cast("true"))
		add(node, "name", g.text("outside-"+key))
	case 2:
		named := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		add(named, "name", g.text("outside-"+key))
		add(node, "external", named)
	case 3:
		if section == "networks" {
			add(node, "name", g.text(g.one("host", "bridge", "none")))
		}
		add(node, "external", plain("true"))
	}
	return node
}

func (g *grammar) network(key string) *yaml.Node {
	if g.chance(10) {
		return plain("null")
	}
	ipam := []part{
		{"driver", 50, func(g *grammar) *yaml.Node { return g.text("default") }},
		{"config", 60, func(g *grammar) *yaml.Node {
			node := g.list()
			for _, subnet := range g.some("10.1.0.0/16", "10.2.0.0/24", "fd00::/64") {
				subnet := part{"subnet", 100, func(g *grammar) *yaml.Node { return g.text(subnet) }}
				node.Content = append(node.Content, g.fresh([]part{subnet}))
			}
			node.Style = 0
			return node
		}},
	}
	return g.fresh([]part{
		{"name", 30, func(g *grammar) *yaml.Node { return g.text("net-" + key) }},
		{"driver", 40, func(g *grammar) *yaml.Node { return g.text(g.one("overlay", "macvlan", "")) }},
		{"driver_opts", 30, (*grammar).options},
		{"ipam", 30, func(g *grammar) *yaml.Node { return g.fresh(ipam) }},
		{"internal", 20, func(g *grammar) *yaml.Node { return g.cast(g.one("true", "false")) }},
		{"attachable", 30, func(g *grammar) *yaml.Node { return g.cast(g.one("true", "false")) }},
		{"labels", 30, (*grammar).labels},
		{"x-note", 5, (*grammar).value},
	})
}

func (g *grammar) volume(key string) *yaml.Node {
	if g.chance(15) {
		return plain("null")
	}
	return g.fresh([]part{
		{"name", 30, func(g *grammar) *yaml.Node { return g.text("vol-" + key) }},
		{"driver", 30, func(g *grammar) *yaml.Node { return g.text(g.one("local", "nfs")) }},
		{"driver_opts", 30, (*grammar).options},
		{"labels", 30, (*grammar).labels},
		{"x-note", 5, (*grammar).value},
	})
}

// objects lists the keys of each section.
var objects = map[string][]string{
	"networks": {"front", "back", "default", "out_1", "h-2"},
	"volumes":  {"data", "logs", "cache-1"},
	"secrets":  {"key", "cert", "token_1"},
	"configs":  {"conf", "motd", "c_1"},
}

var sections = []string{"networks", "volumes", "secrets", "configs"}

// files writes a node's folder.
func (g *grammar) files() map[string]string {
	g.defined = map[string][]string{}
	g.env = map[string]string{"TAG": "1.27", "SET": "value", "EMPTY": "", "TAG_APP": "2", "SV_key": "7", "TAG_NONE": ""}
	files := map[string]string{}
	count := 1 + g.pick(3)
	version := g.one("3.13", "3.13", "3.13", "3.13", "3", "", "3.12", "3.13", "3.13", "3.8")
	plan := make([]map[string][]string, count)
	for i := range plan { // first the definitions, so that every file can refer to them
		plan[i] = map[string][]string{}
		for _, section := range sections {
			if g.chance(60) {
				plan[i][section] = g.some(objects[section]...)
				g.defined[section] = append(g.defined[section], plan[i][section]...)
			}
		}
	}
	for i := range plan {
		name := "docker-compose.yml"
		if i > 0 {
			name = fmt.Sprintf("docker-compose-%d.yml", i)
		}
		files[name] = g.composeFile(version, plan[i])
	}
	for _, name := range []string{"a.env", "b.env", "sub/c.env"} {
		files[name] = g.envFile()
	}
	for _, section := range []string{"secrets", "configs"} {
		for _, key := range objects[section] {
			files[section+"/"+key] = "content of " + key
		}
	}
	var node strings.Builder
	for _, name := range slices.Sorted(maps.Keys(g.env)) {
		fmt.Fprintf(&node, "%s%s='%s'\n", g.one("export ", ""), name, g.env[name])
	}
	files["node.env"] = node.String()
	return files
}

func (g *grammar) composeFile(version string, defined map[string][]string) string {
	g.made, g.anchors = map[string][]*yaml.Node{}, 0
	file := &yaml.Node{Kind: yaml.MappingNode}
	if version != "" {
		add(file, "version", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: version, Style: yaml.DoubleQuotedStyle})
	}
	var common []*yaml.Node
	for i := range g.pick(3) {
		template := g.service(false)
		add(file, fmt.Sprintf("x-common%d", i), template)
		common = append(common, template)
	}
	last := g.chance(50)
	if !last {
		g.addObjects(file, defined)
	}
	services := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range g.some("app", "web-1", "api_v2") {
		service := g.service(!slices.Contains(g.services, name))
		g.services = append(g.services, name)
		if len(common) > 0 && g.chance(50) {
			merged := g.alias(common[g.pick(len(common))])
			if len(common) > 1 && g.chance(40) {
				merged = &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{g.alias(common[0]), g.alias(common[1])}}
			}
			service.Content = append([]*yaml.Node{merge(), merged}, service.Content...)
		}
		if g.chance(4) {
			g.odd(service)
		}
		add(services, name, service)
	}
	if len(services.Content) > 0 {
		add(file, "services", services)
	}
	if last {
		g.addObjects(file, defined)
	}
	if g.chance(4) {
		g.oddFile(file)
	}
	return encode(file)
}

func (g *grammar) addObjects(file *yaml.Node, defined map[string][]string) {
	for _, section := range sections {
		if len(defined[section]) == 0 {
			continue
		}
		node := &yaml.Node{Kind: yaml.MappingNode, Style: g.flow()}
		for _, key := range defined[section] {
			add(node, key, g.object(section, key))
		}
		add(file, section, node)
	}
}

// envFile writes the lines of an env_file.
func (g *grammar) envFile() string {
	var lines strings.Builder
	for range g.pick(6) {
		lines.WriteString(g.one("FILE=1", "A=from file", "B=\"kept quotes\"", "C='x' # kept", "# comment", "", "  INDENTED=1",
			"SET=", "EMPTY=", "D=$SET", "E=a=b", "SET", "UNSET", "EMPTY", "A=", "TRAILING=x ", "F=ünï") + g.one("\n", "\n", "\r\n"))
	}
	return lines.String()
}
