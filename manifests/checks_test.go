package manifests_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/manifests"
)

// checked returns a config.yml with a database and these entries of deployment.checks.
func checked(entries ...string) string {
	return plainConfig + "database: {host: db.internal, name: coin, user: coin}\ndeployment:\n  checks:\n    - " + strings.Join(entries, "\n    - ") + "\n"
}

func TestChecks(t *testing.T) {
	config, err := loadConfig("sandbox", checked(
		"{name: health, http: {url: 'https://{{public_ip}}:5443/health', status: 200, json_path: 'a.b[0]', json_equals: ok}}",
		"{name: login, retries: 0, interval: 1s, timeout: 2s, nodes: [node3], http: {url: 'http://a/{{node}}', method: POST, body: '{\"p\":\"{{secret.p.w}}\"}', status: [200, 201], json_path: token, save_as: token}}",
		"{name: me, nodes: [node3], http: {url: 'http://a/me?t={{token}}', headers: {Authorization: 'Bearer {{token}}', X: '{{secret.x}}'}, token_secret: api}}",
		"{name: db, sql: {query: 'SELECT max(id) FROM m', equals: '{{env.EXPECTED}}', password_secret: db_password}}",
	))
	if err != nil {
		t.Fatal(err)
	}
	checks, keys := (&manifests.Node{Name: "node3", Config: config}).Checks()
	want := manifests.Check{
		Name: "health", Retries: 3, Interval: 5 * time.Second, Timeout: 10 * time.Second,
		HTTP: manifests.HTTPCheck{URL: "https://{{public_ip}}:5443/health", Method: "GET", Status: []int{200}, JSONPath: "a.b[0]", JSONEquals: []string{"ok"}},
		SQL:  manifests.SQLCheck{SSLMode: "prefer"},
	}
	if diff := cmp.Diff(want, checks[0]); diff != "" {
		t.Errorf("check (-want +got):\n%s", diff)
	}
	if keys[3] != "deployment.checks[3]" || len(checks) != 4 {
		t.Errorf("keys %v", keys)
	}
	if others, _ := (&manifests.Node{Name: "node4", Config: config}).Checks(); len(others) != 2 {
		t.Errorf("node4 has %d checks, want 2", len(others))
	}
	var secrets []string
	for _, check := range checks {
		secrets = append(secrets, check.Secrets()...)
	}
	if diff := cmp.Diff([]string{"p.w", "api", "x", "db_password"}, secrets); diff != "" {
		t.Error(diff)
	}
}

