package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/page/browsertest"
	"coin.internal/coin-agent/agent/report"
)

// pageLab is a lab whose agent is seen in a browser. The names are those of a real node: its
// pictures are in the documents.
type pageLab struct {
	*lab
	tab     *browsertest.Tab
	answers func() // has the git server answer from now on
	more    string // lines of config.yml
}

// pageServices are what each release has. The gateway takes some seconds until it is healthy.
const pageServices = `
x-common: &common
  stop_grace_period: 1s
  environment: {APP_RELEASE: $RELEASE}
x-deploy: &deploy {endpoint_mode: dnsrr, update_config: {monitor: 500ms}}
services:
  gateway:
    <<: *common
    image: coin-test/gateway:$RELEASE
    healthcheck: {test: ["CMD", "/app", "health"], interval: 4s, timeout: 20s, retries: 3}
    deploy: {<<: *deploy, replicas: 2, update_config: {monitor: 500ms, parallelism: 0}, restart_policy: {delay: 30s}}
  client_api: {<<: *common, image: "coin-test/client-api:$RELEASE", deploy: *deploy}
  partner_api: {<<: *common, image: "coin-test/partner-api:$RELEASE", deploy: *deploy}
  ledger: {<<: *common, image: "coin-test/ledger:$RELEASE", deploy: *deploy}
  worker:
    <<: *common
    image: coin-test/worker:$RELEASE
    deploy: {endpoint_mode: dnsrr, update_config: {monitor: $MONITOR}, restart_policy: {delay: 200ms}}
`

func newPageLab(t *testing.T) *pageLab {
	t.Helper()
	p := &pageLab{lab: newLab(t)}
	p.stack = p.swarm.Named(t, "coin")
	var images []string
	for _, release := range []string{"1.40.0", "1.41.0", "1.42.0", "1.43.0"} {
		for _, name := range []string{"gateway", "client-api", "partner-api", "ledger", "worker"} {
			images = append(images, "coin-test/"+name+":"+release)
		}
	}
	p.swarm.Image(t, images...)
	answer := make(chan struct{})
	p.answers = sync.OnceFunc(func() { close(answer) })
	t.Cleanup(p.answers)
	p.git.Hang(func(*http.Request) bool {
		<-answer
		return false
	})
	p.mappings = "policy:\n  images: {allow: [\"docker.io/coin-test/*\"]}\n"
	p.withAPI()
	p.tab = browsertest.Open(t, "http://"+p.settings["api_listen"])
	return p
}

// files are those of a release. The worker has a further setting; where that ends it, a busy engine may
// tell so seconds late.
func (p *pageLab) files(release, setting string) map[string]string {
	compose, monitor := pageServices, "300ms"
	if strings.Contains(setting, "CRASH_AFTER") {
		monitor = "1m"
	}
	if setting != "" {
		compose += "    environment: {APP_RELEASE: $RELEASE, " + setting + "}\n"
	}
	return map[string]string{
		configFile: "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: " + p.stack + "}]\nimages: {resolve: never}\n" + p.more,
		"environments/sandbox/common/project.env": "LOG_LEVEL=info\n",
		node3 + "node.env":                        "export RELEASE=" + release + "\nexport MONITOR=" + monitor + "\n",
		node3 + "docker-compose.yml":              compose,
	}
}

// commit commits files, and has GitLab show their config.yml to the page of the nodes.
func (p *pageLab) commit(message string, files map[string]string) string {
	sha := p.lab.commit(message, files)
	p.gitlab.SetFile(sha, configFile, files[configFile])
	return sha
}

// release commits a release by a merge request, and gives the commit and the request.
func (p *pageLab) release(message string, files map[string]string) (commit string, request int64) {
	commit = p.commit(message, files)
	return commit, p.gitlab.AddMerge(gitlabtest.Merge{Commit: commit, Author: "ada"})
}

// approved commits a release whose merge request bob has approved.
func (p *pageLab) approved(message string, files map[string]string) string {
	commit, request := p.release(message, files)
	p.gitlab.Approve(request, "bob")
	return commit
}

// shows waits until the page, which is live and was not loaded again, has all of the texts.
func (p *pageLab) shows(texts ...string) {
	p.t.Helper()
	wanted, err := json.Marshal(texts)
	if err != nil {
		p.t.Fatal(err)
	}
	p.tab.Until(p.t, `window.mark === 1 && document.body.classList.contains("live") && `+string(wanted)+`.every((text) => document.body.innerText.includes(text))`)
}

// opens shows a page, and marks it: a page that is loaded again does not have the mark.
func (p *pageLab) opens(path string) {
	p.t.Helper()
	p.tab.Visit(p.t, path)
	browsertest.Value[int](p.t, p.tab, `window.mark = 1`)
}

// sees waits for texts, and judges the page in its two most different looks.
func (p *pageLab) sees(name string, texts ...string) {
	p.t.Helper()
	p.shows(texts...)
	p.tab.See(p.t, name, browsertest.Desk, browsertest.PhoneDark)
	p.tab.Untroubled(p.t)
}

// document makes a picture for the documents.
func (p *pageLab) document(name string) {
	p.tab.Picture(p.t, name, browsertest.Look{Width: 1200, Height: 800, Scheme: "light"})
}

// healthIs waits until the services are in a state.
func (p *pageLab) healthIs(state string) {
	p.t.Helper()
	p.until(state, func(s report.Status) bool { return s.Health != nil && string(s.Health.State) == state })
}

// hostileText would act in a browser or mislead a reader if it were not inert.
var hostileText = "</title><script>alert(1)</script><img src=//elsewhere.example/x onerror=alert(2)>\"' onload=\"alert(3)\u202egnp.exe\x1b[2J\x1b]0;x\x07 " +
	"<a href=javascript:alert(4)>x</a><style>*{display:none}</style>{{7*7}}${alert(5)}"

// hostileCommit commits a release whose texts are hostile, and one of them has 1 MB.
func (p *pageLab) hostileCommit() string {
	p.t.Helper()
	setting, err := json.Marshal(strings.NewReplacer("$", "$$", "{{", "").Replace(hostileText)) // Swarm itself expands {{
	if err != nil {
		p.t.Fatal(err)
	}
	files := p.files("1.41.0", "HOSTILE: "+string(setting))
	files[node3+"docker-compose.yml"] = strings.Replace(files[node3+"docker-compose.yml"], "APP_RELEASE: $RELEASE, HOSTILE", "APP_RELEASE", 1) // which it prints
	p.repo.Write(files)
	p.repo.Git("add", "--all")
	message := p.file("message", hostileText+strings.Repeat(" <b>\u202e", 1<<17)+"\n")
	p.repo.Git("commit", "--quiet", "--cleanup=verbatim", "--file", message, "--author", strings.NewReplacer("<", "", ">", "").Replace(hostileText)+" <ada@coin.example>")
	sha := p.repo.Head()
	p.gitlab.AddCommit(sha, "master")
	p.gitlab.Approve(p.gitlab.AddMerge(gitlabtest.Merge{Commit: sha, Author: "ada"}), "bob")
	return sha
}
