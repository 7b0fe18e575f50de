package desired_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/secrets"
)

// twoStacks is a node with the stacks system and business, which have these compose files.
func twoStacks(system, business string, more map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{
		"environments/sandbox/config.yml": file(`environment: {name: sandbox, type: non-production}
nodes:
  - {name: node3, context: c, required_secrets: [token], stacks: [{name: system}, {name: business}]}
`),
		nodeDir + "node.env":                    file("TAG=1\n"),
		nodeDir + "project.env":                 file("A=1\n"),
		nodeDir + "system/docker-compose.yml":   file(system),
		nodeDir + "business/docker-compose.yml": file(business),
	}
	for name, content := range more {
		fsys[nodeDir+name] = file(content)
	}
	return fsys
}

// checkNode checks the node, and gives what is found as lines, by stack.
func checkNode(fsys fstest.MapFS) map[string][]string {
	results := desired.Check(fsys, "sandbox", "node3", desired.Judged{})
	desired.Dispute(fsys, "sandbox", results)
	found := map[string][]string{}
	for _, one := range results {
		found[one.Stack] = all(one.Sorted())
	}
	return found
}

// TestCheckStacks checks each stack of a node. What is wrong with a file that both read is found
// once, and a variable counts as mentioned if one of them does.
func TestCheckStacks(t *testing.T) {
	key := sopstest.NewKey(t)
	found := checkNode(twoStacks(
		"services:\n  router:\n    image: router:$TAG_ROUTER\n    labels: [x=$SV_router_tls]\n",
		"services:\n  web:\n    image: web:$TAG\n    imagee: x\n    labels: [x=$SV_client_key]\n",
		map[string]string{
			"node.env":                      "TAG=1\nTAG_ROUTER=2\nSV_web=3\nSV_clientt_key=2\nA B=1\n",
			"business/secrets.override.env": "SV_router_tls=3\n",
			"business/secrets.enc":          sopstest.YAML(t, key, map[string]string{"token": "x"}),
		}))
	expect(t, found["system"],
		"node.env:5:1: a command is not allowed here",
		"warning: node.env:3:1: nothing mentions SV_web | remove it",
	)
	expect(t, found["business"],
		"business/docker-compose.yml:4: services.web.imagee is not a key of Compose",
		"node.env:4:1: nothing mentions SV_clientt_key | did you mean SV_client_key?",
		"warning: business/secrets.override.env:1:1: nothing mentions SV_router_tls | remove it", // the other stack does not read it
	)
}

// TestDisputes has two stacks that claim the same objects and ports.
func TestDisputes(t *testing.T) {
	compose := `services:
  router:
    image: a:1
    networks: [front]
    ports:
      - {target: 80, published: 80, mode: host}
      - 53:53/udp
networks: {front: {name: front}}
volumes: {data: {name: data}, own: {}}
configs: {page: {name: page, content: x}}
`
	found := checkNode(twoStacks(compose, compose, map[string]string{"secrets.enc": sopstest.YAML(t, sopstest.NewKey(t), map[string]string{"token": "x"})}))
	const other = " is claimed by stack business of node node3, and by stack system of node node3 at system/docker-compose.yml"
	expect(t, found["business"],
		"business/docker-compose.yml:6: port 80/tcp"+other+":6 | publish another port",
		"business/docker-compose.yml:7: port 53/udp"+other+":7 | publish another port",
		"business/docker-compose.yml:8: network front"+other+":8 | define it in one of the stacks, and write external: true in the other",
		"business/docker-compose.yml:9: volume data"+other+":9 | define it in one of the stacks",
		"business/docker-compose.yml:10: config page"+other+":10 | define it in one of the stacks",
	)
	expect(t, found["system"])
}

// TestRenderAll renders the stacks of a node in order. Each file is decrypted once, the later
// stack has the network of the earlier one given, and its own secret comes before the node's.
func TestRenderAll(t *testing.T) {
	key := sopstest.NewKey(t)
	identity := key.File(t)
	calls := 0
	options := desired.Options{Environment: "sandbox", Node: "node3", Keys: func() (*secrets.Keyring, error) {
		calls++
		return secrets.LoadKeys(secrets.KeyFiles{Age: []string{identity}})
	}}
	fsys := twoStacks(
		"services: {router: {image: 'router:1', networks: [front], secrets: [tls]}}\nnetworks: {front: {name: front}}\nsecrets: {tls: {name: tls.1, file: secrets/tls}}\n",
		"services: {web: {image: 'web:$TAG', networks: [front]}}\nnetworks: {front: {name: front, external: true}}\nsecrets: {tls: {name: own.1, file: secrets/tls}}\n",
		map[string]string{
			"secrets.enc":          sopstest.YAML(t, key, map[string]string{"token": "x", "tls": "of the node"}),
			"business/secrets.enc": sopstest.YAML(t, key, map[string]string{"tls": "of the stack"}),
		})
	all, err := desired.RenderAll(t.Context(), fsys, options)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Stack.Name != "system" || calls != 1 {
		t.Fatalf("got %d stacks, the first %s, after %d readings of the keys", len(all), all[0].Stack.Name, calls)
	}
	system, business := all[0].Stack, all[1].Stack
	if diff := cmp.Diff(compose.Given{Networks: []string{"front"}, Secrets: []string{"tls.1"}}, business.Given); diff != "" || system.Given.Networks != nil {
		t.Errorf("given to business (-want +got), and %v to system:\n%s", system.Given, diff)
	}
	if got := string(system.Secrets[0].Value.Reveal()) + ", " + string(business.Secrets[0].Value.Reveal()); got != "of the node, of the stack" {
		t.Errorf("the secrets are %s", got)
	}
	options.Stack = "business"
	if one, err := desired.RenderAll(t.Context(), fsys, options); err != nil || len(one) != 1 || one[0].Stack.Name != "business" || len(one[0].Stack.Given.Networks) != 1 {
		t.Errorf("got %v, %v", one, err)
	}
	options.Stack = "platform"
	if _, err := desired.RenderAll(t.Context(), fsys, options); err == nil || !strings.Contains(err.Error(), `node node3 has no stack "platform"`) {
		t.Errorf("got %v", err)
	}
	options.Stack = ""
	fsys[nodeDir+"business/docker-compose.yml"] = fsys[nodeDir+"system/docker-compose.yml"]
	if _, err := desired.RenderAll(t.Context(), fsys, options); err == nil || !strings.Contains(err.Error(), "network front is claimed by stack business") {
		t.Errorf("got %v", err)
	}
}
