package main

import (
	"fmt"
	"strings"

	"coin.internal/coin-agent/internal/sopstest"
)

// The images of the small repository. The third is nowhere.
const (
	imageA  = "coin-test/app:1"
	imageB  = "coin-test/app:2"
	missing = "coin-test/app:nowhere"
)

const node3 = "environments/sandbox/nodes/node3/"

// canaries are the secret values of the small repository: found anywhere
// outside the engine, they are a leak.
var canaries = map[string]string{
	"db_access": "version: 1\ncanary-db-access-7c1f0f5be1",
	"web_auth":  "version: 1\ncanary-web-auth-0a4b61dd92",
	"db_next":   "version: 2\ncanary-db-access-again-55f0",
}

// With onHost in a compose file its services are in the network of the node itself, with LISTEN_PORTS: 0 each on a
// free port. A task elsewhere costs the engine a network, and a run of its own large program that moves the task
// there. inBridge is for services that are asked at their port: it costs half of an overlay. quickly has services
// ready in a moment, without a virtual IP.
const (
	onHost   = "networks: {default: {external: true, name: host}}\n"
	inBridge = "networks: {default: {external: true, name: bridge}}\n"
	quickly  = "deploy: {endpoint_mode: dnsrr, update_config: {monitor: 300ms}}"
)

// smallRepo is a repository with one node: a web service with a health check, a
// worker, a migration, a cron service, and two secrets.
func (l *lab) smallRepo() map[string]string {
	l.swarm.Image(l.t, imageA, imageB)
	return map[string]string{
		"environments/sandbox/config.yml": fmt.Sprintf(`environment: {name: sandbox, type: non-production}
nodes:
  - {name: node3, context: ctx3, stack: %s}
  - {name: node4, context: ctx4, stack: other}
deployment:
  health_check: {timeout: 3m}
`, l.stack),
		"environments/sandbox/common/project.env":             "LOG_LEVEL=debug\n",
		"environments/sandbox/nodes/node4/docker-compose.yml": "services: {}\n",
		node3 + "node.env":             l.nodeEnv("1", ""),
		node3 + "docker-compose.yml":   smallCompose,
		node3 + "secrets.enc":          sopstest.YAML(l.t, l.key, map[string]string{"db_access": canaries["db_access"], "web_auth": canaries["web_auth"]}),
		node3 + "secrets.override.enc": sopstest.YAML(l.t, l.key, map[string]string{"SV_db_access": "1"}),
	}
}

// nodeEnv is node.env with the default tag, and more lines.
func (l *lab) nodeEnv(tag, more string) string {
	return fmt.Sprintf("STACK=%s\nexport TAG=%s\n%s\n", l.stack, tag, more)
}

// smallCompose has what costs the engine programs only where a test needs it: a health check for
// one service, no virtual IPs, and the node's own network. Stacks with their own networks are in
// the tests of the example, the fleet and the page.
const smallCompose = `
x-common: &common
  networks: [inner]
  stop_grace_period: 5s
  env_file: $PROJECT_SETTINGS
services:
  web:
    <<: *common
    image: coin-test/app:$TAG_WEB
    environment: {SERVICE_NAME: web, APP_RELEASE: $TAG_WEB}
    healthcheck: {test: ["CMD", "/app", "health"], interval: 2s, timeout: 20s, retries: 3}
    secrets: [db_access, web_auth]
    deploy:
      endpoint_mode: dnsrr
      update_config: {order: stop-first, monitor: 300ms}
  worker:
    <<: *common
    image: coin-test/app:$TAG_WORKER
    environment: {SERVICE_NAME: worker, APP_RELEASE: $TAG_WORKER}
    secrets: [web_auth]
    deploy:
      endpoint_mode: dnsrr
      update_config: {monitor: 300ms}
  migrate:
    <<: *common
    image: coin-test/app:$TAG_MIGRATE
    command: /job.sh migrate
    environment: {APP_RELEASE: $TAG_MIGRATE}
    secrets: [db_access]
    deploy: {endpoint_mode: dnsrr, restart_policy: {condition: on-failure, max_attempts: 1, delay: 1s}}
  cron_service:
    <<: *common
    image: coin-test/app:$TAG_CRON_SERVICE
    environment: {SERVICE_NAME: cron_service}
    deploy: {endpoint_mode: dnsrr, update_config: {monitor: 300ms}}
networks:
  inner: {external: true, name: bridge}
secrets:
  db_access:
    file: ./secrets/db_access
    name: ${STACK}_db_access.$SV_db_access
  web_auth:
    file: ./secrets/web_auth
    name: ${STACK}_web_auth.$SV_web_auth
`

// without drops a top-level service from the small compose file.
func without(compose, service string) string {
	start := strings.Index(compose, "\n  "+service+":\n") + 1
	rest := compose[start+1:]
	end := len(rest)
	for _, mark := range []string{"\n  ", "\nnetworks:"} {
		for offset := 0; ; {
			i := strings.Index(rest[offset:], mark)
			if i < 0 {
				break
			}
			at := offset + i
			if mark != "\n  " || rest[at+3] != ' ' {
				end = min(end, at)
				break
			}
			offset = at + 1
		}
	}
	return compose[:start] + rest[end+1:]
}
