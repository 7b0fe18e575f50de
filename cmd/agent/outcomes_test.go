package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/sopstest"
)

// outcome is what a release of the example with some trouble ends in. Each release
// has a new secret, too, with two users.
type outcome struct {
	trouble  trouble
	services []string // that it changes, besides the secret's users
	settings string   // lines of node.env
	compose  string   // a further compose file
	says     string   // in the error
	failed   string   // the service over which it fails; "" for none
	back     bool     // Swarm itself puts the service back
	held     bool     // also where a person is to decide
}

// The example's health checks are left out where they are not what a test is about: that of
// twenty services is a program of the engine every 150 ms.
const appHealth, noHealth = `test: ["CMD", "/app", "health"]`, `test: [NONE]`

// quick has services of the example ready in a moment, in the node's own network. As they are, they
// run in TestExample.
var quick = strings.NewReplacer("monitor: 2s", "monitor: 300ms", "start_period: 5s", "start_period: 1s", "delay: 2s", "delay: 100ms", appHealth, noHealth,
	"  issuing:\n    driver: overlay\n    driver_opts:\n      scope: swarm\n    attachable: true # other containers may join it\n", "  issuing: {external: true, name: bridge}\n")

// secretUsers have the secret that is raised with each release.
var secretUsers = []string{"partner_api", "webhook_api"}

var outcomes = []outcome{
	{
		trouble: badImage, services: []string{"admin_api"}, failed: "admin_api", says: "No such image", held: true,
		settings: "export TAG_ADMIN_API=nowhere\n",
	}, {
		trouble: badAnswer, services: []string{"client_api"}, says: "check answer (GET ",
		compose: "  client_api: {environment: {NODE_NAME: other}}\n",
	}, {
		trouble: badMigrate, services: []string{"client_api", "migrate"}, failed: "migrate", says: "exit",
		compose: "  client_api: {environment: {NODE_NAME: other}}\n  migrate: {environment: {JOB_FAIL: \"1\"}}\n",
	}, {
		trouble: swarmBack, services: []string{"client_individual_webapi"}, failed: "client_individual_webapi",
		says: "Swarm rolled the update back", back: true, held: true,
		compose: "  client_individual_webapi: {environment: {HEALTH_FAIL: \"1\"}, deploy: {update_config: {order: stop-first, failure_action: rollback}}}\n",
	},
}

// applied says whether the release's spec of a service is what Swarm is left with.
func (o outcome) applied(service string) bool {
	if o.trouble == badMigrate {
		return service == "migrate" // the others' wave never came
	}
	return !o.back || service != o.failed
}

// TestOutcomes breaks releases of the example, where the agent goes back by itself, and some
// also where a person is to decide. It looks at all that is left: tasks, secrets, statuses,
// history, report, notices. How the engine tells of other troubles is a test of deploy, and
// the simulation has all of them.
//
// Its halves are tests of their own: subtests that run in parallel begin after all other tests.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	p := eachOutcome(t, outcomes[:len(outcomes)/2])
	p.step("the engine hangs", p.hangs)
}

func TestMoreOutcomes(t *testing.T) {
	t.Parallel()
	eachOutcome(t, outcomes[len(outcomes)/2:])
}

func eachOutcome(t *testing.T, half []outcome) *payments {
	t.Helper()
	p := newPayments(t)
	for i, o := range half {
		if i > 0 {
			p.anew()
		}
		if o.held {
			p.step(string(o.trouble)+": held", func() { p.held(o) })
		}
		p.step(string(o.trouble)+": gone back", func() { p.goneBack(o) })
	}
	return p
}

// payments is the example's node with a check of ours and people who hear of it.
type payments struct {
	*lab
	key     sopstest.Key
	answers *answers
	people  receivers
	stack   *compose.Stack
	base    map[string]string // the repository's files
	number  int               // of releases
	first   string            // the commit that is good
	good    map[string]swarm.ServiceSpec
}

