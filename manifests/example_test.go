package manifests_test

import (
	"fmt"
	"io/fs"
	"testing/fstest"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

func ExampleLoad() {
	repository := fstest.MapFS{
		"environments/sandbox/config.yml": {Data: []byte(`
environment: {name: sandbox, type: non-production}
nodes:
  - {name: node3, context: wlt-sbx-dkapp3-ams, stack: sbxapp3}
`)},
		"environments/sandbox/nodes/node3/docker-compose.yml": {Data: []byte("services: {}\n")},
		"environments/sandbox/nodes/node3/node.env":           {Data: []byte("export TAG=2025-12-15-11eeef9e99\n")},
		"environments/sandbox/nodes/node3/project.env":        {Data: []byte("LOG_LEVEL=debug\nADMIN_API_PORT=10000\n")},
	}
	node, err := manifests.Load(repository, "sandbox", "node3")
	if err != nil {
		fmt.Println(err, fault.Hint(err))
		return
	}
	admin, err := fs.ReadFile(node.FS, node.Dir+"/.project.admin.tmp.env")
	fmt.Println(node.Stack, node.ComposeFiles)
	fmt.Println("TAG is", node.Variables["TAG"].Value, "as set at", node.Variables["TAG"].Place)
	fmt.Print(string(admin), err)

	// Output:
	// sbxapp3 [environments/sandbox/nodes/node3/docker-compose.yml]
	// TAG is 2025-12-15-11eeef9e99 as set at environments/sandbox/nodes/node3/node.env:1:8
	// API_PORT=10000
	// <nil>
}

func ExampleLoad_faults() {
	repository := fstest.MapFS{
		"environments/sandbox/config.yml": {Data: []byte(`
environment: {name: sandbox, type: non-production}
nodes:
  - {name: node3, context: wlt-sbx-dkapp3-ams, stack: sbxapp3}
deployment:
  health_check: {timout: 300s}
`)},
		"environments/sandbox/nodes/node3/node.env": {Data: []byte("TAG=`date`\n")},
	}
	_, err := manifests.Load(repository, "sandbox", "node3")
	for _, one := range fault.All(err) {
		fmt.Printf("error: %v\nhint: %s\n", one, fault.Hint(one))
	}

	// Output:
	// error: environments/sandbox/config.yml:6:18: unknown key "timout" in deployment.health_check
	// hint: did you mean "timeout"?
	// error: environments/sandbox/nodes/node3/docker-compose.yml: the node's compose file is missing
	// hint: add it, or list the node's compose files in nodes[0].compose_files of config.yml
	// error: environments/sandbox/nodes/node3/node.env:1:5: command substitution is not allowed: this file is not run
	// hint: write the value out, or use $NAME, ${NAME} or ${NAME:-default}
}
