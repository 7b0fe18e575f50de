package release_test

import (
	"maps"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/release"
	"coin.internal/coin-agent/sync/gittest"
)

const (
	sandbox  = "environments/sandbox/"
	testing4 = "environments/testing/"

	sandboxConfig = `environment: {name: sandbox, type: non-production}
nodes:
  - {name: node3, context: c3, stack: app3, role: secondary}
  - {name: node4, context: c4, stack: app4, role: primary}
`
	testingConfig = `environment: {name: testing, type: non-production}
nodes:
  - {name: test1, context: t1, stack: app1, role: secondary}
  - {name: test2, context: t2, stack: app2, role: primary}
  - {name: test3, context: t3, stack: app3, role: secondary}
  - {name: test4, context: t4, stack: app4, role: primary}
deployment: {auto_deploy: false}
approval: {required: true, approvers: [ada, grace], minimum: 2, change_advisory_board: true}
`
	first  = "2025-12-05-ecacdc6c25"
	second = "2025-12-15-11eeef9e99"
	third  = "2026-01-08-0a1b2c3d4e"
)

// web is a compose file. It has ports of its own in each environment.
func web(port, memory, command string) string {
	return `services:
  web:
    image: web:$TAG
    ports: ["` + port + `:80"]
    secrets: [db_access]

    command: ` + command + `
    configs: [nginx]

    deploy:
      replicas: $REPLICAS
      resources: {limits: {memory: ` + memory + `}}

configs:
  nginx: {file: ./nginx.conf, name: nginx.$TAG}
secrets:
  db_access: {file: ./secrets/db_access, name: db_access.$SV_db_access}
`
}

// promotions is a repository of four environments, in which sandbox has the second release.
type promotions struct {
	*gittest.Repo
	t *testing.T
}

func newPromotions(t *testing.T, change func(files map[string]string)) *promotions {
	t.Helper()
	gittest.Person(t)
	p := &promotions{gittest.New(t), t}
	key := sopstest.NewKey(t)
	files := map[string]string{
		sandbox + "config.yml": sandboxConfig, testing4 + "config.yml": testingConfig,
		sandbox + "common/project.env":  "LOG_LEVEL=debug\nFEATURE_BETA_UI=true\n",
		testing4 + "common/project.env": "LOG_LEVEL=info\nFEATURE_BETA_UI=false\n",
	}
	node := func(dir, compose, env, nodeEnv string) {
		files[dir+"docker-compose.yml"] = compose
		files[dir+"nginx.conf"] = "worker_processes 1;\n"
		files[dir+"node.env"] = nodeEnv
		files[dir+"project.env"] = env
		files[dir+"secrets.enc"] = sopstest.YAML(t, key, map[string]string{"db_access": "canary-" + dir})
		files[dir+"secrets.override.env"] = "SV_db_access=3\n"
	}
	for _, name := range []string{"node3", "node4"} {
		node(sandbox+"nodes/"+name+"/", web("80", "512M", "serve"), "MAX_WORKERS=2\n", "TAG="+first+"\nREPLICAS=1\nEXPECTED_MIGRATION_ID=560\n")
	}
	for _, name := range []string{"test1", "test2", "test3", "test4"} {
		node(testing4+"nodes/"+name+"/", web("8080", "2G", "serve"), "MAX_WORKERS=8\n", "export TAG="+first+"\nREPLICAS=3\nexport TAG_WEB=2025-12-06-aaaaaaaaaa\n")
	}
	p.Commit("First release", files)
	files = map[string]string{}
	for _, name := range []string{"node3", "node4"} {
		dir := sandbox + "nodes/" + name + "/"
		files[dir+"docker-compose.yml"] = web("80", "512M", "serve --fast")
		files[dir+"nginx.conf"] = "worker_processes 4;\n"
		files[dir+"node.env"] = "TAG=" + second + "\nREPLICAS=1\nEXPECTED_MIGRATION_ID=565\nRELEASE_VERSION=25.22\n"
	}
	if change != nil {
		change(files)
	}
	p.Commit("Second release", files)
	return p
}

func (p *promotions) plan(of release.Promotion) (*release.PromotionPlan, error) {
	p.t.Helper()
	if of.From == "" {
		of.From, of.To = "sandbox", "testing"
	}
	tree, err := worktree.Open(p.Dir)
	if err != nil {
		p.t.Fatal(err)
	}
	return of.Plan(p.t.Context(), tree, p.Head())
}

func (p *promotions) must(of release.Promotion) *release.PromotionPlan {
	p.t.Helper()
	plan, err := p.plan(of)
	if err != nil {
		p.t.Fatal(err)
	}
	return plan
}

// after gives the files that a plan changes, without the folder of the environment.
func after(plan *release.PromotionPlan) map[string]string {
	all := map[string]string{}
	for _, file := range plan.Files {
		all[strings.TrimPrefix(file.Path, "environments/"+plan.To+"/")] = string(file.After)
	}
	return all
}

// fails wants an error with a text.
func (p *promotions) fails(of release.Promotion, want string) {
	p.t.Helper()
	_, err := p.plan(of)
	if err == nil || !strings.Contains(err.Error(), want) {
		p.t.Errorf("got %v, want %q", err, want)
	}
}

// put adds files to a map.
func put(more map[string]string) func(map[string]string) {
	return func(files map[string]string) { maps.Copy(files, more) }
}