// TestCheckFaults expects all faults of each list of checks.
func TestCheckFaults(t *testing.T) {
	h := func(rest string) string { return "{name: a, http: {url: 'http://a', " + rest + "}}" }
	tests := map[string]struct {
		config string
		want   []string
	}{
		"no kind":         {checked("{name: a}"), []string{`:11:7: the check "a" has no kind|write exactly one of`}},
		"two kinds":       {checked("{name: a, http: {url: 'http://a'}, tcp: {address: 'a:1'}}"), []string{`the check "a" has http and tcp|write exactly one of`}},
		"no url":          {checked("{name: a, http: {}}"), []string{`:11:23: required key "url" is missing in deployment.checks[0].http|`}},
		"login in url":    {checked("{name: a, http: {url: 'http://u:p@a'}}"), []string{`want a URL such as https://{{public_ip}}:5443/health, without a login`}},
		"no port":         {checked("{name: a, tcp: {address: localhost}}"), []string{`want an address with a port`}},
		"twice":           {checked("{name: a, tcp: {address: 'a:1'}}", "{name: a, tcp: {address: 'b:1'}}"), []string{`:12:14: deployment.checks lists "a" twice, first on line 11|rename`}},
		"status":          {checked(h("status: ok")), []string{`http.status: want a whole number from 100 to 599, got "ok"|`}},
		"status list":     {checked(h("status: [20]")), []string{`http.status[0]: want a whole number from 100 to 599, got 20|`}},
		"status mapping":  {checked(h("status: {a: 1}")), []string{`http.status: want a list, got a mapping|`}},
		"equals a number": {checked(h("json_path: a, json_equals: 1")), []string{`http.json_equals: want a text, got 1|`}},
		"no path":         {checked(h("json_equals: ok")), []string{`has json_equals or save_as, but no json_path|add json_path`}},
		"bad path":        {checked(h("json_path: 'a..b'")), []string{`want a path such as data.items[0].id`}},
		"unknown name":    {checked("{name: a, http: {url: 'http://{{publicip}}/'}}"), []string{`{{publicip}} is not defined|did you mean "public_ip"?`}},
		"broken name":     {checked("{name: a, http: {url: 'http://{{public_ip/'}}"), []string{`http.url: {{ is not followed by a name and }}|write {{name}}`}},
		"secret in url":   {checked("{name: a, http: {url: 'http://a/{{secret.x}}'}}"), []string{`{{secret.x}}: a secret is not allowed in http.url|send it in http.headers`}},
		"secret in exec":  {checked("{name: a, exec: {service: web, command: [x, '{{secret.x}}']}}"), []string{`:11:51: {{secret.x}}: a secret is not allowed in exec.command[1]|`}},
		"secret in query": {checked("{name: a, sql: {query: 'SELECT {{secret.x}}'}}"), []string{`a secret is not allowed in sql.query|`}},
		"saved later":     {checked(h("headers: {A: '{{id}}'}"), "{name: b, http: {url: 'http://b', json_path: a, save_as: id}}"), []string{`{{id}} is not defined|`}},
		"saved elsewhere": {checked("{name: b, nodes: [node3], http: {url: 'http://b', json_path: a, save_as: id}}", h("body: '{{id}}'")), []string{`{{id}} is not defined|`}},
		"saved and sql":   {checked("{name: b, http: {url: 'http://b', json_path: a, save_as: id}}", "{name: c, sql: {query: 'SELECT {{id}}'}}"), []string{`{{id}}: a saved value is not allowed in sql.query|`}},
		"saved twice":     {checked("{name: b, http: {url: 'http://b', json_path: a, save_as: id}}", "{name: c, http: {url: 'http://b', json_path: a, save_as: id}}"), []string{`the checks "b" and "c" both save {{id}}|`}},
		"saved as a fact": {checked(h("json_path: a, save_as: node")), []string{`{{node}} is a fact of the node|`}},
		"both tokens":     {checked(h("token_secret: a, token_file: b")), []string{`has both token_secret and token_file|remove`}},
		"file outside":    {checked(h("token_file: ../age.key")), []string{`want the name of a file in the agent's check_dir`}},
		"bad header":      {checked(h("headers: {'a b': c}")), []string{`"a b" is not a valid header name|`}},
		"tls without":     {checked(h("tls: {server_name: a}")), []string{`has tls, but its url is not https|`}},
		"two trusts":      {checked("{name: a, http: {url: 'https://a', tls: {ca_file: a, insecure_skip_verify: true}}}"), []string{`has both insecure_skip_verify and ca_file|`}},
		"unknown node":    {checked("{name: a, nodes: [node4], tcp: {address: 'a:1'}}"), []string{`.nodes lists "node4", which is not a node in config.yml|did you mean "node3"?`}},
		"no command":      {checked("{name: a, exec: {service: web, command: []}}"), []string{`exec.command is empty|`}},
		"unseen tls":      {checked("{name: a, sql: {query: q, tls: {ca_file: a}}}"), []string{`has tls, which sslmode: prefer ignores|add sslmode: verify-full`}},
		"skipped tls":     {checked("{name: a, sql: {query: q, sslmode: verify-full, tls: {insecure_skip_verify: true}}}"), []string{`insecure_skip_verify does not apply to databases|write sslmode: require`}},
		"no database":     {plainConfig + "deployment: {checks: [{name: a, sql: {query: q}}]}\n", []string{`does not set the database's host|add host here, or database.host`, `database's name|`, `database's user|`}},
		"retries":         {checked("{name: a, retries: -1, tcp: {address: 'a:1'}}"), []string{`retries: want a whole number from 0 to 1000, got -1|`}},
		"degradation":     {plainConfig + "deployment: {performance: {max_degradation: -1}}\n", []string{`want a whole number from 0 to 10000|`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { wantFaults(t, test.config, test.want) })
	}
}

// TestCheckFacts loads a node whose checks need facts that it has, or does not have.
func TestCheckFacts(t *testing.T) {
	const url = "{name: a, http: {url: 'http://{{public_ip}}/{{release}}/{{env.X}}/{{stack}}'}}"
	load := func(address, nodeEnv string) (*manifests.Node, error) {
		dir := "environments/sandbox/nodes/node3/"
		config := strings.Replace(checked(url), "stack: sbxapp3", "stack: sbxapp3"+address, 1)
		return manifests.Load(fstest.MapFS{
			"environments/sandbox/config.yml": {Data: []byte(config)},
			dir + "node.env":                  {Data: []byte(nodeEnv)},
			dir + "docker-compose.yml":        {Data: []byte("services: {}\n")},
		}, "sandbox", "node3")
	}
	_, err := load("", "")
	text := fmt.Sprint(err)
	for _, want := range []string{":11:29: the check \"a\" needs {{public_ip}}, which node node3 does not have", "{{release}}", "{{env.X}}"} {
		if !strings.Contains(text, want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	node, err := load("\n    public_ip: 'fd00::1'", "TAG=7\nX=y\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"environment": "sandbox", "node": "node3", "stack": "sbxapp3", "release": "7", "public_ip": "[fd00::1]", "env.X": "y", "env.TAG": "7",
		"env.ENVIRONMENT": "sandbox", "env.NODE_NAME": "node3", "env.STACK_NAME": "sbxapp3", "env.PUBLIC_NODE_IP": "fd00::1",
	}
	got := node.Facts()
	delete(got, "env.PROJECT_SETTINGS")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}
