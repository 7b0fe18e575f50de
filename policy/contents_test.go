package policy_test

import (
	"testing"

	"coin.internal/coin-agent/policy"
)

const config = `environment: {name: sandbox, type: non-production}
nodes: [{name: node3, context: c, stack: app, public_ip: 10.1.2.3}]
`

// TestStackAndEnvironment judges what config.yml says of itself.
func TestStackAndEnvironment(t *testing.T) {
	for rules, want := range map[string][]string{
		"stacks: [app]":                            nil,
		"stacks: [a*]":                             nil,
		"stacks: [other]":                          {"stacks||config.yml:2:42|the stack's name is app"},
		"stacks: []":                               {"stacks||config.yml:2:42|the stack's name is app"},
		"environment: {name: sandbox}":             nil,
		"environment: {type: non-production}":      nil,
		"environment: {type: production}":          {"environment||config.yml:1:36|the environment's type is non-production"},
		"environment: {name: production}":          {"environment||config.yml:1:21|the environment's name is sandbox"},
		"{strict: true, environment: {name: '' }}": nil,
	} {
		judged(t, rules, rendered(t, service("    command: x")), want...)
	}
}

func TestImages(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	tests := []struct{ name, rules, image, want string }{
		{"registry", "registries: [harbor.example.com]", "nginx", "registries|web|2|runs the image nginx:latest"},
		{"registry, listed", "registries: [harbor.example.com]", "harbor.example.com/coin/core:1", ""},
		{"project", "registries: [harbor.example.com/coin]", "harbor.example.com/coin/core:1", ""},
		{"other project", "registries: [harbor.example.com/coin]", "harbor.example.com/coins/core:1", "registries|web|2|runs the image harbor.example.com/coins/core:1"},
		{"registry in a name", "registries: [harbor.example.com]", "evil.example.com/harbor.example.com/core:1", "registries|web|2|runs the image evil.example.com/harbor.example.com/core:1"},
		{"registry with a port", "registries: [harbor.example.com]", "harbor.example.com:5000/coin/core:1", "registries|web|2|runs the image harbor.example.com:5000/coin/core:1"},
		{"Docker Hub", "registries: [docker.io]", "nginx", ""},
		{"only an ID", "registries: ['*']", digest[8:], "registries|web|2|runs the image " + digest[8:]},
		{"name", "images: [docker.io/library/redis]", "nginx", "images|web|2|runs the image nginx:latest"},
		{"name, listed", "images: [docker.io/library/*]", "nginx:1", ""},
		{"tag", "images: ['docker.io/library/nginx:2025-*']", "nginx:1", "images|web|2|runs the image nginx:1"},
		{"tag, listed", "images: ['*:2025-*']", "nginx:2025-12-15", ""},
		{"tag beside a digest", "images: ['*:2025-*']", "nginx:2025-1" + digest, "images|web|2|runs the image nginx:2025-1" + digest},
		{"tag and digest, listed", "images: ['*/nginx:2025-*@sha256:0123*']", "nginx:2025-1" + digest, ""},
		{"other digest", "images: ['*/nginx:2025-*@sha256:4567*']", "nginx:2025-1" + digest, "images|web|2|runs the image nginx:2025-1" + digest},
		{"tag where a digest is listed", "images: ['*/nginx:2025-*@*']", "nginx:2025-1", "images|web|2|runs the image nginx:2025-1"},
		{"digest of a name", "images: ['*/nginx']", "nginx:2025-1" + digest, ""},
		{"digest", "images: {digest: required}", "nginx:1", "images|web|2|runs the image nginx:1, which has no digest"},
		{"digest, given", "images: {digest: required, allow: ['*/nginx']}", "nginx:1" + digest, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{composeFile: "services:\n  web: {image: '" + test.image + "'}\n"}
			if test.want == "" {
				judged(t, test.rules, rendered(t, files))
			} else {
				judged(t, test.rules, rendered(t, files), test.want)
			}
		})
	}
	running := rendered(t, map[string]string{composeFile: "services:\n  web: {image: 'nginx:1'}\n"})
	running.Stack.Services["app_web"].TaskTemplate.ContainerSpec.Image = "nginx:1" + digest // as a sync resolves it
	if refused := read(t, "images: ['*/nginx:1']").Judge(running); len(refused) > 0 {
		t.Errorf("the digest that the agent put in the place of the tag: %v", verdicts(refused))
	}
	if suggested := policy.Suggest(running); suggested.Images.Digest {
		t.Error("a digest is demanded that the files do not have")
	}
	files := map[string]string{composeFile: "services:\n  web:\n    image: $REGISTRY/web\n", nodeEnv: "A=1\nREGISTRY=evil.example.com\n"}
	judged(t, "registries: [docker.io]", rendered(t, files), "registries|web|3|runs the image evil.example.com/web:latest (REGISTRY is set in "+nodeEnv+":2:1)")
}

