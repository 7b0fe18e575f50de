package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/sopstest"
)

// trouble is what is wrong with a release.
type trouble string

const (
	sound       trouble = ""
	badImage    trouble = "an image that is nowhere"
	crashLoop   trouble = "a crash loop"
	unhealthy   trouble = "a failing health check"
	badAnswer   trouble = "a failing HTTP check"
	badMigrate  trouble = "a failing migration"
	swarmBack   trouble = "an update that Swarm rolls back"
	badSettings trouble = "a variable that nobody sets"
)

var troubles = []trouble{badImage, crashLoop, unhealthy, badAnswer, badMigrate, swarmBack, badSettings}

// application is a node's stack of four services, made of releases, and the server
// that its HTTP check asks.
type application struct {
	*lab
	answers *answers
	sealed  int // the secret's version that the repository has
}

func newApplication(t *testing.T, s *swarmtest.Swarm) *application {
	t.Helper()
	a := &application{lab: newLabOn(t, s), answers: newAnswers(t)}
	a.swarm.Image(t, imageA, imageB)
	return a
}

// release commits a release.
func (a *application) release(message string, r walked) string {
	a.t.Helper()
	a.answers.refuse(fmt.Sprintf("/%d", r.number), r.trouble == badAnswer)
	return a.commit(message, a.files(r))
}

// answers is a server that HTTP checks ask.
type answers struct {
	*httptest.Server

	mu      sync.Mutex
	refused map[string]bool // paths that do not get an answer
}

