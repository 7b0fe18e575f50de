package manifests_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/manifests"
)

const connectedConfig = `environment: {name: sandbox, type: production}
base: {registry: Harbor.example.com:8443/coin/release}
nodes:
  - {name: node3, context: c3, stack: s3, public_ip: 10.0.0.3}
  - {name: node4, context: c4, stack: s4, public_ip: '2001:db8::4'}
database: {host: db.example.com, name: coin, user: coin}
deployment:
  strategy: sequential
  gates: {vulnerabilities: {registry: 'https://scan.example.com', user_file: scan.user, token_file: scan.token}}
  migration_check: {enabled: true, password_file: db.password}
  checks:
`

// connections lists what a node connects to, one a line.
func connections(t *testing.T, checks string) string {
	t.Helper()
	node, err := manifests.Load(repository(map[string]string{
		"environments/sandbox/config.yml": connectedConfig + checks, nodeDir + "node.env": "TAG=2026-11-29-0123456789\nHOST=app.example.com\nPORT=8443\nODD=a@evil.example\nSERVICE=postgres\n",
		"environments/sandbox/nodes/node4/docker-compose.yml": "services: {}\n",
	}), "sandbox", "node3")
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, one := range node.Connections() {
		fmt.Fprintf(&lines, "%s: %s %t", one.Name, one.Address(), one.TLS)
		if one.Unknown != "" {
			fmt.Fprintf(&lines, " (%s)", one.Unknown)
		}
		for _, credential := range one.Credentials {
			fmt.Fprintf(&lines, ", %s at %s", credential, strings.TrimPrefix(credential.Key, "deployment."))
			if credential.From != "" {
				lines.WriteString(" from " + credential.From)
			}
		}
		lines.WriteString("\n")
	}
	return lines.String()
}

const otherConnections = `migration_check: postgresql://db.example.com:5432 true, the file db.password of check_dir at migration_check.password_file
gates.vulnerabilities: https://scan.example.com:443 true, the file scan.user of check_dir at gates.vulnerabilities.user_file, the file scan.token of check_dir at gates.vulnerabilities.token_file
gates.database: postgresql://db.example.com:5432 true
`

func TestConnections(t *testing.T) {
	for name, test := range map[string]struct{ checks, want string }{
		"http": {
			"    - {name: a, http: {url: 'https://{{env.HOST}}:{{env.PORT}}/x', token_file: f}}\n",
			"check a: https://app.example.com:8443 true, the file f of check_dir at checks[0].http.token_file\n",
		},
		"default ports": {
			"    - {name: a, http: {url: 'http://{{public_ip}}/'}}\n    - {name: b, http: {url: 'https://[::1]'}}\n    - {name: c, sql: {query: q, host: 10.0.0.9, sslmode: disable, password_secret: p}}\n",
			"check a: http://10.0.0.3:80 false\ncheck b: https://[::1]:443 true\ncheck c: postgresql://10.0.0.9:5432 false, the secret p at checks[2].sql.password_secret\n",
		},
		"secrets in texts": {
			"    - {name: a, http: {url: 'https://h', body: '{{secret.b}}{{secret.a}}{{node}}', headers: {X: '{{secret.b}}'}}}\n",
			"check a: https://h:443 true, the secret a at checks[0].http.body, the secret b at checks[0].http.body\n",
		},
		"saved": {
			"    - {name: a, http: {url: 'https://login.example', token_secret: s, json_path: t, save_as: t}}\n    - {name: b, http: {url: 'https://api.example/{{t}}'}}\n",
			"check a: https://login.example:443 true, the secret s at checks[0].http.token_secret\ncheck b: https://api.example:443 true, the saved value {{t}} at checks[1].http.url from https://login.example:443\n",
		},
		"a saved host": {
			"    - {name: a, http: {url: 'https://login.example', json_path: t, save_as: t}}\n    - {name: b, http: {url: 'https://{{t}}.evil.example/'}}\n",
			"check a: https://login.example:443 true\ncheck b: :// false (a saved value decides its host), the saved value {{t}} at checks[1].http.url from https://login.example:443\n",
		},
		"a login in a variable": {
			"    - {name: a, http: {url: 'https://db.example.com:{{env.ODD}}/', token_file: f}}\n",
			"check a: https://evil.example:443 true, the file f of check_dir at checks[0].http.token_file\n",
		},
		"tcp": {
			"    - {name: a, tcp: {address: '{{env.HOST}}:1'}}\n    - {name: b, tcp: {address: 'h:{{env.SERVICE}}'}}\n",
			"check a: tcp://app.example.com:1 false\ncheck b: :// false (its address is not valid)\n",
		},
		"in a container, and on another node": {
			"    - {name: a, exec: {service: s, command: [c]}}\n    - {name: b, nodes: [node4], tcp: {address: 'h:1'}}\n", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want+otherConnections, connections(t, test.checks)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCredentialHosts(t *testing.T) {
	config, err := manifests.LoadConfig(repository(map[string]string{"environments/sandbox/config.yml": connectedConfig + "    []\n"}), "sandbox")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"10.0.0.3": "nodes[0].public_ip", "2001:db8::4": "nodes[1].public_ip", "harbor.example.com": "base.registry",
		"scan.example.com": "deployment.gates.vulnerabilities.registry", "db.example.com": "database.host",
	}
	if diff := cmp.Diff(want, config.CredentialHosts()); diff != "" {
		t.Error(diff)
	}
}