func TestChecks(t *testing.T) {
	const checks = config + `database: {host: db.internal, name: coin, user: coin}
deployment:
  checks:
    - {name: front, http: {url: "https://{{public_ip}}:5443/health", token_file: front.token}}
    - {name: port, tcp: {address: "[2001:db8::1]:443"}}
    - {name: query, sql: {query: SELECT 1, host: Other.Internal}}
    - {name: inside, exec: {service: web, command: [x]}}
`
	files := service("    command: x")
	files[configFile] = checks
	at := []string{
		"checks||config.yml:6:33|the check front connects to 10.1.2.3:5443", "checks||config.yml:7:35|the check port connects to [2001:db8::1]:443",
		"checks||config.yml:8:50|the check query connects to Other.Internal:5432",
	}
	sent := []string{"checks||config.yml:6:82|the check front sends the file front.token of check_dir to 10.1.2.3:5443"}
	for rules, want := range map[string][]string{
		"stacks: [app]":                     nil,
		"strict: true":                      at,
		"checks: {hosts: []}":               at,
		"checks: {hosts: [10.1.2.3]}":       at[1:],
		"checks: {hosts: ['10.1.2.3:443']}": at,
		"checks: {hosts: ['*']}":            nil,
		"checks: {hosts: ['10.*:5443', '2001:db8::1', '*.internal:5432']}": nil,
		"checks: {hosts: [10.1.0.0/16, '2001:db8::/32', other.internal]}":  nil,
		"checks: {hosts: [10.2.0.0/16, '2001:db8::/32', other.internal]}":  at[:1],
		"checks: {credentials: {other.token: []}}":                         sent,
		"checks: {credentials: {front.token: ['10.1.2.3:443']}}":           sent,
		"checks: {credentials: {front.token: [10.1.2.3]}}":                 nil,
	} {
		judged(t, rules, rendered(t, files), want...)
	}
	p := read(t, "checks: {credentials: {front.token: [10.1.2.3, 'db.internal:5432']}}")
	for _, test := range []struct {
		file, address string
		want          bool
	}{
		{"front.token", "10.1.2.3:5443", true},
		{"front.token", "DB.internal.:5432", true},
		{"front.token", "db.internal:5433", false},
		{"front.token", "evil.example.com:443", false},
		{"other.token", "10.1.2.3:5443", false},
		{"front.token", "", false},
	} {
		if got, said := p.MaySend(test.file, test.address); got != test.want || !said {
			t.Errorf("%s to %s: %t, %t", test.file, test.address, got, said)
		}
	}
	for _, key := range []string{"secret.front", "saved.front"} {
		if _, said := p.MaySend(key, "10.1.2.3:1"); said {
			t.Errorf("a rule for a file says something of %s", key)
		}
	}
	if _, said := read(t, "stacks: []").MaySend("front.token", "10.1.2.3:1"); said {
		t.Error("a policy without a rule for credentials says something of them")
	}
	if may, said := read(t, "strict: true").MaySend("front.token", "10.1.2.3:1"); may || !said {
		t.Error("a strict policy without a rule lets credentials go anywhere")
	}
	var none *policy.Policy
	if !none.MayConnect("x:1") || none.Judge(rendered(t, files)) != nil {
		t.Error("no policy refuses something")
	}
}

func TestLimits(t *testing.T) {
	limited := func(replicas, resources string) map[string]string {
		return service("    deploy: {replicas: " + replicas + ",\n    resources: {limits: {" + resources + "}}}")
	}
	tests := []struct {
		name, rules string
		files       map[string]string
		want        []string
	}{
		{"absent", "strict: true", limited("500", ""), nil},
		{"replicas", "limits: {replicas: 3}", limited("4", ""), []string{"limits|web|3|has 4 replicas"}},
		{"replicas, at it", "limits: {replicas: 3}", limited("3", ""), nil},
		{"all replicas", "limits: {total: {replicas: 3}}", limited("4", ""), []string{"limits|||the services have 4 replicas, and the limit is 3"}},
		{"memory", "limits: {memory: 1G}", limited("1", "memory: 1025M"), []string{"limits|web|4|may use 1025M memory"}},
		{"memory, at it", "limits: {memory: 1G}", limited("1", "memory: 1024M"), nil},
		{"memory without a limit", "limits: {memory: 1G}", limited("1", "cpus: '1'"), []string{"limits|web|4|has no limit for memory"}},
		{"memory without anything", "limits: {total: {memory: 1G}}", service("    command: x"), []string{"limits|web|2|has no limit for memory"}},
		{"all memory", "limits: {total: {memory: 1G}}", limited("3", "memory: 512M"), []string{"limits|||the services may use 1536M memory together, and the limit is 1G"}},
		{"processes", "limits: {pids: 100}", limited("1", "pids: 101"), []string{"limits|web|4|may use 101 pids"}},
		{"processes, at it", "limits: {pids: 100}", limited("1", "pids: 100"), nil},
		{"processes without a limit", "limits: {pids: 100}", limited("1", "cpus: '1'"), []string{"limits|web|4|has no limit for pids"}},
		{"all processes", "limits: {total: {pids: 100}}", limited("3", "pids: 50"), []string{"limits|||the services may use 150 pids together, and the limit is 100"}},
		{"CPUs", "limits: {cpus: 0.5}", limited("1", "cpus: '0.75'"), []string{"limits|web|4|may use 0.75 cpus"}},
		{"all CPUs", "limits: {total: {cpus: 1.5}}", limited("2", "cpus: '0.75'"), nil},
		{"global", "limits: {replicas: 1}", service("    deploy: {mode: global}"), nil},
		{"job", "limits: {replicas: 1}", service("    deploy: {mode: replicated-job, replicas: 2}"), []string{"limits|web|3|has 2 replicas"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { judged(t, test.rules, rendered(t, test.files), test.want...) })
	}
	huge := rendered(t, limited("8589934592", "memory: 2G")) // its product is more than 64 bits
	if refused := read(t, "limits: {total: {memory: 1G}}").Judge(huge); len(refused) != 1 {
		t.Errorf("more memory than a number has: %v", verdicts(refused))
	}
}
