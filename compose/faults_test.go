package compose_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
)

const (
	app       = "services:\n  app:\n    image: nginx:1\n"
	plaintext = config + "allow_plaintext_secrets: true\n"
	canary    = "canary-7f3a"
)

// TestFaults renders invalid files. Each must give the listed faults, always the same,
// with file, line and hint, and without secrets.
func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"unset variable": {
			map[string]string{"docker-compose.yml": app + "    hostname: a-$HOST\n    user: ${HOST}\n", "docker-compose-b.yml": "services:\n  app:\n    labels: {h: $HOST}\n"},
			[]string{`docker-compose.yml:4: the variable HOST is not set and has no default`, `docker-compose.yml:5: the variable HOST is not set and has no default`, `docker-compose-b.yml:3: the variable HOST is not set and has no default`},
		},
		"unset in a default": {
			map[string]string{"docker-compose.yml": app + "    hostname: ${A:-$HOST}${TAG:+$B}\n    user: ${TAG:-$C}${A:+$D}${TAG-$E}${A+$F}\n"},
			[]string{`docker-compose.yml:4: the variable B is not set and has no default`, `docker-compose.yml:4: the variable HOST is not set and has no default`},
		},
		"unset beside a default": { // which other lines have of their own
			map[string]string{"docker-compose.yml": app + "    hostname: a-$HOST\n    user: ${HOST:-b}\n    domainname: ${HOST-}${A:+$HOST}\n    working_dir: /${HOST:-$HOST}\n"},
			[]string{`docker-compose.yml:4: the variable HOST is not set and has no default`, `docker-compose.yml:7: the variable HOST is not set and has no default`},
		},
		"required variable": {
			map[string]string{"docker-compose.yml": app + "    hostname: ${HOST:?say which}\n"},
			[]string{`docker-compose.yml:4: services.app.hostname: required variable HOST is missing a value: say which`},
		},
		"broken variable": {
			map[string]string{"docker-compose.yml": app + "    hostname: ${HOST\n"},
			[]string{`docker-compose.yml:4: invalid interpolation format for services.app.hostname. You may need to escape any $ with another $. ${HOST`},
		},
		"TAG_ without TAG": {
			map[string]string{"node.env": "A=1\n", "docker-compose.yml": "services:\n  app:\n    image: nginx:$TAG_APP\n"},
			[]string{`docker-compose.yml:3: the variable TAG_APP is not set and has no default`},
		},
		"secret without value": {
			map[string]string{"docker-compose.yml": app + "    secrets: [db]\nsecrets:\n  db:\n    file: ./secrets/db\n"},
			[]string{`docker-compose.yml:6: the secret "db" has no value: looked for secrets/db.enc, secrets/db, the key db in secrets.override.enc and secrets.enc`},
		},
		"labels of the agent": {
			map[string]string{
				"docker-compose.yml": app + "    labels: {coin-agent.timeout: 1m}\n    deploy:\n      labels:\n        coin-agent.timeout: soon\n        coin-agent.timeuot: 10m\n" +
					"  web:\n    image: nginx:1\n    deploy:\n      labels:\n        - coin-agent.owner=me\n        - coin-agent.timeout=-1s\n" +
					"networks:\n  n:\n    labels: {coin-agent.owner: me}\n",
			},
			[]string{
				`docker-compose.yml:13: service web: unknown label coin-agent.owner`,
				`docker-compose.yml:14: service web: the label coin-agent.timeout is "-1s", which is not a valid duration`,
				`docker-compose.yml:17: networks.n: the label coin-agent.owner has no effect here`,
				`docker-compose.yml:4: services.app: the label coin-agent.timeout has no effect here`,
				`docker-compose.yml:7: service app: the label coin-agent.timeout is "soon", which is not a valid duration`,
				`docker-compose.yml:8: service app: unknown label coin-agent.timeuot`,
			},
		},
		"waves that are no numbers": {
			map[string]string{
				"docker-compose.yml": app + "    labels: {coin-agent.wave: 1}\n    deploy:\n      labels:\n        coin-agent.wave: first\n" +
					"  web:\n    image: nginx:1\n    deploy: {labels: [coin-agent.wave=0]}\n  good:\n    image: nginx:1\n    deploy: {labels: [coin-agent.wave=2]}\n",
			},
			[]string{
				`docker-compose.yml:10: service web: the label coin-agent.wave is "0", which is not a wave number`,
				`docker-compose.yml:4: services.app: the label coin-agent.wave has no effect here`,
				`docker-compose.yml:7: service app: the label coin-agent.wave is "first", which is not a wave number`,
			},
		},
		"secret not defined": {
			map[string]string{"docker-compose.yml": app + "    secrets: [db]\n"},
			[]string{`docker-compose.yml:2: service app: the secret "db" is not defined`},
		},
		"secret in the clear": {
			map[string]string{"docker-compose.yml": app + "secrets:\n  db:\n    environment: DB\n"},
			[]string{`docker-compose.yml:6: secret db: environment does not work in Swarm: the value would not be encrypted`},
		},
		"devices of volumes": {
			map[string]string{"docker-compose.yml": app + "volumes:\n  a:\n    driver_opts:\n      o: bind\n      type: none\n      device: ./data\n  b: {driver: local, driver_opts: {o: \"ro,rbind\", device: ~/data}}\n  c: {driver: other, driver_opts: {o: bind, device: data}}\n  d: {driver_opts: {o: \"addr=nfs,rw\", device: \":/data\"}}\n"},
			[]string{
				`docker-compose.yml:9: volume a: the bind source ./data is relative, but the agent has no folder on the node for it`,
				`docker-compose.yml:10: volume b: the bind source ~/data means a home directory, which the agent does not have`,
			},
		},
		"label_file": {
			map[string]string{"docker-compose.yml": app + "    label_file: no.labels\n"},
			[]string{`docker-compose.yml:4: read label_file: open no.labels: file does not exist`},
		},
		"secret file leaves": {
			map[string]string{"docker-compose.yml": app + "secrets:\n  db:\n    file: ../../../../../db\n"},
			[]string{`docker-compose.yml:5: path "../../../../../db" leaves the repository`},
		},
		"config not defined": {
			map[string]string{"docker-compose.yml": app + "    configs: [c]\n"},
			[]string{`docker-compose.yml:2: service app: the config "c" is not defined`},
		},
		"config file missing": {
			map[string]string{"docker-compose.yml": app + "configs:\n  c:\n    file: ./c\n"},
			[]string{`docker-compose.yml:5: read config c: open c: file does not exist`},
		},
		"config file leaves": {
			map[string]string{"docker-compose.yml": app + "configs:\n  c:\n    file: /etc/passwd\n"},
			[]string{`docker-compose.yml:5: path "/etc/passwd" is absolute`},
		},
		"config without file": {
			map[string]string{"docker-compose.yml": app + "configs:\n  c: {}\n"},
			[]string{`docker-compose.yml:5: configs.c: one of file|environment|content must be set`},
		},
		"config is a secret": {
			map[string]string{"/environments/test/config.yml": plaintext, "secrets/db": canary, "docker-compose.yml": app + "configs:\n  c:\n    file: ./secrets/db\n"},
			[]string{`docker-compose.yml:5: secrets/db contains secrets`},
		},
		"env_file is a secret": {
			map[string]string{"/environments/test/config.yml": plaintext, "secrets/db": canary, "docker-compose.yml": app + "    env_file: secrets/db\n"},
			[]string{`docker-compose.yml:4: secrets/db contains secrets`},
		},
		"env_file missing": {
			map[string]string{"docker-compose.yml": app + "    env_file:\n      - some.env\n"},
			[]string{`docker-compose.yml:4: read env_file: open some.env: file does not exist`},
		},
		"env_file leaves": {
			map[string]string{"docker-compose.yml": app + "    env_file: ../../../../../x.env\n"},
			[]string{`docker-compose.yml:4: path "../../../../../x.env" leaves the repository`},
		},
		"env_file absolute": {
			map[string]string{"docker-compose.yml": app + "    env_file: /etc/x.env\n"},
			[]string{`docker-compose.yml:4: path "/etc/x.env" is absolute`},
		},
		"env_file broken": {
			map[string]string{"some.env": "A=1\nexport B=1\n", "docker-compose.yml": app + "    env_file: some.env\n"},
			[]string{`some.env:2: the line is not an assignment`},
		},
		"env_file broken 2": {
			map[string]string{"some.env": "A=1\n=canary-7f3a\n", "docker-compose.yml": app + "    env_file: some.env\n"},
			[]string{`some.env:2: the line is not an assignment`},
		},
		"relative bind": {
			map[string]string{"docker-compose.yml": app + "    volumes:\n      - ./data:/data\n"},
			[]string{`docker-compose.yml:4: service app: the bind source ./data is relative, but the agent has no folder on the node for it`},
		},
		"home bind": {
			map[string]string{"docker-compose.yml": app + "    volumes:\n      - ~/data:/data\n"},
			[]string{`docker-compose.yml:4: service app: the bind source ~/data means a home directory, which the agent does not have`},
		},
		"bind leaves root": {
			map[string]string{"/environments/test/config.yml": config + "base: {bind_root: /srv/x}\n", "docker-compose.yml": app + "    volumes:\n      - ../data:/data\n"},
			[]string{`docker-compose.yml:4: service app: the bind source ../data leaves /srv/x`},
		},
		"volume not defined": {
			map[string]string{"docker-compose.yml": app + "    volumes:\n      - data:/data\n"},
			[]string{`docker-compose.yml:2: service app: undefined volume "data"`},
		},
		"network not defined": {
			map[string]string{"docker-compose.yml": app + "    networks: [front]\n"},
			[]string{`docker-compose.yml:2: service app: undefined network "front"`},
		},
		"malformed YAML": {
			map[string]string{"docker-compose.yml": app + "    hostname: a: b\n"},
			[]string{`docker-compose.yml:4: not valid YAML: mapping values are not allowed in this context`},
		},
		"tab": {
			map[string]string{"docker-compose.yml": app + "\thostname: a\n"},
			[]string{`docker-compose.yml:3: not valid YAML: found a tab character that violates indentation`},
		},
		"duplicate key": {
			map[string]string{"docker-compose.yml": app + "    hostname: a\n    hostname: b\n"},
			[]string{`docker-compose.yml:5: not valid YAML: mapping key "hostname" already defined at line 4`},
		},
		"no mapping": {
			map[string]string{"docker-compose.yml": "- a\n"},
			[]string{`docker-compose.yml:1: the top level is not a mapping`},
		},
		"empty": {
			map[string]string{"docker-compose.yml": "# nothing\n"},
			[]string{`docker-compose.yml:1: the top level is not a mapping`},
		},
		"two documents": {
			map[string]string{"docker-compose.yml": app + "---\nservices: {}\n"},
			[]string{`docker-compose.yml:4: a second YAML document starts here`},
		},
		"contains itself": {
			map[string]string{"docker-compose.yml": "services: &s\n  <<: *s\n"},
			[]string{`docker-compose.yml:2: not valid YAML: anchor 's' value contains itself`},
		},
		"unknown alias": {
			map[string]string{"docker-compose.yml": app + "    labels: *no\n"},
			[]string{`docker-compose.yml:4: not valid YAML: unknown anchor 'no' referenced`},
		},
		"unknown key": {
			map[string]string{"docker-compose.yml": app + "    hostnam: a\n"},
			[]string{`docker-compose.yml:4: services.app.hostnam is not a key of Compose`},
		},
		"unknown top key": {
			map[string]string{"docker-compose.yml": app + "service: {}\n"},
			[]string{`docker-compose.yml:4: service is not allowed here`},
		},
		"wrong type": {
			map[string]string{"docker-compose.yml": app + "    deploy:\n      replicas: many\n"},
			[]string{`docker-compose.yml:5: services.app.deploy.replicas: failed to cast to expected type: strconv.Atoi: parsing "many": invalid syntax`},
		},
		"service is a list": {
			map[string]string{"docker-compose.yml": "services:\n  app: [a]\n"},
			[]string{`docker-compose.yml:2: services.app must be a mapping`},
		},
		"service is nothing": {
			map[string]string{"docker-compose.yml": "services:\n  app:\n"},
			[]string{`docker-compose.yml:2: services.app must be a mapping`},
		},
		"no image": {
			map[string]string{"docker-compose.yml": "services:\n  app:\n    hostname: a\n"},
			[]string{`docker-compose.yml:2: service app: image is missing`},
		},
		"bad image": {
			map[string]string{"docker-compose.yml": "services:\n  app:\n    image: registry/App:$TAG\n"},
			[]string{`docker-compose.yml:2: service app: "registry/App:1" is not a valid image reference: invalid reference format: repository name (registry/App) must be lowercase`},
		},
		"empty tag": {
			map[string]string{"docker-compose.yml": "services:\n  app:\n    image: \"registry/app:\"\n"},
			[]string{`docker-compose.yml:2: service app: "registry/app:" is not a valid image reference: invalid reference format`},
		},
		"backward range": {
			map[string]string{"docker-compose.yml": app + "    ports:\n      - {target: 80, published: \"8010-8000\"}\n"},
			[]string{`docker-compose.yml:4: service app: "8010-8000" is not a port that Swarm can publish`},
		},
		"bind mount without a source": {
			map[string]string{"docker-compose.yml": app + "    volumes:\n      - {type: bind, target: /x}\n"},
			[]string{"docker-compose.yml:4: service app: the bind mount at /x has no source"},
		},
		"bad port": {
			map[string]string{"docker-compose.yml": app + "    ports:\n      - a:b\n"},
			[]string{`docker-compose.yml:4: invalid containerPort: b`},
		},
		"extends unknown": {
			map[string]string{"docker-compose.yml": app + "    extends: x\n"},
			[]string{`docker-compose.yml:4: cannot extend service "app" in docker-compose.yml: service "x" not found`},
		},
		"two secrets of one name": {
			map[string]string{"/environments/test/config.yml": plaintext, "secrets/a": "1", "secrets/b": "2", "docker-compose.yml": app + "secrets:\n  a:\n    file: secrets/a\n    name: one\n  b:\n    file: secrets/b\n    name: one\n"},
			[]string{`docker-compose.yml:8: the secrets a and b have the same name in Swarm: one`},
		},
		"two configs of one name": {
			map[string]string{"a": "1", "docker-compose.yml": app + "configs:\n  a:\n    file: a\n    name: one\n  b:\n    file: a\n    name: one\n"},
			[]string{`docker-compose.yml:8: the configs a and b have the same name in Swarm: one`},
		},
		"two secrets at one target": {
			map[string]string{"/environments/test/config.yml": plaintext, "secrets/a": "1", "docker-compose.yml": app + "    secrets:\n      - {source: a, target: x}\n      - {source: b, target: x}\nsecrets:\n  a:\n    file: secrets/a\n  b:\n    file: secrets/a\n"},
			[]string{`docker-compose.yml:4: service app: two of its secrets have the same target`},
		},
		"bad config name": {
			map[string]string{"a": "1", "docker-compose.yml": app + "configs:\n  a:\n    file: a\n    name: -one\n"},
			[]string{`docker-compose.yml:5: Swarm does not accept the config name "-one"`},
		},
		"bad service name": {
			map[string]string{"docker-compose.yml": "services:\n  a.b:\n    image: nginx\n"},
			[]string{`docker-compose.yml:2: service a.b: Swarm does not accept the service name "shop_a.b"`},
		},
		"bad mode": {
			map[string]string{"a": "1", "docker-compose.yml": app + "    configs:\n      - {source: a, mode: rw}\nconfigs:\n  a:\n    file: a\n"},
			[]string{`docker-compose.yml:4: service app: mode "rw" is not a file mode`},
		},
		"replicas of global": {
			map[string]string{"docker-compose.yml": app + "    deploy: {mode: global, replicas: 2}\n"},
			[]string{`docker-compose.yml:2: service app: replicas can only be used with replicated or replicated-job mode`},
		},
		"unknown mode": {
			map[string]string{"docker-compose.yml": app + "    deploy: {mode: some}\n"},
			[]string{`docker-compose.yml:2: service app: Unknown mode: some`},
		},
		"bad duration": {
			map[string]string{"docker-compose.yml": app + "    stop_grace_period: soon\n"},
			[]string{`docker-compose.yml:4: services.app.stop_grace_period Does not match format 'duration'`},
		},
		"bad memory": {
			map[string]string{"docker-compose.yml": app + "    deploy: {resources: {limits: {memory: much}}}\n"},
			[]string{`docker-compose.yml:4: 'Deploy.Resources.Limits.memory' invalid size: 'much'`},
		},
		"bad cpus": {
			map[string]string{"docker-compose.yml": app + "    deploy: {resources: {limits: {cpus: much}}}\n"},
			[]string{`docker-compose.yml:2: service app: failed to parse much as a rational number`},
		},
		"bad command": {
			map[string]string{"docker-compose.yml": app + "    command: 'a \"b'\n"},
			[]string{`docker-compose.yml:4: 'Command' EOF found when expecting closing quote`},
		},
		"forbidden": {
			map[string]string{"docker-compose.yml": app + "    mem_limit: 1g\n    volumes_from: [x]\n"},
			[]string{`docker-compose.yml:4: service app: mem_limit does not work in Swarm: its tasks would run without it`, `docker-compose.yml:5: service app: volumes_from does not work in Swarm: its tasks would not have the files`},
		},
		"network none": {
			map[string]string{"docker-compose.yml": app + "    network_mode: none\n"},
			[]string{`docker-compose.yml:4: service app: network_mode: none does not work in Swarm: the service would join the stack's default network`},
		},
		"network of another service": {
			map[string]string{"docker-compose.yml": app + "    network_mode: service:other\n"},
			[]string{`docker-compose.yml:4: service app: network_mode: service:other does not work in Swarm: the service would join the stack's default network`},
		},
		"network host and others": {
			map[string]string{"docker-compose.yml": app + "    network_mode: host\n    networks: [n]\nnetworks: {n: {}}\n"},
			[]string{`docker-compose.yml:4: service app: network_mode: host cannot be combined with networks`},
		},
		"network host and a port": {
			map[string]string{"docker-compose.yml": app + "    network_mode: host\n", "docker-compose-b.yml": "services:\n  app:\n    ports: [\"80:80\"]\n"},
			[]string{`docker-compose.yml:4: service app: network_mode: host cannot be combined with other networks or published ports`},
		},
		"network host by another name": {
			map[string]string{"docker-compose.yml": app + "    network_mode: host\nnetworks: {host: {}}\n"},
			[]string{`docker-compose.yml:4: service app: network_mode: host, but the file defines a network with this name`},
		},
		"format of env_file": {
			map[string]string{"a.env": "A=1\n", "docker-compose.yml": app + "    env_file: [{path: a.env, format: sh}]\n"},
			[]string{`docker-compose.yml:4: service app: env_file has the format sh, but is read raw`},
		},
		"image as a mount": {
			map[string]string{"docker-compose.yml": app + "    volumes:\n      - {type: image, source: a, target: /a}\n"},
			[]string{`docker-compose.yml:4: service app: the mount at /a does not work in Swarm: Swarm does not mount images`},
		},
		"mode of a tmpfs": {
			map[string]string{"docker-compose.yml": app + "    volumes:\n      - {type: tmpfs, target: /a, tmpfs: {mode: rw}}\n"},
			[]string{`docker-compose.yml:4: service app: mode "rw" is not a file mode`},
		},
		"bad in the second file": {
			map[string]string{"docker-compose.yml": app, "docker-compose-b.yml": "services:\n  app:\n    restart: sometimes\n"},
			[]string{`docker-compose-b.yml:2: service app: unknown restart policy: sometimes`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				stack, err := renderFiles(t, test.files)
				if stack != nil {
					t.Error("Render returned a stack")
				}
				if got := describe(t, err); !slices.Equal(got, test.want) {
					t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
			}
		})
	}
}

// describe lists the texts of faults, with paths in the node's folder.
func describe(t *testing.T, err error) []string {
	t.Helper()
	var got []string
	for _, one := range fault.All(err) {
		var f *fault.Error
		if !errors.As(one, &f) {
			t.Fatalf("%v is not a fault", one)
		}
		if f.Place.File == "" || f.Place.Line == 0 || f.Hint == "" {
			t.Errorf("%v: place %v, hint %q", one, f.Place, f.Hint)
		}
		text := f.Error()
		if strings.Contains(text+f.Hint, canary) {
			t.Errorf("%q contains a secret", text)
		}
		got = append(got, strings.ReplaceAll(text, nodeDir, ""))
	}
	return got
}
