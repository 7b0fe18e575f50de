package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/sync/gittest"
)

// TestCIPlan waits for the plans of a merge request: one node refuses it, then it does not, and
// two nodes make no plan.
func TestCIPlan(t *testing.T) {
	t.Parallel()
	plan := readJob(t, "plan")
	if plan.Rules[0].When != "never" || !strings.Contains(plan.Rules[0].If, "production") || !strings.Contains(plan.Rules[1].If, "merge_request_event") {
		t.Errorf("rules %+v", plan.Rules)
	}
	p := newPipeline(t)
	p.env = append(append(p.env, plan.variables()...), "COIN_AGENT_GITLAB_TOKEN_FILE=", "AGENT_GITLAB_TOKEN="+gitlabtest.TokenFile(t, "glpat-ci"), "AGENT_ENVIRONMENT=sandbox")
	for i, name := range []string{"node3/plan", "node4/plan"} { // of the same users as the nodes' other statuses
		p.gitlab.SetToken("glpat-"+name, gitlabtest.Token{User: gitlabtest.User{ID: int64(402 + i), Name: "agent-" + fourNodes[2+i], Access: gitlabtest.Maintainer}, Scopes: []string{"api"}})
	}
	script := strings.Replace(plan.script(), "agent wait", "agent wait --poll 1s --settle 2s", 1)
	p.timesOut(limited("", script), "node1: no status")
	p.post("node3/plan", gitlab.Success, "1 service to update; plan 0123456789…")
	p.post("node4/plan", gitlab.Failed, "refused by the node's policy: no")
	p.post("node1", gitlab.Failed, "a rollout does not count")
	p.want(p.start(script)(), exitError, "node4: failed: refused by the node's policy: no", "node3: planned: 1 service to update")
	p.post("node4/plan", gitlab.Success, "no difference")
	p.want(p.start(script)(), 0, "node4: planned: no difference")
}

// TestCIExample holds the example's pipeline to the templates that there are.
func TestCIExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../examples/coin-gitops/.gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var includes []struct{ File []string }
	include := file["include"]
	if err := include.Decode(&includes); err != nil || len(includes) != 1 {
		t.Fatalf("%v, %+v", err, includes)
	}
	templates := map[string]bool{}
	for _, name := range includes[0].File {
		name = strings.TrimSuffix(filepath.Base(name), ".yml")
		readJob(t, name)
		templates["agent:"+name] = true
	}
	there, err := filepath.Glob("../../ci/*.yml")
	if err != nil || len(there) != len(templates) {
		t.Errorf("%d templates, %d included", len(there), len(templates))
	}
	for name, node := range file {
		if name == "workflow" || name == "include" {
			continue
		}
		var job struct{ Extends string }
		if err := node.Decode(&job); err != nil || !templates[job.Extends] {
			t.Errorf("%s extends %q: %v", name, job.Extends, err)
		}
	}
}

