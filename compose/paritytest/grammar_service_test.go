package paritytest

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// service makes a service. If image is set, the service has an image.
func (g *grammar) service(image bool) *yaml.Node {
	node := g.mapping(serviceParts())
	if _, has := lookup(node, "image"); image && !has {
		add(node, "image", g.image())
	}
	return node
}

func lookup(node *yaml.Node, key string) (*yaml.Node, bool) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1], true
		}
	}
	return nil, false
}

func (g *grammar) image() *yaml.Node {
	if g.chance(20) {
		return g.quoted(g.one("registry.invalid/app:$TAG", "registry.invalid/app:$TAG_APP", "app:${TAG_UNSET}", "app:${TAG:-1}", "app:v${TAG_NONE}", "$SET"))
	}
	return g.text(g.one("nginx", "nginx:1.27", "registry.invalid/a/b:1", "docker.io/library/nginx:1", "registry.invalid:5000/app",
		"registry.invalid/app@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"app:1@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
}

// of makes one of these texts.
func of(values ...string) func(*grammar) *yaml.Node {
	return func(g *grammar) *yaml.Node { return g.text(g.one(values...)) }
}

// listOf makes a list of some of these.
func listOf(values ...string) func(*grammar) *yaml.Node {
	return func(g *grammar) *yaml.Node {
		if g.chance(3) {
			return g.list()
		}
		return g.texts(g.some(values...)...)
	}
}

// oneOrSome makes one of these texts, or a list of some.
func oneOrSome(values ...string) func(*grammar) *yaml.Node {
	return func(g *grammar) *yaml.Node { return g.textOrTexts(g.some(values...)...) }
}

// number makes a number for a key in which docker accepts a variable.
func number(values ...string) func(*grammar) *yaml.Node {
	return func(g *grammar) *yaml.Node { return g.cast(g.one(values...)) }
}

// truth makes a boolean for a key in which docker accepts a variable.
func truth(g *grammar) *yaml.Node {
	if g.chance(10) {
		return g.quoted("${" + g.set(g.one("true", "false", "yes", "no", "on", "off", "True", "n", "Y")) + "}")
	}
	return g.truth()
}

var durations = of("10s", "1m30s", "0s", "1.5s", "500ms", "2h", "1h2m3s", "100us")

func serviceParts() []part {
	command := func(g *grammar) *yaml.Node {
		if g.chance(50) {
			return g.text(g.one("run", "run -a 'b c' \"d\"", "sh -c 'a; b && c'", `say \$HOME`, "a | b > c", "", "with `ticks`", "a\nb", "--opt=$HOME", "x # y"))
		}
		return g.texts(g.some("run", "-a", "b c", "$HOME", "", "it's", "--x=y", "1")...)
	}
	return []part{
		{"image", 60, (*grammar).image},
		{"deploy", 45, func(g *grammar) *yaml.Node { return g.mapping(deployParts()) }},
		{"environment", 35, (*grammar).environment},
		{"env_file", 20, oneOrSome("a.env", "./b.env", "sub/c.env", ".project.tmp.env")},
		{"command", 20, command},
		{"entrypoint", 15, command},
		{"configs", 20, func(g *grammar) *yaml.Node { return g.references("configs") }},
		{"secrets", 25, func(g *grammar) *yaml.Node { return g.references("secrets") }},
		{"networks", 30, (*grammar).serviceNetworks},
		{"volumes", 30, (*grammar).mounts},
		{"ports", 30, (*grammar).ports},
		{"healthcheck", 20, (*grammar).healthcheck},
		{"labels", 20, (*grammar).labels},
		{"logging", 15, func(g *grammar) *yaml.Node {
			return g.mapping([]part{{"driver", 70, of("json-file", "syslog", "none")}, {"options", 70, (*grammar).options}})
		}},
		{"cap_add", 8, listOf("NET_ADMIN", "cap_sys_time", "all", "CHOWN")},
		{"cap_drop", 8, listOf("ALL", "mknod", "CHOWN")},
		{"credential_spec", 4, (*grammar).credentials},
		{"dns", 8, oneOrSome("1.1.1.1", "8.8.8.8", "::1")},
		{"dns_search", 8, oneOrSome("example.org", "b.example.org")},
		{"extra_hosts", 10, (*grammar).hosts},
		{"hostname", 8, of("host", "{{.Node.Hostname}}", "h.example.org")},
		{"init", 8, (*grammar).truth},
		{"isolation", 4, of("default", "process", "hyperv")},
		{"read_only", 8, truth},
		{"stdin_open", 8, truth},
		{"tty", 8, truth},
		{"restart", 8, of("no", "always", "on-failure", "on-failure:3", "unless-stopped")},
		{"stop_grace_period", 10, durations},
		{"stop_signal", 8, of("SIGTERM", "9", "SIGUSR1")},
		{"sysctls", 8, func(g *grammar) *yaml.Node {
			return g.listOrDict(g.some("net.core.somaxconn", "kernel.shmmax"), func(string) *yaml.Node { return g.value() })
		}},
		{"ulimits", 10, (*grammar).ulimits},
		{"oom_score_adj", 4, number("100", "-500", "0")},
		{"user", 10, of("1000", "1000:1000", "nobody", "0")},
		{"working_dir", 8, of("/app", "/a b/c/")},
		{"x-own", 5, (*grammar).value},
		{"build", 3, func(g *grammar) *yaml.Node { return g.text(".") }},
		{"depends_on", 4, listOf("app", "web-1")},
		{"expose", 3, func(g *grammar) *yaml.Node { return g.list(g.text("80"), plain("81")) }},
		{"container_name", 3, of("mine")},
		{"devices", 2, listOf("/dev/fuse:/dev/fuse")},
		{"domainname", 2, of("example.org")},
		{"ipc", 2, of("host")},
		{"links", 2, listOf("app", "web-1:web")},
		{"external_links", 2, listOf("other:o")},
		{"mac_address", 2, of("02:42:ac:11:65:43")},
		{"network_mode", 2, of("bridge")},
		{"pid", 2, of("host")},
		{"privileged", 3, truth},
		{"security_opt", 2, listOf("label:disable", "no-new-privileges:true")},
		{"shm_size", 2, of("64M", "1g")},
		{"tmpfs", 3, oneOrSome("/run", "/tmp")},
		{"userns_mode", 2, of("host")},
		{"cgroup_parent", 2, of("m-executor-abcd")},
		{"cgroupns_mode", 1, of("private")},
	}
}

func deployParts() []part {
	update := func(g *grammar) *yaml.Node {
		return g.mapping([]part{
			{"parallelism", 50, number("0", "1", "5")},
			{"delay", 50, durations},
			{"monitor", 30, durations},
			{"failure_action", 40, of("continue", "pause", "rollback")},
			{"max_failure_ratio", 30, number("0.1", "0", "1", "0.25", ".5")},
			{"order", 50, of("start-first", "stop-first")},
		})
	}
	size := of("64M", "1g", "512k", "1gb", "1073741824", "1.5G", "100b", "64 MiB")
	cpus := of("0.5", "2", "0.001", "1.25", ".5")
	return []part{
		{"mode", 30, of("replicated", "replicated-job", "global", "global-job", "replicated", "replicated-job")},
		{"replicas", 15, number("1", "0", "3")},
		{"endpoint_mode", 20, of("vip", "dnsrr", "VIP")},
		{"labels", 25, (*grammar).labels},
		{"update_config", 25, update},
		{"rollback_config", 20, update},
		{"restart_policy", 30, func(g *grammar) *yaml.Node {
			return g.mapping([]part{
				{"condition", 60, of("none", "on-failure", "any")},
				{"delay", 40, durations},
				{"max_attempts", 40, number("0", "3")},
				{"window", 40, durations},
			})
		}},
		{"placement", 25, func(g *grammar) *yaml.Node {
			return g.mapping([]part{
				{"constraints", 60, listOf("node.role == manager", "node.labels.a!=b", "node.role == manager ")},
				{"preferences", 40, func(g *grammar) *yaml.Node {
					return g.list(g.mapping([]part{{"spread", 90, of("node.labels.zone", "node.labels.rack")}}))
				}},
				{"max_replicas_per_node", 30, number("1", "0", "4")},
			})
		}},
		{"resources", 30, func(g *grammar) *yaml.Node {
			return g.mapping([]part{
				{"limits", 60, func(g *grammar) *yaml.Node {
					return g.mapping([]part{{"cpus", 50, cpus}, {"memory", 50, size}, {"pids", 30, func(g *grammar) *yaml.Node { return plain(g.one("100", "0")) }}})
				}},
				{"reservations", 50, func(g *grammar) *yaml.Node {
					return g.mapping([]part{{"cpus", 50, cpus}, {"memory", 50, size}, {"generic_resources", 30, (*grammar).generic}})
				}},
			})
		}},
	}
}

func (g *grammar) generic() *yaml.Node {
	node := g.list()
	for _, kind := range g.some("gpu", "ssd") {
		discrete := g.mapping([]part{{"kind", 100, of(kind)}, {"value", 90, func(g *grammar) *yaml.Node { return plain(g.one("2", "1")) }}})
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{plain("discrete_resource_spec"), discrete}})
	}
	node.Style = 0
	return node
}