func newPayments(t *testing.T) *payments {
	t.Helper()
	p := &payments{lab: newLabOn(t, swarmtest.Own(t)), answers: newAnswers(t), people: newReceivers(t)}
	p.tells(p.people)
	p.key, p.base = p.exampleKey(), p.exampleRepo()
	const config = "environments/sandbox/config.yml"
	p.edit(p.base, config, "  checks:\n", fmt.Sprintf("  checks:\n    - {name: answer, retries: 0, http: {url: '%s/{{env.ANSWER}}'}}\n", p.answers.URL))
	p.edit(p.base, config, "#deployments-sandbox", "#ops")
	for _, name := range []string{"docker-compose.yml", "docker-compose-testshop.yaml"} {
		p.base[node3+name] = quick.Replace(p.base[node3+name])
	}
	const individual = "    command: /entrypoint-individual.sh\n" // whose health is a trouble
	p.edit(p.base, node3+"docker-compose.yml", individual, individual+"    healthcheck: {"+appHealth+", interval: 3s, timeout: 10s, retries: 3, start_period: 5s}\n")
	p.base[node3+"node.env"] += "\nANSWER=0\n"
	p.base[config] += "  email: [ops@example.com]\nimages: {resolve: never, missing: warn}\n"
	p.commit("The example", p.base)
	p.stack = p.rendered() // which the first release's secrets are taken from
	p.swarm.Image(t, append(imagesOf(p.stack), "harbor.sandbox.coin.example/coin/internet-banking-admin:2025-12-05-ecacdc6c25")...)
	p.first = p.commit("First", p.files(outcome{}, false))
	p.running(p.first)
	p.good = p.specs()
	return p
}

// anew has an agent without any memory take over the stack, by a commit with nothing
// wrong: the one before has told people as much as it may in a while.
func (p *payments) anew() {
	p.t.Helper()
	p.stop()
	if err := os.RemoveAll(p.settings["state_dir"]); err != nil {
		p.t.Fatal(err)
	}
	p.first = p.commit("Nothing wrong", p.files(outcome{}, false))
	p.running(p.first)
}

// files are the repository's files that a release differs in.
func (p *payments) files(o outcome, automatic bool) map[string]string {
	p.number++
	p.answers.refuse(fmt.Sprintf("/%d", p.number), o.trouble == badAnswer)
	numbers := ""
	for _, name := range o.services {
		numbers += fmt.Sprintf("  %s: {environment: {NUMBER: \"%d\"}}\n", name, p.number)
	}
	secrets := map[string]string{"SLACK_WEBHOOK_SANDBOX": p.people.hook.URL + p.people.hook.path}
	if o.trouble != sound {
		maps.Copy(secrets, raised)
	}
	files := map[string]string{
		node3 + "secrets.override.enc":       override(p.t, p.key, p.stack, secrets),
		"environments/sandbox/config.yml":    p.base["environments/sandbox/config.yml"],
		node3 + "node.env":                   p.base[node3+"node.env"] + fmt.Sprintf("\nANSWER=%d\n%s", p.number, o.settings),
		node3 + "docker-compose-numbers.yml": further(numbers),
		node3 + "docker-compose-trouble.yml": further(o.compose),
	}
	if automatic {
		p.edit(files, "environments/sandbox/config.yml", "automatic: false", "automatic: true")
	}
	return files
}

// further is a compose file with services.
func further(services string) string {
	if services == "" {
		return "services: {}\n"
	}
	return "services:\n" + services
}

// specs are the services as Swarm has them, without our labels.
func (p *payments) specs() map[string]swarm.ServiceSpec {
	p.t.Helper()
	specs := map[string]swarm.ServiceSpec{}
	for name := range p.versions() {
		spec := p.service(name).Spec
		for label := range spec.Labels {
			if strings.HasPrefix(label, "coin-agent.") {
				delete(spec.Labels, label)
			}
		}
		specs[name] = spec
	}
	return specs
}

