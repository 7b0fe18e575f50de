package compose_test

import (
	"fmt"
	"testing/fstest"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Render makes the specs of a stack from a node's files.
func ExampleRender() {
	dir := "environments/sandbox/nodes/node3/"
	repository := fstest.MapFS{
		"environments/sandbox/config.yml": {Data: []byte(`
environment: {name: sandbox, type: non-production}
nodes:
  - {name: node3, context: manager-3, stack: shop}
`)},
		"environments/sandbox/common/project.env": {Data: []byte("LOG_LEVEL=debug\n")},
		dir + "node.env": {Data: []byte("TAG=2026-01-13\nREPLICAS=2\n")},
		dir + "docker-compose.yml": {Data: []byte(`
services:
  web:
    image: registry.example/web:$TAG_WEB
    env_file: $PROJECT_SETTINGS
    deploy: {replicas: $REPLICAS}
    depends_on: [db]
`)},
	}
	node, err := manifests.Load(repository, "sandbox", "node3")
	if err != nil {
		fmt.Println(err)
		return
	}
	stack, err := compose.Render(node, &secrets.Set{}, compose.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	web := stack.Services["shop_web"]
	fmt.Println(web.TaskTemplate.ContainerSpec.Image, *web.Mode.Replicated.Replicas, web.TaskTemplate.ContainerSpec.Env)
	fmt.Println(web.Labels[compose.LabelOwner])
	fmt.Println(stack.Warnings[0].Message)
	// Output:
	// registry.example/web:2026-01-13 2 [LOG_LEVEL=debug]
	// sandbox/node3
	// service web: depends_on has no effect: Swarm starts services in any order
}