func (g *grammar) environment() *yaml.Node {
	return g.listOrDict(g.some("A", "B", "SET", "EMPTY", "UNSET", "FILE", "with-dash", "a.b"), func(string) *yaml.Node {
		if g.chance(10) {
			return plain("null")
		}
		return g.value()
	})
}

// references makes the secrets or configs of a service.
func (g *grammar) references(section string) *yaml.Node {
	node := g.list()
	if len(g.defined[section]) == 0 {
		return node
	}
	seen := map[string]bool{}
	for _, source := range g.some(g.defined[section]...) {
		if seen[source] { // docker sends the two in random order
			continue
		}
		seen[source] = true
		if g.chance(40) {
			node.Content = append(node.Content, g.text(source))
			continue
		}
		long := g.fresh([]part{
			{"source", 100, of(source)},
			{"target", 50, of("at-"+source, "/etc/"+source, "/etc/"+source+"/")},
			{"uid", 30, of("1000", "0")},
			{"gid", 30, of("1000")},
			{"mode", 40, func(g *grammar) *yaml.Node { return plain(g.one("0440", "288", "0o444", "0400", "0", "0777")) }},
		})
		node.Content = append(node.Content, long)
		if long.Style == 0 {
			node.Style = 0
		}
	}
	return node
}

func (g *grammar) serviceNetworks() *yaml.Node {
	names := append(g.defined["networks"], "default")
	seen := map[string]bool{}
	node := g.list()
	attached := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range g.some(names...) {
		if seen[name] {
			continue
		}
		seen[name] = true
		node.Content = append(node.Content, g.text(name))
		options := plain("null")
		if g.chance(60) {
			options = g.fresh([]part{{"aliases", 60, listOf("alias", "b.example")}, {"driver_opts", 40, (*grammar).options}})
		}
		add(attached, name, options)
	}
	if g.chance(50) {
		return attached
	}
	return node
}