// ends commits a release with some trouble and waits for its end, which comes before the time is
// over that config.yml gives services. No service is written but those that it changes.
func (p *payments) ends(o outcome, automatic bool, want record.State) (commit string, sync *record.Sync) {
	p.t.Helper()
	before := p.versions()
	commit = p.commit("Trouble", p.files(o, automatic))
	sync = p.await(commit, want).Sync
	if strings.Contains(sync.Error, "when the wait ended") {
		p.t.Errorf("the time was over: %s", sync.Error)
	}
	if !strings.Contains(sync.Error, o.says) || !strings.Contains(sync.Error, o.failed) || sync.Hint == "" || sync.Transient {
		p.t.Errorf("%q (%s)", sync.Error, sync.Hint)
	}
	concerned := slices.Concat(o.services, secretUsers, []string{"cron_service", "migrate"}) // stopped meanwhile; mended
	for _, name := range changed(before, p.versions()) {
		if !slices.Contains(concerned, name) {
			p.t.Errorf("%s was written", name)
		}
	}
	if diff := cmp.Diff([]string{"webhook.auth.1", "webhook.auth.2"}, slices.DeleteFunc(p.secrets(), func(name string) bool { return !strings.HasPrefix(name, "webhook.auth.") })); diff != "" {
		p.t.Errorf("secrets: %s", diff)
	}
	return commit, sync
}

// held breaks the node where a person is to decide: what failed stays, and everybody
// hears of it.
func (p *payments) held(o outcome) {
	p.t.Helper()
	commit, sync := p.ends(o, false, record.Failed)
	if sync.Rollback != nil || !strings.Contains(sync.Hint, "agent rollback") {
		p.t.Errorf("rollback %+v; the hint does not say how to go back: %s", sync.Rollback, sync.Hint)
	}
	specs := p.specs()
	for name, good := range p.good {
		concerned := slices.Contains(o.services, name) || slices.Contains(secretUsers, name)
		if differs := !cmp.Equal(good, specs[name]); differs != (concerned && o.applied(name)) {
			p.t.Errorf("%s is new: %t\n%s", name, differs, cmp.Diff(good, specs[name]))
		}
	}
	p.run(o.failed)
	p.told(commit, "sandbox/node3: rollout failed at ", o.says)
	p.recorded(commit, record.Failed, o.says)
	if text := p.described(commit); !strings.Contains(text, o.failed) {
		p.t.Errorf("GitLab shows %q", text)
	}
	p.mustRun(exitDifferent, []string{"held: "}, "status")
	p.metric(`deployment_status{environment="sandbox",node="node3"} 0`)
	p.mustRun(exitError, []string{"agent: hint: "}, "show", "latest", "-o", "report") // there was no rollback
}

// goneBack breaks the node where the agent goes back by itself: to the last release
// that was proven, whatever has been held since.
func (p *payments) goneBack(o outcome) {
	p.t.Helper()
	commit, sync := p.ends(o, true, record.RolledBack)
	taken := sync.Rollback
	if taken == nil || !taken.Auto || taken.Commit != p.first || taken.Error != "" || taken.Refused != "" || taken.Finished.IsZero() || len(taken.Checks) < 10 {
		p.t.Fatalf("rolled back: %+v, want to %s", taken, short(p.first))
	}
	specs := p.specs()
	for name, good := range p.good {
		if diff := cmp.Diff(good, specs[name]); diff != "" && name != "migrate" { // a job is not run again
			p.t.Errorf("%s is not as it was:\n%s", name, diff)
		}
	}
	p.run("")
	if text := p.described(commit); !strings.Contains(text, "rolled back to") {
		p.t.Errorf("GitLab shows %q", text)
	}
	p.told(commit, "rolled back", o.says)
	p.recorded(commit, record.RolledBack, o.says)
	p.reported(o, taken.To)
}