// TestCIRotate runs the script of ci/rotate.yml: it opens one merge request, and a second run
// changes nothing.
func TestCIRotate(t *testing.T) {
	t.Parallel()
	rotate := readJob(t, "rotate")
	if rule := rotate.Rules[0].If; len(rotate.Rules) != 1 || !strings.Contains(rule, `"schedule"`) || !strings.Contains(rule, "CI_COMMIT_REF_PROTECTED") {
		t.Errorf("rules %+v", rotate.Rules)
	}
	key, repo := sopstest.NewKey(t), gittest.New(t)
	const node = "environments/sandbox/nodes/node3/"
	repo.Commit("first", map[string]string{ // in 2025
		"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\nnodes:\n  - {name: node3, context: c, stack: s}\nsecrets: {rotation_days: 90}\n",
		node + "docker-compose.yml":       "services:\n  web: {image: \"web:1\", secrets: [db, api]}\nsecrets:\n  db: {file: ./secrets/db, name: db.$SV_db}\n  api: {file: ./secrets/api, name: api.$SV_api}\n",
		node + "node.env":                 "TAG=1\n",
		node + "secrets.enc":              sopstest.YAML(t, key, map[string]string{"db": "canary-db", "api": "canary-api"}),
		node + "secrets.override.enc":     sopstest.YAML(t, key, map[string]string{"SV_db": "1", "SV_api": "1"}),
	})
	served := gittest.HTTP(t, repo.Root(), gittest.Options{})
	p := newPipeline(t)
	p.dir = filepath.Join(t.TempDir(), "clone")
	clone := func() {
		t.Helper()
		if err := os.RemoveAll(p.dir); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("git", "clone", "--quiet", served.URL+"/repo", p.dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	identity := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(identity, []byte(key.Identity+"\n"), 0o644); err != nil { //nolint:gosec // as a runner does
		t.Fatal(err)
	}
	p.gitlab.SetTips(func(branch string) string {
		out, err := exec.Command("git", "-C", repo.Dir, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	})
	p.env = append(append(p.env, rotate.variables()...), "COIN_AGENT_GITLAB_TOKEN_FILE=", "AGENT_GITLAB_TOKEN="+gitlabtest.TokenFile(t, gitlabtest.Secret),
		"AGENT_AGE_KEY="+identity, "AGENT_ENVIRONMENT=sandbox", "AGENT_SECRETS=db", "CI_DEFAULT_BRANCH=master", "AGENT_REPOSITORY="+served.URL+"/repo")
	clone()
	p.want(p.start(rotate.script())(), 0, "1 overdue secret rotated", "merge request ")
	tip := repo.Git("rev-parse", "rotate/sandbox/overdue")
	clone()
	p.want(p.start(rotate.script())(), 0, "0 overdue secrets rotated", "or delete its branch")
	merges := p.gitlab.MergeRequests()
	if len(merges) != 1 || merges[0].Title != "security: rotate overdue secrets of sandbox" || merges[0].SourceBranch != "rotate/sandbox/overdue" {
		t.Errorf("%+v", merges)
	}
	if now := repo.Git("rev-parse", "rotate/sandbox/overdue"); now != tip {
		t.Errorf("the branch moved from %s to %s", tip, now)
	}
	if files := repo.Git("diff", "--name-only", "master", "rotate/sandbox/overdue"); strings.Join(strings.Fields(files), " ") != node+"secrets.enc "+node+"secrets.override.enc" {
		t.Errorf("changed %s", files)
	}
	p.gitlab.CloseMergeRequest(1)
	repo.Git("branch", "--quiet", "--force", "rotate/sandbox/overdue", "master") // another user pushed it
	clone()
	p.want(p.start(rotate.script())(), 1, "skipped db: it is overdue", "git push origin --delete rotate/sandbox/overdue")
	if merges := p.gitlab.MergeRequests(); len(merges) != 1 {
		t.Errorf("opened %+v", merges[1:])
	}
	if strings.Contains(p.text(), "canary") {
		t.Error("the output has a secret")
	}
}

// TestOverdueSkips rotates what can be rotated, and shows by the exit code that a secret is left:
// the value of a whole file is not generated.
func TestOverdueSkips(t *testing.T) {
	t.Parallel()
	key, repo := sopstest.NewKey(t), gittest.New(t)
	const node = "environments/sandbox/nodes/node3/"
	repo.Commit("first", map[string]string{ // in 2025
		"environments/sandbox/config.yml": "environment: {name: sandbox, type: non-production}\nnodes:\n  - {name: node3, context: c, stack: s}\nsecrets: {rotation_days: 90}\n",
		node + "docker-compose.yml":       "services:\n  web: {image: \"web:1\", secrets: [db, cert]}\nsecrets:\n  db: {file: ./secrets/db, name: db.$SV_db}\n  cert: {file: ./secrets/cert, name: cert.$SV_cert}\n",
		node + "node.env":                 "TAG=1\n",
		node + "secrets.enc":              sopstest.YAML(t, key, map[string]string{"db": "canary-db"}),
		node + "secrets/cert.enc":         sopstest.YAML(t, key, map[string]string{"cert": "canary-cert"}),
		node + "secrets.override.enc":     sopstest.YAML(t, key, map[string]string{"SV_db": "1", "SV_cert": "1"}),
	})
	identity := key.File(t)
	var out, errs strings.Builder
	code := run(t.Context(), []string{
		"secrets", "rotate", "--overdue", "--config", "/dev/null", "--repo", repo.Dir, "--environment", "sandbox", "--generate", "32",
		"--author", "Grace <grace@coin.example>", "--age-key-files", identity, "--no-merge-request",
	}, &out, &errs)
	if text := out.String(); code != exitDifferent || !strings.Contains(text, "1 overdue secret rotated") || !strings.Contains(text, "skipped cert: ") || errs.Len() > 0 {
		t.Errorf("%d\n%s%s", code, text, errs.String())
	}
}