func (g *grammar) healthcheck() *yaml.Node {
	if g.chance(15) {
		return g.mapping([]part{{"disable", 100, truth}})
	}
	return g.mapping([]part{
		{"test", 80, func(g *grammar) *yaml.Node {
			if g.chance(50) {
				return g.text(g.one("curl -f http://localhost || exit 1", "true", "a; b && $HOME"))
			}
			return g.texts(g.one("CMD", "CMD-SHELL"), g.one("/app health", "exit 0", "$X"))
		}},
		{"interval", 50, durations},
		{"timeout", 40, durations},
		{"start_period", 30, durations},
		{"start_interval", 20, durations},
		{"retries", 40, number("3", "0", "10")},
	})
}

func (g *grammar) credentials() *yaml.Node {
	if configs := g.defined["configs"]; len(configs) > 0 && g.chance(30) {
		return g.fresh([]part{{"config", 100, of(configs[0])}})
	}
	return g.mapping([]part{{g.one("file", "registry"), 100, of("spec.json", "key")}})
}

func (g *grammar) hosts() *yaml.Node {
	if g.chance(40) {
		return g.texts(g.some("a:1.1.1.1", "b=1.1.1.2", "c:::1", "d:[::1]", "a:1.1.1.3", "e=fd00::2")...)
	}
	node := &yaml.Node{Kind: yaml.MappingNode, Style: g.flow()}
	for i, name := range g.some("z.example", "b", "a") {
		add(node, name, g.text(g.one(fmt.Sprintf("1.1.1.%d", i), "::1", "[::1]")))
	}
	return node
}

func (g *grammar) ulimits() *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range g.some("nofile", "nproc", "core") {
		if g.chance(50) {
			add(node, name, g.cast(g.one("1024", "0", "65535")))
			continue
		}
		add(node, name, g.fresh([]part{{"soft", 100, number("1", "1024")}, {"hard", 100, number("2048", "-1")}}))
	}
	return node
}
