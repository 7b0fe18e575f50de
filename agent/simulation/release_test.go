package simulation_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/sopstest"
)

const (
	stack     = "s"
	owner     = "sandbox/node3"
	intruder  = "s_intruder" // a service of another node, or of another tool, in the stack
	configDir = "environments/sandbox/"
	nodeDir   = configDir + "nodes/node3/"
	oneShot   = "s_migrate"
)

// trouble is what is wrong with a release.
type trouble string

// The kinds of bad releases.
const (
	sound     trouble = ""
	unproved  trouble = "unproved"  // the check of config.yml fails
	jobless   trouble = "jobless"   // its one-shot service fails
	missing   trouble = "missing"   // no registry has its image
	crashes   trouble = "crashes"   // its containers end again and again
	sick      trouble = "sick"      // the health check of web fails
	sours     trouble = "sours"     // its containers end again and again, but only after its rollout
	malformed trouble = "malformed" // the compose file is not YAML
	unset     trouble = "unset"     // a variable is not set
)

// release is what a commit asks of the node.
type release struct {
	about    string
	tag      string // of the image
	trouble  trouble
	replicas uint64 // of web
	level    int    // a variable of worker
	secret   int    // version of the secret db
	readme   int    // a file that the node does not read

	automatic, correct, manual, approval bool      // config.yml
	frozen                               time.Time // until when; zero for no freeze
	ignores                              bool      // the replicas of web

	layers layers // of a node with several stacks
}

// image is what all services run.
func (r *release) image() string { return "coin/app:" + r.tag }

// files is the tree of a commit.
func (r *release) files() map[string]string {
	if r.layers.list != "" {
		return r.layers.files(r)
	}
	return map[string]string{
		"README.md":                    fmt.Sprintf("Notes, edition %d\n", r.readme),
		configDir + "config.yml":       r.config(),
		nodeDir + "node.env":           fmt.Sprintf("TAG=%s\nSV_db=%d\nLEVEL=%d\n", r.tag, r.secret, r.level),
		nodeDir + "docker-compose.yml": r.compose(),
		nodeDir + "secrets.enc":        sealed(r.secret),
	}
}

func (r *release) config() string {
	text := "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: s}]\n" +
		"deployment:\n  health_check: {timeout: 60s}\n  gates: {preflight: false, disk: {min_free: 0B}}\n"
	code := 0
	if r.trouble == unproved {
		code = 1
	}
	text += fmt.Sprintf("  checks: [{name: answer, retries: 1, interval: 1s, exec: {service: web, command: [sh, -c, exit %d]}}]\n", code)
	text += fmt.Sprintf("  auto_deploy: %t\n  rollback: {automatic: %t}\napproval: {required: %t}\n", !r.manual, r.automatic, r.approval)
	text += "notifications: {email: [" + mailAddress + "], on: [failure, rollback, recovery, success, waiting, drift]}\n"
	if r.correct {
		text += "drift: correct\n"
	}
	if r.ignores {
		text += "drift_ignore: [{service: web, fields: [replicas], until: 2099-01-01, reason: autoscaler}]\n"
	}
	if !r.frozen.IsZero() {
		text += "freeze: [{name: works, from: '1999-12-31T00:00:00Z', to: '" + r.frozen.Format(time.RFC3339) + "'}]\n"
	}
	return text
}

func (r *release) compose() string {
	text := `services:
  web:
    image: coin/app:$TAG
    environment: {RELEASE: $TAG}
    secrets: [db]
    healthcheck: {test: [CMD, /app, health], interval: 1s, retries: 2}
    deploy:
      replicas: REPLICAS
      restart_policy: {delay: 1s}
      update_config: {monitor: 2s}
  worker:
    image: coin/app:$TAG
    environment: {LEVEL: $LEVEL}
    deploy: {restart_policy: {delay: 1s}, update_config: {monitor: 2s}}
  cron_service:
    image: coin/app:$TAG
    deploy: {restart_policy: {delay: 1s}, update_config: {monitor: 2s}}
  migrate:
    image: coin/app:$TAG
    command: [/job.sh, migrate]
    environment: {JOB_DELAY: 3s, JOB_FAIL: "OUTCOME"}
    deploy: {restart_policy: {condition: on-failure, max_attempts: 1, delay: 1s}}
secrets:
  db: {file: ./secrets/db, name: db.$SV_db}
`
	text = strings.ReplaceAll(text, "REPLICAS", fmt.Sprint(r.replicas))
	text = strings.ReplaceAll(text, "OUTCOME", r.jobFails())
	switch r.trouble {
	case malformed:
		text += "networks: [\n"
	case unset:
		text = strings.Replace(text, "LEVEL: $LEVEL", "LEVEL: $NOT_SET", 1)
	case sound, unproved, jobless, missing, crashes, sours, sick:
	}
	return text
}

// jobFails is the value of JOB_FAIL.
func (r *release) jobFails() string {
	if r.trouble == jobless {
		return "1"
	}
	return ""
}

// wanted is how a service is to be, by the text of the compose file.
type wanted struct {
	image    string
	env      []string
	replicas uint64
	secrets  []string
	scales   bool // another process may change the replicas
}

// services gives how the services of a release are to be.
func (r *release) services() map[string]wanted {
	return map[string]wanted{
		"s_web":          {r.image(), []string{"RELEASE=" + r.tag}, r.replicas, []string{fmt.Sprintf("db.%d", r.secret)}, r.ignores},
		"s_worker":       {r.image(), []string{fmt.Sprintf("LEVEL=%d", r.level)}, 1, nil, false},
		"s_cron_service": {r.image(), nil, 1, nil, false},
		oneShot:          {r.image(), []string{"JOB_DELAY=3s", "JOB_FAIL=" + r.jobFails()}, 1, nil, false},
	}
}

// same reports whether the services of both are written alike.
func (r *release) same(other release) bool {
	other.ignores = r.ignores
	return reflect.DeepEqual(r.services(), other.services())
}

// canary begins the content of each version of the secret: it may be found in Swarm's
// secrets and nowhere else.
const canary = "canary-plain-4711-"

// The secret's versions are encrypted once for all seeds.
var (
	sealing sync.Mutex
	sealKey sopstest.Key
	seals   = map[int]string{}
)

// prepareKey makes the key that all secrets are encrypted to.
func prepareKey(t *testing.T) {
	t.Helper()
	sealKey, sealT, seals = sopstest.NewKey(t), t, map[int]string{}
}

var sealT *testing.T

// sealed gives the SOPS file with a version of the secret.
func sealed(version int) string {
	sealing.Lock()
	defer sealing.Unlock()
	if seals[version] == "" {
		seals[version] = sopstest.YAML(sealT, sealKey, map[string]string{"db": fmt.Sprintf("%s%d", canary, version)})
	}
	return seals[version]
}

// troubles lists the kinds of bad releases that no rollout succeeds with.
func troubles() []trouble {
	return slices.Clone([]trouble{unproved, jobless, missing, crashes, sick, malformed, unset})
}
