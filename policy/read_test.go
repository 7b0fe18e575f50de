package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
)

// everything has each rule once, as agent.yml and `agent policy show` have it.
const everything = `policy:
  strict: true
  stacks: [app]
  environment: {name: production, type: production}
  bind_mounts:
    - /srv/coin
    - /etc/ssl:ro
    - /srv/data:ro,only
  engine_socket: [cron_service]
  capabilities:
    web: [NET_BIND_SERVICE]
  privileges:
    db: [sysctl net.core.somaxconn]
  host_network: []
  external:
    networks: [proxy]
    volumes: []
  volume_drivers: [local type=nfs]
  network_drivers: [macvlan]
  secret_drivers: [vault]
  published_ports: ["443", 8000-8010, 53/udp/host, any]
  checks:
    hosts: ['*.internal:5432']
    credentials:
      harbor.token: [harbor.example.com]
  registries: [harbor.example.com/coin]
  images:
    allow: [harbor.example.com/coin/*]
    digest: required
  placement:
    '*': [node.role==worker]
  limits:
    replicas: 5
    memory: 2G
    cpus: "1.5"
    total: {replicas: 50, memory: 1536M}
`

func TestReadAndWrite(t *testing.T) {
	rules, err := policy.ReadFile("agent.yml", []byte("node: node3\n"+everything))
	if err != nil {
		t.Fatal(err)
	}
	text, err := rules.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(everything, text); diff != "" {
		t.Error(diff)
	}
	sent, err := json.Marshal(rules) // as `agent policy show` gets it from the daemon
	if err != nil {
		t.Fatal(err)
	}
	var received policy.Policy
	if err := json.Unmarshal(sent, &received); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rules, &received); diff != "" {
		t.Errorf("over the socket: %s", diff)
	}
	word, err := policy.ReadFile("agent.yml", []byte("policy: strict"))
	if err != nil || !cmp.Equal(word, &policy.Policy{Strict: true}) {
		t.Errorf("%+v, %v", word, err)
	}
}

func TestReadFaults(t *testing.T) {
	tests := []struct{ text, want string }{
		{"policy: lax", "p.yml:1:9: policy is not a mapping"},
		{"polices: strict", "p.yml: the key policy is missing"},
		{"policy: [", "p.yml: not valid YAML: line 1: did not find expected node content"},
		{"", "p.yml: the key policy is missing"},
		{"policy: {bindmounts: []}", "p.yml:1:10: unknown key policy.bindmounts"},
		{"policy:\n  stacks: [a]\n  stacks: [b]", "p.yml:3:3: policy.stacks is set twice"},
		{"policy:\n  strict: maybe", "p.yml:2:11: policy.strict is neither true nor false"},
		{"policy:\n  stacks: app", "p.yml:2:11: policy.stacks is not a list"},
		{"policy:\n  stacks:", "p.yml:2:10: policy.stacks is not a list"},
		{"policy:\n  stacks: [a, {b: c}]", "p.yml:2:15: an item of policy.stacks is not a text"},
		{"policy:\n  bind_mounts: [srv]", `p.yml:2:17: "srv" is not an absolute path in its plain form`},
		{"policy:\n  bind_mounts: [/srv/../etc]", `p.yml:2:17: "/srv/../etc" is not an absolute path in its plain form`},
		{"policy:\n  bind_mounts: ['/srv:rw']", `p.yml:2:17: "rw" is not an option of a path`},
		{"policy:\n  bind_mounts: ['/srv:']", `p.yml:2:17: "" is not an option of a path`},
		{"policy:\n  capabilities: [NET_ADMIN]", "p.yml:2:17: policy.capabilities is not a mapping"},
		{"policy:\n  capabilities: {web: NET_ADMIN}", "p.yml:2:23: policy.capabilities.web is not a list"},
		{"policy:\n  capabilities:\n    web: []\n    web: []", "p.yml:4:5: policy.capabilities.web is set twice"},
		{"policy:\n  external: {network: []}", "p.yml:2:14: unknown key policy.external.network"},
		{"policy:\n  published_ports: [0]", `p.yml:2:21: "0" is neither a port nor a range of ports`},
		{"policy:\n  published_ports: [80-70]", `p.yml:2:21: "80-70" is neither a port nor a range of ports`},
		{"policy:\n  published_ports: [65536]", `p.yml:2:21: "65536" is neither a port nor a range of ports`},
		{"policy:\n  published_ports: [80/icmp]", `p.yml:2:21: "icmp" is neither a protocol nor a mode of a port`},
		{"policy:\n  environment: {type: prod}", `p.yml:2:23: "prod" is not a type of environment`},
		{"policy:\n  images: {digest: yes}", `p.yml:2:20: policy.images.digest is "yes"`},
		{"policy:\n  checks: {credentials: {../x: []}}", "p.yml:2:32: policy.checks.credentials.../x is not the name of a file"},
		{"policy:\n  limits: {memory: much}", `p.yml:2:20: "much" is not an amount of memory`},
		{"policy:\n  limits: {cpus: -1}", `p.yml:2:18: "-1" is not a number of CPUs`},
		{"policy:\n  limits: {cpus: NaN}", `p.yml:2:18: "NaN" is not a number of CPUs`},
		{"policy:\n  limits: {replicas: 1.5}", `p.yml:2:22: "1.5" is not a whole number`},
		{"policy:\n  limits: {disk: 1}", "p.yml:2:12: unknown key policy.limits.disk"},
	}
	for _, test := range tests {
		_, err := policy.ReadFile("p.yml", []byte(test.text))
		if err == nil || err.Error() != test.want {
			t.Errorf("%q: got %v, want %s", test.text, err, test.want)
			continue
		}
		if fault.Hint(err) == "" {
			t.Errorf("%q: no hint for %v", test.text, err)
		}
	}
	_, err := policy.ReadFile("p.yml", []byte("policy:\n  a: 1\n  b: 2"))
	if len(fault.All(err)) != 2 {
		t.Errorf("not all faults at once: %v", err)
	}
}

func TestReload(t *testing.T) {
	first, second := read(t, "stacks: [a]"), read(t, "stacks: [b]")
	current := policy.NewCurrent(first)
	current.Reload(nil, fault.New(fault.Place{File: "agent.yml", Line: 3}, "mend it", "wrong"))
	if state := current.State(); state.Rules != first || state.Error != "agent.yml:3: wrong" || state.Hint != "mend it" {
		t.Errorf("after a failed reload: %+v", state)
	}
	current.Reload(second, nil)
	if state := current.State(); current.Policy() != second || state.Error != "" {
		t.Errorf("after a good one: %+v", state)
	}
	current.Reload(nil, nil)
	if current.Policy() != nil {
		t.Error("a policy that was removed is in force")
	}
}

// FuzzRead reads what it writes.
func FuzzRead(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte("policy: strict"))
	f.Add([]byte("policy: {floor: {approval: {required: true}}, signers: {ssh: /a}}"))
	f.Add([]byte("policy: {limits: {total: {cpus: 1e-9}}, published_ports: [any/host]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := policy.ReadFile("p.yml", data)
		if err != nil {
			for _, one := range fault.All(err) {
				if !strings.HasPrefix(one.Error(), "p.yml") {
					t.Errorf("no place: %v", one)
				}
			}
			return
		}
		text, err := rules.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.ReadFile("p.yml", []byte(text))
		if err != nil {
			t.Fatalf("%v of\n%s", err, text)
		}
		if twice, err := again.YAML(); err != nil || twice != text {
			t.Errorf("%v: %s", err, cmp.Diff(text, twice))
		}
	})
}
