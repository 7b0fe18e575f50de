package compose_test

import (
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// TestInspect finds the faults of all stages and files in one call, and the warnings
// beside them. An unset variable adds no fault that its value could avoid.
func TestInspect(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"one service": {
			map[string]string{"docker-compose.yml": app + "    imagee: x\n    pull_policy: always\n    user: $UNSET\n    ports: ['1-x:80']\n    stop_grace_period: soon\n    mem_limit: 5m\n"},
			[]string{
				":4: services.app.imagee is not a key of Compose",
				":5: warning: service app: pull_policy has no effect: a node pulls an image only if it is missing",
				":6: the variable UNSET is not set and has no default",
				":7: invalid hostPort: 1-x",
				":8: services.app.stop_grace_period Does not match format 'duration'",
				":9: service app: mem_limit does not work in Swarm",
			},
		},
		"all sections": {
			map[string]string{"docker-compose.yml": `services:
  a: {image: "app:1", secrets: [db, none], networks: [bad], build: .}
  b: {image: "Not An Image", volumes: [nowhere:/x], volumess: []}
  c: {image: "$UNSET"}
networks: {bad: {drivver: x}}
secrets: {db: {file: secrets/db}}
configs: {c: {file: missing}}
`},
			[]string{
				":2: service a: the secret \"none\" is not defined",
				":2: warning: service a: build has no effect",
				":3: service b: \"Not An Image\" is not a valid image reference",
				":3: services.b.volumess is not a key of Compose",
				":4: the variable UNSET is not set and has no default",
				":5: networks.bad.drivver is not allowed here",
				":6: the secret \"db\" has no value",
				":7: read config c: open environments/test/nodes/n/missing",
			},
		},
		"a file that is not YAML": {
			map[string]string{
				"docker-compose.yml":   app + "    secrets: [db]\n    networks: [there]\n    container_name: xx\n    mem_limit: 5m\n",
				"docker-compose-a.yml": "secrets: {db: {file: secrets/db}}\n",
				"docker-compose-b.yml": "networks: [\n",
			},
			[]string{
				"docker-compose-a.yml:1: the secret \"db\" has no value",
				"docker-compose-b.yml:1: not valid YAML",
				":6: warning: service app: container_name has no effect",
				":7: service app: mem_limit does not work in Swarm",
			},
		},
		"faults of the merge": {
			map[string]string{"docker-compose.yml": "services:\n  a: {image: a, deploy: {replicas: -1}, tmpfs: /x}\n  b: {image: b, ulimits: {nofile: {soft: 1}}}\n  c: {image: c, cap_add: 5, isolation: 7}\n"},
			[]string{
				":2: 'Deploy.Replicas' cannot parse value",
				":2: warning: service a: tmpfs has no effect",
				":3: services.b.ulimits.nofile must be a integer or string",
				":4: services.c.cap_add must be a array",
				":4: services.c.isolation must be a string",
			},
		},
		"include": {
			map[string]string{"docker-compose.yml": "include: [other.yml]\n" + app + "    bad: 1\n", "other.yml": "services:\n  x: {image: x, worse: 2}\n  y: {image: $NONE, worst: 3}\n"},
			[]string{
				":5: services.app.bad is not a key of Compose",
				"other.yml:2: services.x.worse is not a key of Compose",
				"other.yml:3: services.y.worst is not a key of Compose",
				"other.yml:3: the variable NONE is not set and has no default",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			node := load(t, repository(test.files), "test", "n")
			stack, err := compose.Inspect(node, &secrets.Set{}, true)
			var got []string
			for _, one := range fault.All(err) {
				got = append(got, strings.TrimPrefix(one.Error(), nodeDir))
			}
			for _, one := range stack.Warnings {
				got = append(got, strings.TrimPrefix(one.Place.String(), nodeDir)+": warning: "+one.Message)
			}
			slices.Sort(got)
			same := slices.EqualFunc(test.want, got, func(want, got string) bool {
				return strings.HasPrefix(strings.TrimPrefix(got, "docker-compose.yml"), want)
			})
			if !same {
				t.Errorf("got:\n%s\nwant lines that start with:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}