func newAnswers(t *testing.T) *answers {
	t.Helper()
	s := &answers{refused: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.refused[r.URL.Path] {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *answers) refuse(path string, refused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[path] = refused
}

// walked is what one commit of the walk asks for. All that the oracle knows of what
// should run comes from here.
type walked struct {
	number    int
	tags      map[string]int // 1 or 2, by service
	versions  map[string]int // of what each service runs
	secret    int
	replicas  int // of web
	label     int // of web
	trouble   trouble
	automatic bool // rollback
	correct   bool // drift
	note      int  // of others
}

var walkServices = []string{"cron_service", "migrate", "web", "worker"}

func firstRelease(automatic, correct bool) walked {
	r := walked{number: 1, secret: 1, replicas: 2, label: 1, automatic: automatic, correct: correct, tags: map[string]int{}, versions: map[string]int{}}
	for _, name := range walkServices {
		r.tags[name], r.versions[name] = 1, 1
	}
	return r
}

// next is a copy with a number of its own and nothing wrong.
func (r walked) next() walked {
	r.number++
	r.trouble = sound
	r.tags, r.versions = maps.Clone(r.tags), maps.Clone(r.versions)
	return r
}

// changed is the next release, which differs in something that matters.
func (r walked) changed(random *rand.Rand) walked {
	n := r.next()
	for done := false; !done; {
		for _, name := range walkServices {
			if random.IntN(3) == 0 {
				n.versions[name], done = n.number, true
				if random.IntN(2) == 0 {
					n.tags[name] = 3 - n.tags[name]
				}
			}
		}
		switch random.IntN(8) {
		case 0:
			n.replicas, done = 1+n.replicas%3, true
		case 1:
			n.label, done = n.number, true
		case 2, 3:
			n.secret, done = n.number, true
		}
	}
	return n
}

// spoilt is the next release with something wrong, in what differs.
func (r walked) spoilt(random *rand.Rand, with trouble) walked {
	n := r.changed(random)
	n.trouble = with
	switch with {
	case badImage, unhealthy, swarmBack:
		n.versions["web"] = n.number
	case crashLoop, badAnswer:
		n.versions["worker"] = n.number
	case badMigrate:
		n.versions["migrate"] = n.number
	case sound, badSettings:
	}
	return n
}

// env gives text where the release has that trouble.
func (r walked) env(trouble trouble, text string) string {
	if r.trouble == trouble {
		return text
	}
	return ""
}

// environment is what a service's tasks have to have.
func (r walked) environment(service string) map[string]string {
	env := map[string]string{"SERVICE_NAME": service, "APP_RELEASE": fmt.Sprint(r.versions[service])}
	switch service {
	case "web":
		env["HEALTH_FAIL"] = r.env(unhealthy, "1") + r.env(swarmBack, "1")
	case "worker":
		env["CRASH_AFTER"] = r.env(crashLoop, "1ms")
	case "migrate":
		env["JOB_FAIL"] = r.env(badMigrate, "1")
	}
	return env
}

// image is what a service's tasks have to run.
func (r walked) image(service string) string {
	if service == "web" && r.trouble == badImage {
		return missing
	}
	return fmt.Sprintf("coin-test/app:%d", r.tags[service])
}

// tasks is how many tasks of a service have to run.
func (r walked) tasks(service string) int {
	switch service {
	case "web":
		return r.replicas
	case "migrate":
		return 0
	}
	return 1
}

// secretsOf names the secrets that a service has, without the stack's name.
func (r walked) secretsOf(service string) []string {
	if service == "web" || service == "cron_service" {
		return []string{fmt.Sprintf("key.%d", r.secret)}
	}
	return nil
}

const walkCompose = `
x-common: &common
  networks: [inner]
  stop_grace_period: 2s
services:
  web:
    <<: *common
    image: coin-test/app:$TAG_WEB
    environment: {SERVICE_NAME: web, APP_RELEASE: $V_WEB, HEALTH_FAIL: "$HEALTH_FAIL"}
    healthcheck: {test: ["CMD", "/app", "health"], interval: 1s, timeout: 20s, retries: 3}
    secrets: [key]
    deploy:
      endpoint_mode: dnsrr
      replicas: $REPLICAS
      labels: {team: "$LABEL"}
      restart_policy: {delay: 100ms}
      update_config: {parallelism: 0, monitor: 500ms, failure_action: $FAILURE_ACTION}
      rollback_config: {parallelism: 0, monitor: 100ms}
  worker:
    <<: *common
    image: coin-test/app:$TAG_WORKER
    environment: {SERVICE_NAME: worker, APP_RELEASE: $V_WORKER, CRASH_AFTER: "$CRASH_AFTER"}
    deploy:
      endpoint_mode: dnsrr
      restart_policy: {delay: 100ms}
      update_config: {monitor: $MONITOR}
  migrate:
    <<: *common
    image: coin-test/app:$TAG_MIGRATE
    command: /job.sh migrate
    environment: {SERVICE_NAME: migrate, APP_RELEASE: $V_MIGRATE, JOB_FAIL: "$JOB_FAIL"}
    deploy: {endpoint_mode: dnsrr, restart_policy: {condition: on-failure, max_attempts: 1, delay: 100ms}}
  cron_service:
    <<: *common
    image: coin-test/app:$TAG_CRON_SERVICE
    environment: {SERVICE_NAME: cron_service, APP_RELEASE: $V_CRON_SERVICE}
    secrets: [key]
    deploy:
      endpoint_mode: dnsrr
      restart_policy: {delay: 100ms}
      update_config: {monitor: 500ms}
networks:
  inner: {external: true, name: bridge} # see smallCompose
secrets:
  key: {file: ./secrets/key, name: "${STACK}_key.$SV_key"}
`

// files are the repository's files that the release differs in.
func (a *application) files(r walked) map[string]string {
	env := fmt.Sprintf("STACK=%s\nTAG=1\nREPLICAS=%d\nLABEL=%d\nANSWER=%d\n", a.stack, r.replicas, r.label, r.number)
	if r.trouble != badSettings {
		env += "FAILURE_ACTION=pause\n"
	}
	if r.trouble == swarmBack {
		env += "FAILURE_ACTION=rollback\n"
	}
	if r.trouble == crashLoop {
		env += "MONITOR=1m\n" // a busy engine tells seconds late that a task has ended
	} else {
		env += "MONITOR=500ms\n"
	}
	env += fmt.Sprintf("TAG_CRON_SERVICE=%d\nTAG_MIGRATE=%d\nTAG_WORKER=%d\n", r.tags["cron_service"], r.tags["migrate"], r.tags["worker"])
	env += fmt.Sprintf("V_CRON_SERVICE=%d\nV_MIGRATE=%d\nV_WORKER=%d\nV_WEB=%d\n", r.versions["cron_service"], r.versions["migrate"], r.versions["worker"], r.versions["web"])
	env += fmt.Sprintf("TAG_WEB=%s\n", r.image("web")[len("coin-test/app:"):])
	env += fmt.Sprintf("HEALTH_FAIL=%s\nCRASH_AFTER=%s\nJOB_FAIL=%s\n", r.environment("web")["HEALTH_FAIL"], r.environment("worker")["CRASH_AFTER"], r.environment("migrate")["JOB_FAIL"])
	drift := "report"
	if r.correct {
		drift = "correct"
	}
	files := map[string]string{
		configFile: fmt.Sprintf(`environment: {name: sandbox, type: non-production}
drift: %s
images: {resolve: never, missing: warn}
nodes: [{name: node3, context: ctx3, stack: %s}]
deployment:
  health_check: {timeout: 3m}
  rollback: {enabled: true, automatic: %t}
  checks:
    - {name: answer, retries: 0, http: {url: '%s/{{env.ANSWER}}'}}
`, drift, a.stack, r.automatic, a.answers.URL),
		node3 + "node.env":           env,
		node3 + "docker-compose.yml": walkCompose,
		"README.md":                  fmt.Sprint(r.note),
	}
	if a.sealed != r.secret {
		a.sealed = r.secret
		files[node3+"secrets.enc"] = sopstest.YAML(a.t, a.key, map[string]string{"key": fmt.Sprintf("canary-%d", r.secret)})
		files[node3+"secrets.override.enc"] = sopstest.YAML(a.t, a.key, map[string]string{"SV_key": fmt.Sprint(r.secret)})
	}
	return files
}
