package policy_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/policy"
)

const example = "../examples/coin-gitops"

// exampleRepo reads the example repository into memory.
func exampleRepo(t *testing.T) fstest.MapFS {
	t.Helper()
	files, repository := fstest.MapFS{}, os.DirFS(example)
	err := fs.WalkDir(repository, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(repository, name)
		files[name] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// subject renders a node of the example, without keys.
func subject(t *testing.T, files fs.FS, environment, node string) policy.Subject {
	t.Helper()
	state, err := desired.Open(t.Context(), files, desired.Options{Environment: environment, Node: node, Sealed: true})
	if err != nil {
		t.Fatal(err)
	}
	stack, err := state.Render(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return policy.Subject{Stack: stack, Node: state.Node}
}

// TestExampleNodes suggests a policy for each node of the example: it allows that node as it
// is, and no other node.
func TestExampleNodes(t *testing.T) {
	files := exampleRepo(t)
	dirs, err := fs.Glob(files, "environments/*/nodes/*")
	if err != nil || len(dirs) < 8 {
		t.Fatalf("%v, %v", dirs, err)
	}
	subjects := map[string]policy.Subject{}
	for _, dir := range dirs {
		parts := strings.Split(dir, "/")
		subjects[dir] = subject(t, files, parts[1], parts[3])
	}
	for _, dir := range dirs {
		of := subjects[dir]
		text, err := policy.Suggest(of).YAML()
		if err != nil {
			t.Fatal(err)
		}
		rules, err := policy.ReadFile(dir, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if refused := rules.Judge(of); len(refused) > 0 {
			t.Errorf("%s: %v\n%s", dir, verdicts(refused), text)
		}
		for _, other := range dirs {
			if other != dir && len(rules.Judge(subjects[other])) == 0 {
				t.Errorf("the policy of %s allows %s", dir, other)
			}
		}
	}
}

// attack is one line that a commit changes or adds, and who refuses it.
type attack struct {
	name, file    string
	line, becomes string // becomes may have a line more
	rule, service string
	at            string // the text of the refused line
}

const node3 = "environments/sandbox/nodes/node3/"

// attacks are single lines in the sandbox of the example. They replace a line, or are added
// to one.
var attacks = []attack{
	{"root", node3 + "docker-compose.yml", "      - $DOCKER_SOCKET:/var/run/docker.sock", "      - $DOCKER_SOCKET:/var/run/docker.sock\n      - /:/host", "bind_mounts", "cron_service", "- /:/host # it starts its jobs as Swarm services"},
	{"socket", node3 + "docker-compose-testshop.yaml", "    networks:", "    volumes: [/var/run:/host]\n    networks:", "engine_socket", "testshop", "volumes: [/var/run:/host]"},
	{"capabilities", node3 + "docker-compose-testshop.yaml", "    networks:", "    cap_add: [ALL]\n    networks:", "capabilities", "testshop", "cap_add: [ALL]"},
	{"kernel parameter", node3 + "docker-compose-testshop.yaml", "    networks:", "    sysctls: {net.ipv4.ip_forward: 1}\n    networks:", "privileges", "testshop", "sysctls: {net.ipv4.ip_forward: 1}"},
	{"host network", node3 + "docker-compose.yml", "    driver: overlay", "    external: {name: host}", "host_network", "admin_api", "- issuing"},
	{"network of others", node3 + "docker-compose.yml", "    driver: overlay", "    external: {name: billing}", "external.networks", "admin_api", "issuing:"},
	{"secret of others", node3 + "docker-compose.yml", "    name: card_iv.$SV_card_iv", "    external: {name: billing_card_iv}", "external.secrets", "admin_api", "card_iv.txt:"},
	{"port", node3 + "docker-compose.yml", `      - "$PUBLIC_NODE_IP:5443:4443"`, `      - "22:4443"`, "published_ports", "front_nginx", `- "22:4443" # HTTPS`},
	{"registry", node3 + "node.env", `export REGISTRY_HOST="harbor.sandbox.coin.example"`, `export REGISTRY_HOST="evil.example.com"`, "registries", "admin_api", "image: $DOCKER_REGISTRY/core:$TAG_ADMIN_API"},
	{"image", node3 + "docker-compose-testshop.yaml", "    image: $DOCKER_REGISTRY/testshop:$TAG_TESTSHOP", "    image: $DOCKER_REGISTRY/miner:$TAG_TESTSHOP", "images", "testshop", "image: $DOCKER_REGISTRY/miner:$TAG_TESTSHOP"},
	{"replicas", node3 + "node.env", "export REPLICAS='1'", "export REPLICAS='500'", "limits", "admin_api", "replicas: $REPLICAS"},
	{"another stack", "environments/sandbox/config.yml", "    stack: sbxapp3", "    stack: monitoring", "stacks", "", "stack: monitoring"},
	{"placement", node3 + "docker-compose.yml", "          - node.role == manager", "          - node.role == worker", "placement", "cron_service", "constraints:"},
	{"database", "environments/sandbox/config.yml", "  host: postgres-sandbox.internal", "  host: db.evil.example.com", "checks", "", "host: db.evil.example.com"},
	{"type", "environments/sandbox/config.yml", "  type: non-production", "  type: production", "environment", "", "type: production"},
}

// TestExampleAttacks makes commits to the example of one line: each is refused by rule,
// service and line.
func TestExampleAttacks(t *testing.T) {
	rules := policy.Suggest(subject(t, exampleRepo(t), "sandbox", "node3"))
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			files := exampleRepo(t)
			before := string(files[attack.file].Data)
			if !strings.Contains(before, attack.line) {
				t.Fatalf("%s has no %q", attack.file, attack.line)
			}
			files[attack.file].Data = []byte(strings.Replace(before, attack.line, attack.becomes, 1))
			refused := rules.Judge(subject(t, files, "sandbox", "node3"))
			i := slices.IndexFunc(refused, func(r policy.Refusal) bool { return r.Rule == attack.rule && r.Service == attack.service })
			if i < 0 {
				t.Fatalf("not refused by %s: %v", attack.rule, verdicts(refused))
			}
			lines := strings.Split(string(files[refused[i].Place.File].Data), "\n")
			if got := strings.TrimSpace(lines[refused[i].Place.Line-1]); got != attack.at {
				t.Errorf("refused at %s, which is %q, not %q", refused[i].Place, got, attack.at)
			}
		})
	}
}
