package desired_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/internal/sopstest"
)

// all gives problems and warnings as lines, without the folder of the environment.
func all(checked desired.Checked) []string {
	var lines []string
	for _, one := range checked.Problems {
		lines = append(lines, one.Place.String()+": "+one.Message+" | "+one.Hint)
	}
	for _, one := range checked.Warnings {
		lines = append(lines, "warning: "+one.Place.String()+": "+one.Message+" | "+one.Hint)
	}
	for i, line := range lines {
		lines[i] = strings.NewReplacer(nodeDir, "", "environments/sandbox/", "").Replace(line)
	}
	return lines
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got:\n%s\nwant lines that start with:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestCheckFindsAll checks a node with problems in each of its files.
func TestCheckFindsAll(t *testing.T) {
	key := sopstest.NewKey(t)
	fsys := fstest.MapFS{
		"environments/sandbox/config.yml": file(`environment: {name: sandbox, type: production}
nodes: [{name: node3, context: c, stack: s}]
secrets: {required: [absent]}
approval: {required: true, approvers: [Tech Lead, bob], minimum: 2}
deploymnt: {}
deployment:
  checks:
    - {name: up, http: {url: "https://x", method: HEAD, body_contains: ok, token_secret: db, headers: {authorization: x}}}
    - {name: in, exec: {service: nobody, command: [x]}}
`),
		nodeDir + "node.env":    file("TAG=latest\nSV_db_acess=2\nTAG_OLD=1\nTAG_USED=2\nX=$TAG_USED\n"),
		nodeDir + "project.env": file("A B=1\nUNSET\n"),
		nodeDir + "docker-compose.yml": file(`services:
  web:
    image: app:$TAG_WEB
    pull_policy: always
    user: $NOBODY
    unknown: x
    secrets: [db, plain]
secrets:
  db: {file: secrets/db, name: db.$SV_db_access}
  plain: {file: secrets/plain}
  lost: {file: secrets/lost}
`),
		nodeDir + "secrets/plain": file("hunter2"),
		nodeDir + "secrets.enc":   file(sopstest.YAML(t, key, map[string]string{"db": "x"})),
	}
	checked := desired.Check(fsys, "sandbox", "node3", desired.Judged{})[0].Sorted()
	expect(t, all(checked),
		`config.yml:3:22: a required secret is missing: secrets/absent: the secret "absent" has no value`,
		`config.yml:4:40: "Tech Lead" is neither a role in approval.roles nor a username | add approval.roles`,
		`config.yml:4:66: approval.minimum is 2, but 1 of the approvers are users`,
		`config.yml:5:1: unknown key "deploymnt"`,
		`config.yml:8:51: deployment.checks[0].http has a body, or expects one, which HEAD excludes`,
		`config.yml:8:90: check up: the secret db must not go to x: where the node's policy says nothing`,
		`config.yml:8:119: deployment.checks[0].http has both a token and the header authorization`,
		`config.yml:9:34: check in: node node3 has no service "nobody"`,
		`docker-compose.yml:5: the variable NOBODY is not set`,
		`docker-compose.yml:6: services.web.unknown is not a key of Compose`,
		`docker-compose.yml:11: the secret "lost" has no value`,
		`node.env:1:1: TAG is "latest", which does not match`,
		`node.env:2:1: nothing mentions SV_db_acess | did you mean SV_db_access?`,
		`project.env:1:1: the name has a space in it`,
		`secrets/plain: the file is not encrypted`,
		`warning: docker-compose.yml:4: service web: pull_policy has no effect`,
		`warning: node.env:3:1: nothing mentions TAG_OLD | remove it`,
		`warning: project.env:2:1: UNSET has no value and is not set in node.env: it is left out`,
	)
	scan := desired.Scan(fsys, "", "").Without([]desired.Checked{checked})
	if len(scan.Problems) != 0 || scan.Elsewhere != 1 {
		t.Errorf("scan: %+v", scan)
	}
}

// TestCheckFindsWhatSwarmRefuses: a rollout would stop at it after other services have changed.
func TestCheckFindsWhatSwarmRefuses(t *testing.T) {
	fsys := fstest.MapFS{
		"environments/sandbox/config.yml": file("environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n"),
		nodeDir + "node.env":              file("TAG=1\n"),
		nodeDir + "project.env":           file("A=1\n"),
		nodeDir + "docker-compose.yml": file(`services:
  api:
    image: app:$TAG
    ports: ["80:80"]
    configs: [empty, full]
    deploy:
      placement: {constraints: ["node.role = manager"]}
      resources: {limits: {memory: 1M}}
  web:
    image: app:$TAG
    ports: ["80:8080"]
configs:
  empty: {file: configs/empty}
  full: {file: configs/full}
`),
		nodeDir + "configs/empty": file(""),
		nodeDir + "configs/full":  file("x"),
	}
	expect(t, all(desired.Check(fsys, "sandbox", "node3", desired.Judged{})[0].Sorted()),
		`docker-compose.yml:7: service s_api: "node.role = manager" is not a placement constraint | write it as`,
		`docker-compose.yml:8: service s_api: limits.memory is less than 4M | write 4M or more`,
		`docker-compose.yml:11: service s_web publishes port 80/tcp, and so does s_api | publish one of them`,
		`docker-compose.yml:13: the config "empty" has 0 bytes; Swarm takes 1 to 1023999`,
	)
}

// TestCheckWithoutVariables does not blame the compose files for variables that the node's
// unreadable settings may set.
func TestCheckWithoutVariables(t *testing.T) {
	fsys := fstest.MapFS{
		"environments/sandbox/config.yml": file("environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n"),
		nodeDir + "node.env":              file("TAG=$(date)\n"),
		nodeDir + "project.env":           file("A=1\n"),
		nodeDir + "docker-compose.yml":    file("services:\n  web:\n    image: app:$TAG\n    unknown: x\n"),
	}
	checked := desired.Check(fsys, "sandbox", "node3", desired.Judged{})[0].Sorted()
	expect(t, all(checked), "docker-compose.yml:4: services.web.unknown is not a key of Compose", "node.env:1:5: ")
}

// TestCheckUnmentioned fails only for a version with a typo: it would be 0. A tag has a
// default, and a name that is short or has another number is another name.
func TestCheckUnmentioned(t *testing.T) {
	for set, want := range map[string]struct{ mentioned, finding string }{
		"SV_db_acess":         {"SV_db_access", "node.env:1:1: nothing mentions SV_db_acess | did you mean SV_db_access?"},
		"SV_api":              {"SV_app", "warning: node.env:1:1: nothing mentions SV_api | remove it; or did you mean SV_app?"},
		"SV_key1":             {"SV_key2", "warning: node.env:1:1: nothing mentions SV_key1 | remove it; or did you mean SV_key2?"},
		"SV_client_api":       {"SV_i_client_web", "warning: node.env:1:1: nothing mentions SV_client_api | remove it"},
		"TAG_I_CLIENT_API":    {"TAG_CLIENT_API", "warning: node.env:1:1: nothing mentions TAG_I_CLIENT_API | remove it; or did you mean TAG_CLIENT_API?"},
		"TAG_UI":              {"TAG_DB", "warning: node.env:1:1: nothing mentions TAG_UI | remove it"},
		"SV_same":             {"TAG_same", "warning: node.env:1:1: nothing mentions SV_same | remove it"},
		"SV_payment_gateway1": {"SV_payment_gatway1", "node.env:1:1: nothing mentions SV_payment_gateway1 | did you mean SV_payment_gatway1?"},
	} {
		fsys := fstest.MapFS{
			"environments/sandbox/config.yml": file("environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n"),
			nodeDir + "node.env":              file(set + "=2\nTAG=1\n"),
			nodeDir + "project.env":           file("A=1\n"),
			nodeDir + "docker-compose.yml":    file("services:\n  web:\n    image: app:$TAG\n    labels: [x=$" + want.mentioned + "]\n"),
		}
		expect(t, all(desired.Check(fsys, "sandbox", "node3", desired.Judged{})[0]), want.finding)
	}
}

// TestCheckIsLinear counts the memory of a check: ten times the names, warnings and
// problems take about ten times as much.
func TestCheckIsLinear(t *testing.T) {
	check := func(names int) uint64 {
		var env, compose, long strings.Builder
		compose.WriteString("services:\n  web:\n    image: app:$TAG\n    labels:\n")
		for i := range names {
			fmt.Fprintf(&env, "SV_left_over_%d=2\nTAG_LEFT_OVER_%d=2\nA b%d=1\n", i, i, i)
			fmt.Fprintf(&compose, "      - l%d=$SV_open_%d$TAG_OPEN_%d\n", i, i, i)
		}
		for range names {
			long.WriteString("SV_a")
		}
		fsys := fstest.MapFS{
			"environments/sandbox/config.yml": file("environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n"),
			nodeDir + "node.env":              file("TAG=1\n" + long.String() + "=1\n" + env.String()),
			nodeDir + "docker-compose.yml":    file(compose.String() + "      - long=$" + long.String() + "x\n"),
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		checked := desired.Check(fsys, "sandbox", "node3", desired.Judged{})[0]
		runtime.ReadMemStats(&after)
		if len(checked.Warnings) < 2*names || len(checked.Problems) < names {
			t.Errorf("%d names: %d warnings, %d problems", names, len(checked.Warnings), len(checked.Problems))
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	check(10)
	if few, many := check(500), check(5000); many > 20*few {
		t.Errorf("500 names: %d bytes; 5000 names: %d bytes", few, many)
	}
}

// TestScanAccepted warns of the unencrypted files that config.yml accepts.
func TestScanAccepted(t *testing.T) {
	fsys := fstest.MapFS{
		"environments/sandbox/config.yml": file("environment: {name: sandbox, type: non-production}\nallow_plaintext_secrets: true\nnodes: [{name: node3, context: c, stack: s}]\n"),
		nodeDir + "secrets/db":            file("hunter2"),
	}
	expect(t, all(desired.Scan(fsys, "", "")), "warning: secrets/db: the file is not encrypted: allow_plaintext_secrets accepts it")
}
