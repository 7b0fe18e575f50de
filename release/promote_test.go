package release_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/release"
)

// What moves is the release and what it changed. The environment's own lines stay.
func TestPromotionMovesTheRelease(t *testing.T) {
	p := newPromotions(t, nil)
	plan := p.must(release.Promotion{})
	want := map[string]string{}
	for _, name := range []string{"test1", "test2", "test3", "test4"} {
		dir := "nodes/" + name + "/"
		want[dir+"docker-compose.yml"] = web("8080", "2G", "serve --fast")
		want[dir+"nginx.conf"] = "worker_processes 4;\n"
		want[dir+"node.env"] = "export TAG=" + second + "\nREPLICAS=3\n#export TAG_WEB=2025-12-06-aaaaaaaaaa\nEXPECTED_MIGRATION_ID=565\nRELEASE_VERSION=25.22\n"
	}
	if diff := cmp.Diff(want, after(plan)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]release.Pair{{To: "test1", From: "node3"}, {To: "test2", From: "node4"}, {To: "test3", From: "node3"}, {To: "test4", From: "node4"}}, plan.Nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if want := (release.Dropped{Node: "test1", Name: "TAG_WEB", Tag: "2025-12-06-aaaaaaaaaa"}); len(plan.Dropped) != 4 || plan.Dropped[0] != want {
		t.Errorf("dropped: %v", plan.Dropped)
	}
	if want := (release.Differs{Node: "test1", Name: "FEATURE_BETA_UI", From: "true", To: "false"}); len(plan.Flags) != 4 || plan.Flags[0] != want {
		t.Errorf("flags: %v", plan.Flags)
	}
	wantResources := []release.Resource{
		{Node: "test1", Service: "web", What: "limit of memory", From: "512 MiB", To: "2 GiB", After: "2 GiB"},
		{Node: "test1", Service: "web", What: "replicas", From: "1", To: "3", After: "3"},
	}
	if len(plan.Resources) != 8 {
		t.Fatalf("resources: %v", plan.Resources)
	}
	if diff := cmp.Diff(wantResources, plan.Resources[:2]); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	if plan.Release != second || len(plan.Lacking)+len(plan.Secrets)+len(plan.Problems)+len(plan.LeftOut) > 0 {
		t.Errorf("got %+v", plan)
	}
	wantDiff := `--- a/environments/testing/nodes/test1/nginx.conf
+++ b/environments/testing/nodes/test1/nginx.conf
@@ -1,1 +1,1 @@
-worker_processes 1;
+worker_processes 4;
`
	if got := plan.Changes[1].Diff; got != wantDiff {
		t.Errorf("got diff\n%s", got)
	}
}

