package rotate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/rotate"
)

// TestRotateStacks rotates a value that two stacks of a node share, by different names: it changes
// once, and each version of it is raised. The third stack has a value of its own, and keeps it.
func TestRotateStacks(t *testing.T) {
	l := newLab(t, func(key sopstest.Key, files map[string]string) {
		files["environments/sandbox/config.yml"] = "environment: {name: sandbox, type: non-production}\nnodes:\n" +
			"  - {name: node3, context: c3, stacks: [{name: system}, {name: platform}, {name: business}]}\n"
		files[nodes+"node3/docker-compose.yml"] = ""
		define := func(stack, name string) {
			files[nodes+"node3/"+stack+"/docker-compose.yml"] = "services:\n  web: {image: 'web:1'}\nsecrets:\n  " + name + "\n"
		}
		define("system", "db_access: {file: secrets/db_access, name: db_access.$SV_db_access}")
		define("platform", "password: {file: ../secrets/db_access, name: platform_password.$SV_platform}")
		define("business", "own: {file: secrets/own, name: own.$SV_own}")
		files[nodes+"node3/platform/secrets.override.env"] = "SV_platform=7\n"
		files[nodes+"node3/business/secrets.enc"] = sopstest.YAML(t, key, map[string]string{"own": "canary-own"})
	})
	plan := l.must(given("db_access", "canary-new")).Plan
	var got []string
	for _, node := range plan.Nodes {
		for _, secret := range node.Secrets {
			got = append(got, node.Name+" "+node.Stack+" "+secret.Old+" "+secret.New+" "+node.Versions[0].File)
		}
	}
	want := []string{
		"node3 system db_access.3 db_access.4 " + nodes + "node3/secrets.override.enc",
		"node3 platform platform_password.7 platform_password.8 " + nodes + "node3/platform/secrets.override.env",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	var changed []string
	for _, file := range plan.Files {
		changed = append(changed, file.Path)
	}
	if diff := cmp.Diff([]string{nodes + "node3/platform/secrets.override.env", nodes + "node3/secrets.enc", nodes + "node3/secrets.override.enc"}, changed); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	again := l.must(rotate.Request{Name: "own", Environment: "sandbox", Generate: rotate.Generate{Length: 24, Charset: "hex"}})
	if one := again.Plan.Nodes; len(one) != 1 || one[0].Stack != "business" || one[0].Versions[0].File != nodes+"node3/business/secrets.override.env" {
		t.Errorf("got %+v", one)
	}
}

// TestRotateInOneStack rotates a name that two stacks have with values of their own.
func TestRotateInOneStack(t *testing.T) {
	l := newLab(t, func(key sopstest.Key, files map[string]string) {
		files["environments/sandbox/config.yml"] = "environment: {name: sandbox, type: non-production}\nnodes:\n" +
			"  - {name: node3, context: c3, stacks: [{name: system}, {name: platform}]}\n"
		files[nodes+"node3/docker-compose.yml"] = ""
		for _, stack := range []string{"system", "platform"} {
			files[nodes+"node3/"+stack+"/docker-compose.yml"] = "services:\n  web: {image: 'web:1'}\nsecrets:\n  own: {file: secrets/own, name: " + stack + "_own.$SV_own}\n"
			files[nodes+"node3/"+stack+"/secrets.enc"] = sopstest.YAML(t, key, map[string]string{"own": "canary-" + stack})
		}
	})
	asked := rotate.Request{Name: "own", Environment: "sandbox", Stack: "platforms", Generate: rotate.Generate{Length: 24, Charset: "hex"}}
	if _, err := l.rotate(asked); err == nil || err.Error() != `no node of sandbox has a stack "platforms"` {
		t.Errorf("an unknown stack: %v", err)
	}
	asked.Stack = "platform"
	made := l.must(asked)
	if changed := made.Plan.Nodes; len(changed) != 1 || changed[0].Stack != "platform" {
		t.Errorf("got %+v", changed)
	}
	if again := l.must(asked).Commit; !again.Taken || again.Hash != made.Commit.Hash {
		t.Errorf("a second run: %+v", again)
	}
	asked.Stack = "system" // another secret of the same name, beside the branch of the first one
	other := l.must(asked)
	if changed := other.Plan.Nodes; other.Commit.Taken || other.Commit.Branch == made.Commit.Branch || len(changed) != 1 || changed[0].Stack != "system" {
		t.Errorf("of the other stack: %+v, %+v", other.Commit, changed)
	}
}
