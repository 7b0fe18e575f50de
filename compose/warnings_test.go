package compose_test

import (
	"slices"
	"strings"
	"testing"
)

// TestWarnings renders files with settings that Swarm or docker's merge ignores. Each
// warning has a place, shows no value, and has a hint if there is something to do.
func TestWarnings(t *testing.T) {
	const nginx = "services:\n  app:\n    image: nginx:1\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"nothing to say": {
			map[string]string{
				"docker-compose.yml":   "version: \"3.8\"\nname: shop\n" + app + "    privileged: false\n    attach: true\n    devices: []\n    ipc: private\n    user: \"1\"\n    volumes: [\"vol:/v\"]\n    x-own: 1\nvolumes: {vol: {}}\nx-own: 1\n",
				"docker-compose-b.yml": "services:\n  app:\n    user: \"2\"\n    deploy: {replicas: 0}\n    labels: {a: \"\"}\n    volumes: [\"vol:/v\"]\n",
			}, nil,
		},
		"conditions": {
			map[string]string{"docker-compose.yml": app + "    depends_on:\n      a: {condition: service_healthy}\n      b: {condition: service_started}\n      c: {condition: service_completed_successfully}\n"},
			[]string{`docker-compose.yml:4: service app: depends_on has no effect: Swarm starts services in any order and does not wait for service_completed_successfully or service_healthy`},
		},
		"the node's network": {
			map[string]string{"docker-compose.yml": app + "    network_mode: host\n"},
			[]string{`docker-compose.yml:4: service app: network_mode: host attaches it to the node's network host; docker stack deploy ignores the key and uses the stack's default network`},
		},
		"bridge": {
			map[string]string{"docker-compose.yml": app + "    network_mode: bridge\n"},
			[]string{`docker-compose.yml:4: service app: network_mode: bridge has no effect: the service joins its networks, or the stack's default network`},
		},
		"restart": {
			map[string]string{"docker-compose.yml": "services:\n  a:\n    image: a\n    restart: \"no\"\n  b:\n    image: b\n    restart: unless-stopped\n  c:\n    image: c\n    restart: always\n    deploy: {restart_policy: {condition: none}}\n  d:\n    image: d\n    restart: always\n"},
			[]string{
				`docker-compose.yml:4: service a: restart: no has no effect: Swarm restarts each task that ends`,
				`docker-compose.yml:7: service b: restart: unless-stopped means always in Swarm, because tasks are not stopped by hand`,
				`docker-compose.yml:10: service c: restart has no effect: deploy.restart_policy overrides it`,
			},
		},
		"parts of lists": {
			map[string]string{"docker-compose.yml": app + "    ports:\n      - \"80:80\"\n      - target: 81\n        name: web\n    volumes:\n      - /a:/a:z\n      - type: bind\n        source: /b\n        target: /b\n        bind:\n          create_host_path: true\n"},
			[]string{
				`docker-compose.yml:7: service app: ports.name has no effect: ports do not have names in Swarm`,
				`docker-compose.yml:9: service app: volumes.bind.selinux has no effect: the files keep their SELinux label`,
				`docker-compose.yml:14: service app: volumes.bind.create_host_path has no effect: tasks are rejected until the path exists`,
			},
		},
		"options of mounts": {
			map[string]string{"docker-compose.yml": app + "    volumes:\n      - type: tmpfs\n        target: /t\n        tmpfs: {mode: 01700}\n      - {type: volume, target: /a, volume: {nocopy: true, subpath: x}}\n      - {type: volume, target: /b/, volume: {nocopy: false}}\n      - {type: volume, source: vol, target: /c, volume: {nocopy: true}}\nvolumes: {vol: {}}\n"},
			[]string{
				`docker-compose.yml:5: service app: the mode of the tmpfs at /t is applied; docker stack deploy ignores it, so a service that it created restarts its tasks`,
				`docker-compose.yml:8: service app: volumes.volume.nocopy has no effect: the volume at /a has no name, so each task gets an empty one`,
				`docker-compose.yml:8: service app: volumes.volume.subpath has no effect: the volume at /a has no name, so each task gets an empty one`,
			},
		},
		"name": {
			map[string]string{"docker-compose.yml": "name: other\n" + app},
			[]string{`docker-compose.yml:1: name has no effect: config.yml names the stack shop`},
		},
		"empty, and a variable": {
			map[string]string{"node.env": "TAG=1\nA=canary-7f3a\nB=canary-7f3a\n", "some.env": "B=\nC=\n", "docker-compose.yml": app + "    env_file: some.env\n    environment:\n      A: \"\"\n      TAG:\n"},
			[]string{
				`docker-compose.yml:4: service app: env_file: B is empty, so it gets the value of the variable with this name`,
				`docker-compose.yml:6: service app: environment: A is empty, so it gets the value of the variable A`,
			},
		},
		"another reading": {
			map[string]string{"node.env": "TAG=1\nSET=canary-7f3a\nMODE=0440\n", "conf": "1", "docker-compose.yml": "services:\n  app:\n    image: nginx:$TAG-alpine\n    hostname: ${TAG}-host\n    environment:\n      NESTED: ${SET:-${TAG}}\n      DOLLAR: ${NONE:-a$$b}\n      UNUSED: ${SET:-a$$b}\n      ASKED: $SET?canary-7f3a\n      ESCAPED: $$SET-x\n    volumes: [\"vol:/v/:ro\"]\n    configs:\n      - source: conf\n        mode: $MODE\nconfigs: {conf: {file: conf}}\nvolumes: {vol: {}}\n"},
			[]string{
				`docker-compose.yml:3: $TAG- is the variable and then text; docker stack deploy treats - as the start of a default, and loses the text`,
				`docker-compose.yml:6: the default of SET contains a variable; docker stack deploy ends the default at the first }, and does not replace the variable`,
				`docker-compose.yml:7: the default of NONE contains $$, which means $; docker stack deploy keeps $$`,
				`docker-compose.yml:9: $SET? is the variable and then text; docker stack deploy treats ? as the start of a default, and loses the text`,
				`docker-compose.yml:14: service app: the mode from a variable is octal; docker stack deploy reads it as a decimal number`,
			},
		},
		"merged test": {
			map[string]string{"docker-compose.yml": nginx + "    healthcheck:\n      test: a\n", "docker-compose-b.yml": "services:\n  app:\n    healthcheck:\n      interval: 1s\n      test: [CMD, b]\n"},
			[]string{`docker-compose-b.yml:5: service app: healthcheck.test is appended to the test in docker-compose.yml:5, and does not replace it`},
		},
		"merged empties": {
			map[string]string{
				"docker-compose.yml":   nginx + "    tty: true\n    user: a\n    dns: [1.1.1.1]\n    command: a\n    stop_grace_period: 1s\n    init: true\n    hostname: a\n    deploy:\n      replicas: 2\n      placement: {max_replicas_per_node: 2}\n      resources: {limits: {memory: 8M}}\n",
				"docker-compose-b.yml": "services:\n  app:\n    tty: false\n    user: \"\"\n    cap_add: []\n    command: []\n    stop_grace_period: 0s\n    init: false\n    working_dir: \"\"\n    deploy:\n      replicas: 0\n      placement: {max_replicas_per_node: 0}\n      resources: {limits: {memory: \"0\"}}\n",
			},
			[]string{
				`docker-compose-b.yml:3: service app: tty has no effect: an empty value does not override the value in docker-compose.yml:4`,
				`docker-compose-b.yml:4: service app: user has no effect: an empty value does not override the value in docker-compose.yml:5`,
				`docker-compose-b.yml:6: service app: command has no effect: an empty value does not override the value in docker-compose.yml:7`,
				`docker-compose-b.yml:7: service app: stop_grace_period has no effect: an empty value does not override the value in docker-compose.yml:8`,
				`docker-compose-b.yml:8: service app: init has no effect: an empty value does not override the value in docker-compose.yml:9`,
				`docker-compose-b.yml:12: service app: deploy.placement.max_replicas_per_node has no effect: an empty value does not override the value in docker-compose.yml:13`,
				`docker-compose-b.yml:13: service app: deploy.resources.limits.memory has no effect: an empty value does not override the value in docker-compose.yml:14`,
			},
		},
		"merged environment": {
			map[string]string{
				"docker-compose.yml":   nginx + "    environment:\n      A: canary-7f3a\n      B: canary-7f3a\n      C: same\n      D: canary-7f3a\n      E: canary-7f3a\n",
				"docker-compose-b.yml": "services:\n  app:\n    env_file: b.env\n    environment:\n      A: \"\"\n      D: other\n",
				"b.env":                "A=x\nB=y\nC=same\nD=z\nE=\nF=new\n",
			},
			[]string{
				`docker-compose-b.yml:3: service app: env_file overrides B in the environment of docker-compose.yml:6`,
				`docker-compose-b.yml:3: service app: env_file sets E to an empty value, which does not override the earlier file`,
				`docker-compose-b.yml:5: service app: environment: A has no effect: an empty value does not override the earlier file`,
			},
		},
		"merged objects": {
			map[string]string{
				"docker-compose.yml":   nginx + "    networks: [n]\nnetworks:\n  n: {driver: overlay, attachable: true}\n  same: {internal: true}\nconfigs:\n  c: {content: a}\n  d: {content: a}\n",
				"docker-compose-b.yml": "networks:\n  n: {internal: true}\n  same: {internal: true}\nconfigs:\n  c: {content: b}\n  d: {content: a}\n",
			},
			[]string{
				`docker-compose-b.yml:2: network n replaces the definition in docker-compose.yml:6, and drops its attachable, driver`,
				`docker-compose-b.yml:5: config c replaces the definition in docker-compose.yml:9`,
			},
		},
		"merged lists": {
			map[string]string{
				"/environments/test/config.yml": plaintext, "secrets/s": canary,
				"docker-compose.yml":   nginx + "    ports:\n      - \"53:53\"\n      - \"53:53/udp\"\n      - \"80:80\"\n    volumes: [\"vol:/a\", \"vol:/b\"]\n    secrets: [s]\n    networks:\n      n: {aliases: [a, b]}\nvolumes: {vol: {}, wol: {}}\nsecrets: {s: {file: secrets/s}}\nnetworks: {n: {}}\n",
				"docker-compose-b.yml": "services:\n  app:\n    ports:\n      - \"81:80\"\n      - \"80:8080\"\n    volumes: [\"wol:/a\", \"vol:/b\"]\n    secrets:\n      - {source: s, target: t}\n    networks:\n      n:\n        aliases: [b, c]\n        driver_opts: {x: y}\n",
			},
			[]string{
				`docker-compose-b.yml:5: service app: ports: 80:8080 replaces 80:80 of docker-compose.yml:7: they are merged by published port`,
				`docker-compose-b.yml:6: service app: volumes: /a replaces /a of docker-compose.yml:8: they are merged by target`,
				`docker-compose-b.yml:8: service app: secrets: s at t replaces s of docker-compose.yml:9: they are merged by source`,
				`docker-compose-b.yml:11: service app: networks.n replaces the aliases in docker-compose.yml:11: a is lost`,
				`docker-compose-b.yml:12: service app: networks.n.driver_opts has no effect, because docker-compose.yml:11 sets the network`,
				`docker-compose.yml:6: service app: ports: 53:53/udp replaces 53:53 of docker-compose.yml:5: they are merged by published port`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				stack, err := renderFiles(t, test.files)
				if err != nil {
					t.Fatal(err)
				}
				got := warnings(stack)
				if !slices.Equal(got, test.want) {
					t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
				for _, warning := range stack.Warnings {
					if strings.Contains(warning.Error()+warning.Hint, canary) {
						t.Errorf("%v shows a value", warning)
					}
					if warning.Hint == "" && !strings.Contains(warning.Message, "network_mode: host") {
						t.Errorf("%v has no hint", warning)
					}
				}
			}
		})
	}
}