// What a promotion has moved does not move again.
func TestPromotedTwice(t *testing.T) {
	p := newPromotions(t, nil)
	files := map[string]string{}
	for _, file := range p.must(release.Promotion{}).Files {
		files[file.Path] = string(file.After)
	}
	p.Commit("Promote", files)
	if plan := p.must(release.Promotion{}); len(plan.Files) > 0 {
		t.Errorf("a second promotion changes %v", after(plan))
	}
	// A change of the files under the same release moves.
	p.Commit("Mend", map[string]string{sandbox + "nodes/node3/nginx.conf": "worker_processes 8;\n"})
	want := map[string]string{"nodes/test1/nginx.conf": "worker_processes 8;\n", "nodes/test3/nginx.conf": "worker_processes 8;\n"}
	if diff := cmp.Diff(want, after(p.must(release.Promotion{}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The migration ID moves from settings, too, to where the node has it. A variable without a value
// is not set.
func TestPromotionMovesTheMigration(t *testing.T) {
	p := newPromotions(t, put(map[string]string{
		sandbox + "nodes/node3/node.env":     "TAG=" + second + "\nREPLICAS=1\nTASK_ID=\n",
		sandbox + "nodes/node3/project.env":  "MAX_WORKERS=2\nEXPECTED_MIGRATION_ID=565\n",
		testing4 + "nodes/test1/node.env":    "TAG=" + first + "\nREPLICAS=3\nTASK_ID=7\n",
		testing4 + "nodes/test1/project.env": "MAX_WORKERS=8\nEXPECTED_MIGRATION_ID=560\n",
	}))
	files := after(p.must(release.Promotion{}))
	if got := files["nodes/test1/project.env"]; got != "MAX_WORKERS=8\nEXPECTED_MIGRATION_ID=565\n" {
		t.Errorf("test1 gets the settings %q", got)
	}
	if got, want := files["nodes/test1/node.env"], "TAG="+second+"\nREPLICAS=3\nTASK_ID=7\n"; got != want {
		t.Errorf("test1 gets %q", got)
	}
	if got := files["nodes/test3/node.env"]; !strings.Contains(got, "EXPECTED_MIGRATION_ID=565\n") {
		t.Errorf("test3 gets %q", got)
	}
}

// A setting of the environment that shares its line with a service's own release is not lost.
func TestPromotionKeepsWhatSharesALine(t *testing.T) {
	p := newPromotions(t, put(map[string]string{testing4 + "nodes/test1/node.env": "TAG=" + first + "\nTAG_WEB=2025-12-06-aaaaaaaaaa REPLICAS=3\n"}))
	p.fails(release.Promotion{}, "shares its line with another assignment")
}

// What FROM has added to a release after its first commit, and removed with the next one, is
// removed in TO as well: the files that an earlier promotion moved are the base.
func TestPromotionRemovesWhatWasRemoved(t *testing.T) {
	p := newPromotions(t, nil)
	p.Commit("Debug", map[string]string{sandbox + "nodes/node3/nginx.conf": "worker_processes 4;\n\ndebug on;\n"})
	plan := p.must(release.Promotion{})
	files := map[string]string{}
	for _, file := range plan.Files {
		files[file.Path] = string(file.After)
	}
	p.Commit(plan.Message(""), files)
	p.Commit("Third release", map[string]string{
		sandbox + "nodes/node3/nginx.conf": "worker_processes 4;\n",
		sandbox + "nodes/node3/node.env":   "TAG=" + third + "\nREPLICAS=1\n", sandbox + "nodes/node4/node.env": "TAG=" + third + "\nREPLICAS=1\n",
	})
	if got := after(p.must(release.Promotion{}))["nodes/test1/nginx.conf"]; got != "worker_processes 4;\n" {
		t.Errorf("test1 gets %q", got)
	}
}

func TestPromotionOrder(t *testing.T) {
	p := newPromotions(t, nil)
	for _, step := range []string{"sandbox production", "testing sandbox", "sandbox sandbox", "sandbox live"} {
		from, to, _ := strings.Cut(step, " ")
		p.fails(release.Promotion{From: from, To: to}, "a release does not move from "+from+" to "+to)
	}
	if want := []string{"development sandbox", "sandbox testing", "testing production"}; !slices.Equal(release.Steps(), want) {
		t.Errorf("got %v", release.Steps())
	}
}

// A setting that looks like a secret is named with its file, without its value.
func TestPromotionShowsNoSecret(t *testing.T) {
	p := newPromotions(t, put(map[string]string{sandbox + "common/project.env": "LOG_LEVEL=debug\nFEATURE_BETA_UI=true\nSMTP_PASSWORD=canary-3f9c1e\n"}))
	plan := p.must(release.Promotion{})
	if len(plan.Lacking) != 1 || plan.Lacking[0].Name != "SMTP_PASSWORD" || plan.Lacking[0].Of != sandbox+"common/project.env" {
		t.Fatalf("lacking %+v", plan.Lacking)
	}
	data, err := json.Marshal(plan)
	if all := string(data) + plan.Text(nil, "") + plan.Lacking[0].Shown(); err != nil || strings.Contains(all, "canary") {
		t.Errorf("the value is in\n%s, %v", all, err)
	}
}

// A setting that looks like a secret, by its name and value in From or by its answer, is refused: a
// promotion would bring the plaintext to git.
func TestPromotionRefusesSecrets(t *testing.T) {
	tests := []struct {
		name, env, node, set, want string
	}{
		{"named", "SMTP_PASSWORD=canary-3f9c1e\n", "", "SMTP_PASSWORD=canary-77", testing4 + "common/project.env: SMTP_PASSWORD looks like a secret"},
		{"harmless answer", "SMTP_PASSWORD=canary-3f9c1e\n", "", "SMTP_PASSWORD=none", "SMTP_PASSWORD looks like a secret"},
		{"empty in From", "SMTP_PASSWORD=\n", "", "SMTP_PASSWORD=canary-77", "SMTP_PASSWORD looks like a secret"},
		{"by its form", "MAILER=none\n", "", "MAILER=smtp://mail:canary-77@relay", "MAILER looks like a secret"},
		{"variable", "", "API_TOKEN=canary-3f9c1e\n", "API_TOKEN=canary-77", testing4 + "nodes/test1/node.env: API_TOKEN looks like a secret"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPromotions(t, put(map[string]string{
				sandbox + "common/project.env":   "LOG_LEVEL=debug\nFEATURE_BETA_UI=true\n" + test.env,
				sandbox + "nodes/node3/node.env": "TAG=" + second + "\nREPLICAS=1\n" + test.node,
			}))
			name, value, _ := strings.Cut(test.set, "=")
			_, err := p.plan(release.Promotion{Answers: []release.Answer{{Name: name, Value: value}}})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(fault.Hint(err), "secrets.enc") || !strings.Contains(fault.Hint(err), "--leave "+name) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if text := fmt.Sprint(err, fault.Hint(err)); strings.Contains(text, "canary") {
				t.Errorf("the value is in %s", text)
			}
			if plan := p.must(release.Promotion{Leave: []string{name}}); plan.Refused() != nil || len(plan.Problems) > 0 {
				t.Errorf("without it: %v, %v", plan.Refused(), plan.Problems)
			}
		})
	}
}

// What a file of From brings is searched for secrets, too. One that To has already is a problem.
func TestPromotionScansTheResult(t *testing.T) {
	brings := strings.Replace(web("80", "512M", "serve --fast"), "    configs:", "    environment: {DB_PASSWORD: canary-3f9c1e}\n    configs:", 1)
	p := newPromotions(t, put(map[string]string{sandbox + "nodes/node3/docker-compose.yml": brings}))
	p.fails(release.Promotion{}, testing4+"nodes/test1/docker-compose.yml:8: DB_PASSWORD looks like a secret in plaintext")

	p = newPromotions(t, put(map[string]string{testing4 + "nodes/test1/node.env": "TAG=" + first + "\nREPLICAS=3\nDB_PASSWORD=canary-3f9c1e\nAPI_TOKEN=canary-77\n"}))
	want := []string{testing4 + "nodes/test1/node.env:3: DB_PASSWORD looks like a secret in plaintext", testing4 + "nodes/test1/node.env:4: API_TOKEN looks like a secret in plaintext"}
	if diff := cmp.Diff(want, p.must(release.Promotion{}).Problems); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Settings that From has and To lacks need an answer each.
func TestPromotionAsksForSettings(t *testing.T) {
	p := newPromotions(t, put(map[string]string{
		sandbox + "common/project.env":       "LOG_LEVEL=debug\nFEATURE_BETA_UI=true\nDB_TIMEOUT=30\n",
		sandbox + "nodes/node3/project.env":  "MAX_WORKERS=2\nPUBLIC_URL=https://node3\n",
		sandbox + "nodes/node4/node.env":     "TAG=" + second + "\nREPLICAS=1\nCACHE='a b'\nSV_new=1\n",
		sandbox + "nodes/node3/node.env":     "TAG=" + second + "\nREPLICAS=1\n",
		testing4 + "nodes/test3/project.env": "PUBLIC_URL=https://test3\n",
	}))
	plan := p.must(release.Promotion{})
	var got []string
	for _, one := range plan.Lacking {
		if one.Of == "" || !strings.Contains(one.Shown(), one.Value) {
			t.Errorf("%s is %s in %q", one.Name, one.Shown(), one.Of)
		}
		got = append(got, one.Node+" "+one.Name+"="+one.Value+" "+strings.TrimPrefix(one.File, testing4))
	}
	want := []string{" DB_TIMEOUT=30 common/project.env", "test1 PUBLIC_URL=https://node3 nodes/test1/project.env", "test2 CACHE=a b nodes/test2/node.env", "test3 MAX_WORKERS=2 nodes/test3/project.env", "test4 CACHE=a b nodes/test4/node.env"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lacking (-want +got):\n%s", diff)
	}
	answered := release.Promotion{
		Answers: []release.Answer{{Name: "DB_TIMEOUT", Value: "60"}, {Name: "PUBLIC_URL", Value: "https://test1"}, {Name: "CACHE", Value: "x y"}, {Node: "test4", Name: "CACHE", Value: "z"}},
		Leave:   []string{"MAX_WORKERS"},
	}
	plan = p.must(answered)
	if len(plan.Lacking) > 0 || !slices.Equal(plan.Left, []string{"MAX_WORKERS"}) {
		t.Errorf("lacking %v, left %v", plan.Lacking, plan.Left)
	}
	files := after(plan)
	for file, want := range map[string]string{
		"common/project.env": "LOG_LEVEL=info\nFEATURE_BETA_UI=false\nDB_TIMEOUT=60\n", "nodes/test1/project.env": "MAX_WORKERS=8\nPUBLIC_URL=https://test1\n",
	} {
		if files[file] != want {
			t.Errorf("%s is %q", file, files[file])
		}
	}
	for file, want := range map[string]string{"nodes/test2/node.env": "\nCACHE='x y'\n", "nodes/test4/node.env": "\nCACHE=z\n"} {
		if !strings.Contains(files[file], want) {
			t.Errorf("%s is %q", file, files[file])
		}
	}
	if strings.Contains(strings.Join(sortedValues(files), ""), "SV_new") {
		t.Error("the version of a secret moved")
	}
	answered.Answers = append(answered.Answers, release.Answer{Name: "LOG_LEVEL", Value: "x"})
	p.fails(answered, "testing does not lack the setting LOG_LEVEL")
	answered.Answers = []release.Answer{{Name: "DB_TIMEOUT", Value: "6\nEVIL=1"}}
	p.fails(answered, "DB_TIMEOUT has a control character")
}

func sortedValues(of map[string]string) (all []string) {
	for _, value := range of {
		all = append(all, value)
	}
	slices.Sort(all)
	return all
}

// Secrets never move. Those that the release needs and the environment lacks are listed.
func TestPromotionNamesMissingSecrets(t *testing.T) {
	with := func(port string) string {
		return strings.ReplaceAll(strings.ReplaceAll(web(port, "512M", "serve"), "secrets: [db_access]", "secrets: [db_access, api_key]"),
			"secrets:\n", "secrets:\n  api_key: {file: ./secrets/api_key, name: api_key.$SV_api_key}\n")
	}
	p := newPromotions(t, func(files map[string]string) {
		for _, name := range []string{"node3", "node4"} {
			dir := sandbox + "nodes/" + name + "/"
			files[dir+"docker-compose.yml"] = with("80")
			files[dir+"secrets/api_key"] = "not encrypted"
		}
		files[sandbox+"config.yml"] = sandboxConfig + "allow_plaintext_secrets: true\n"
	})
	plan := p.must(release.Promotion{})
	if want := (release.Missing{Node: "test1", Name: "api_key"}); len(plan.Secrets) != 4 || plan.Secrets[0] != want {
		t.Errorf("secrets: %v", plan.Secrets)
	}
	for file, content := range after(plan) {
		if strings.Contains(file, "secrets") || strings.Contains(content, "not encrypted") {
			t.Errorf("%s moved", file)
		}
	}
}

// A compose file that only From has stays there, unless the user names it.
func TestPromotionLeavesOutFurtherComposeFiles(t *testing.T) {
	p := newPromotions(t, put(map[string]string{sandbox + "nodes/node3/docker-compose-testshop.yaml": "services: {shop: {image: 'shop:1'}}\n"}))
	plan := p.must(release.Promotion{})
	if want := []string{sandbox + "nodes/node3/docker-compose-testshop.yaml"}; !slices.Equal(plan.LeftOut, want) {
		t.Errorf("left out: %v", plan.LeftOut)
	}
	plan = p.must(release.Promotion{Files: []string{"docker-compose-testshop.yaml"}})
	if len(plan.LeftOut) > 0 || !strings.Contains(after(plan)["nodes/test3/docker-compose-testshop.yaml"], "shop:1") {
		t.Errorf("got %v, left out %v", after(plan), plan.LeftOut)
	}
}

// A name of a file that does not move is an error, not ignored.
func TestPromotionOfUnknownFiles(t *testing.T) {
	p := newPromotions(t, nil)
	want := `no node of testing gets a file "docker-compose-tesshop.yaml" from sandbox`
	p.fails(release.Promotion{Files: []string{"docker-compose-tesshop.yaml"}}, want)
	p.fails(release.Promotion{Replace: []string{"docker-compose-tesshop.yaml"}}, want)
}

// Where both sides changed the same lines, a user decides.
func TestPromotionConflicts(t *testing.T) {
	p := newPromotions(t, put(map[string]string{testing4 + "nodes/test2/docker-compose.yml": web("8080", "2G", "serve --safe")}))
	p.fails(release.Promotion{}, "environments/testing/nodes/test2/docker-compose.yml:7: sandbox and testing have both changed these lines")
	plan := p.must(release.Promotion{Replace: []string{"docker-compose.yml"}})
	if got := after(plan)["nodes/test2/docker-compose.yml"]; got != web("80", "512M", "serve --fast") {
		t.Errorf("got %s", got)
	}
}

// A release that From never had leaves no common version to compare with.
func TestPromotionWithoutACommonRelease(t *testing.T) {
	p := newPromotions(t, put(map[string]string{testing4 + "nodes/test2/node.env": "TAG=2025-01-01-0000000000\nREPLICAS=3\n"}))
	p.fails(release.Promotion{}, "environments/testing/nodes/test2/docker-compose.yml: the file differs from environments/sandbox/nodes/node4/docker-compose.yml, and the history has no release that both had")
}

// The table of config.yml goes before the roles.
func TestPromotionNodes(t *testing.T) {
	one := strings.Replace(testingConfig, "deployment:", "promote: {test1: node4, test4: node3}\ndeployment:", 1)
	p := newPromotions(t, put(map[string]string{testing4 + "config.yml": one}))
	want := []release.Pair{{To: "test1", From: "node4"}, {To: "test2", From: "node4"}, {To: "test3", From: "node3"}, {To: "test4", From: "node3"}}
	if diff := cmp.Diff(want, p.must(release.Promotion{}).Nodes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p.Commit("Wrong", map[string]string{testing4 + "config.yml": strings.Replace(testingConfig, "deployment:", "promote: {test1: node5}\ndeployment:", 1)})
	p.fails(release.Promotion{}, `promote names "node5" for test1, which is not a node of sandbox`)
	p.Commit("No role", map[string]string{sandbox + "config.yml": strings.ReplaceAll(sandboxConfig, "secondary", "primary"), testing4 + "config.yml": testingConfig})
	p.fails(release.Promotion{}, "no node of sandbox has the role secondary of test1; its nodes are node3, node4")
}

// Nodes of From with different releases have none that could move.
func TestPromotionOfDifferentReleases(t *testing.T) {
	p := newPromotions(t, put(map[string]string{sandbox + "nodes/node4/node.env": "TAG=" + first + "\nREPLICAS=1\n"}))
	p.fails(release.Promotion{}, "the nodes of sandbox have different releases: "+second+" and "+first)
}
