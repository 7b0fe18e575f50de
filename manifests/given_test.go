package manifests_test

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// fromSeed is the config.yml of sandbox in the seed's section 4.2, with the keys of 6.2.
const fromSeed = `environment: {name: sandbox, type: non-production}
base: {registry: harbor.example.com/coin/release}
nodes:
  - name: node3
    context: wlt-sbx-dkapp3-ams
    public_ip: 10.95.81.131
deployment:
  replicas: 3
  database_pool_size: 50
  log_level: warning
  feature_flags: {new_checkout: true, beta-ui: false}
`

// variables gives those that the files of a node set, by name, without PROJECT_SETTINGS.
func variables(t *testing.T, files map[string]string) map[string]string {
	t.Helper()
	node, err := manifests.Load(repository(files), "sandbox", "node3")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, v := range node.Variables {
		if got[name] = v.Value; v.Place.File == "" || v.Given && v.Place.Line == 0 {
			t.Errorf("%s has the place %v", name, v.Place)
		}
	}
	delete(got, "PROJECT_SETTINGS")
	return got
}

// What config.yml gives is a variable, unless a file of the node sets it.
func TestGivenVariables(t *testing.T) {
	want := map[string]string{
		"ENVIRONMENT": "sandbox", "NODE_NAME": "node3", "STACK_NAME": "node3", "PUBLIC_NODE_IP": "10.95.81.131", "DOCKER_REGISTRY": "harbor.example.com/coin/release",
		"REPLICAS": "3", "DB_POOL_SIZE": "50", "LOG_LEVEL": "debug", "FEATURE_NEW_CHECKOUT": "true", "FEATURE_BETA_UI": "false",
		"TAG": "1", "IMAGE": "harbor.example.com/coin/release/app:1",
	}
	got := variables(t, map[string]string{
		"environments/sandbox/config.yml": fromSeed,
		"node.env":                        "TAG=1\nIMAGE=$DOCKER_REGISTRY/app:$TAG\nLOG_LEVEL=debug\n",
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := variables(t, nil); len(got) != 4 { // ENVIRONMENT, NODE_NAME, STACK_NAME, TAG
		t.Errorf("a small config.yml gives %v", got)
	}
}

// The template of the project settings gets what config.yml gives, unless common/project.env
// sets it. all stands for the flags that are not listed.
func TestGivenInTemplates(t *testing.T) {
	template := "POOL={{DB_POOL_SIZE}}\nLEVEL={{LOG_LEVEL}}\nNEW={{FEATURE_NEW_CHECKOUT}}\nOTHER={{FEATURE_OTHER}}\n"
	for name, test := range map[string]struct{ flags, common, want string }{
		"all":     {"all: true", "", "NEW=true\nOTHER=true"},
		"but one": {"all: true, new_checkout: false", "", "NEW=false\nOTHER=true"},
		"none":    {"all: false", "", "NEW=false\nOTHER=false"},
		"set":     {"all: true", "FEATURE_OTHER=50\n", "NEW=true\nOTHER=50"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{
				"environments/sandbox/config.yml": strings.Replace(fromSeed, "new_checkout: true, beta-ui: false", test.flags, 1),
				"templates/project.env.template":  template, commonFile: test.common, "node.env": "TAG=1\n", "project.env": "",
			}
			node, err := manifests.Load(repository(files), "sandbox", "node3")
			if err != nil {
				t.Fatal(err)
			}
			content, err := fs.ReadFile(node.FS, path.Join(node.Dir, ".project.tmp.env"))
			if want := "POOL=50\nLEVEL=warning\n" + test.want + "\n"; err != nil || string(content) != want {
				t.Errorf("%v: got %q, want %q", err, content, want)
			}
		})
	}
	missing := strings.Replace(fromSeed, "new_checkout: true, beta-ui: false", "beta: true", 1)
	_, err := settings(map[string]string{"environments/sandbox/config.yml": missing, "templates/project.env.template": template})
	wantFault(t, err, "values are missing for {{FEATURE_NEW_CHECKOUT}} (line 3), {{FEATURE_OTHER}} (line 4)")
}

// Flags that cannot be variables of their own are refused.
func TestFeatureFlagNames(t *testing.T) {
	for flags, want := range map[string]string{
		"a-b: true, a_b: true": "the flags a-b and a_b are both the variable FEATURE_A_B",
		"'a b': true":          `the name of the flag "a b" has another character`,
	} {
		_, err := loadConfig("sandbox", plainConfig+"deployment: {feature_flags: {"+flags+"}}\n")
		wantFault(t, err, want)
	}
}

// Several files set the variables, each over the one before; that of the context comes first.
func TestNodeFiles(t *testing.T) {
	listed := strings.Replace(plainConfig, "stack: sbxapp3", "node_files: [base.env, ../shared.env]", 1)
	for name, test := range map[string]struct {
		config string
		want   map[string]string
	}{
		"default": {plainConfig, map[string]string{"A": "context", "B": "node", "C": "node"}},
		"listed":  {listed, map[string]string{"A": "context", "B": "base", "C": "shared"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := variables(t, map[string]string{
				"environments/sandbox/config.yml": test.config, "wlt-sbx-dkapp3-ams.env": "A=context\nB=context\n",
				"node.env": "B=node\nC=node\n", "base.env": "B=base\nC=base\n", "environments/sandbox/nodes/shared.env": "C=shared\n",
			})
			for _, name := range []string{"ENVIRONMENT", "NODE_NAME", "STACK_NAME"} {
				delete(got, name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	_, err := manifests.Load(repository(map[string]string{"environments/sandbox/config.yml": listed}), "sandbox", "node3")
	wantFault(t, err, "environments/sandbox/nodes/node3/base.env is missing")
}

// A node without a stack's name gets its own, where that is one.
func TestStackOfTheNodesName(t *testing.T) {
	_, err := loadConfig("sandbox", "environment: {name: sandbox, type: non-production}\nnodes: [{name: node.3}]\n")
	wantFault(t, err, "node node.3 has no stack, and its name is no name of a stack")
}

// TestSeed reads the seed's config.yml files (4.2 and 6.2) as they are written there.
func TestSeed(t *testing.T) {
	for file, want := range map[string]struct{ environment, fault string }{
		"sandbox.yml":         {"sandbox", ""},
		"production.yml":      {"production", ""},
		"development-6.2.yml": {"development", `required key "environment" is missing|required key "nodes" is missing`},
		"production-6.2.yml":  {"production", `required key "environment" is missing|required key "nodes" is missing`},
	} {
		t.Run(file, func(t *testing.T) {
			content, err := os.ReadFile("testdata/seed/" + file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = loadConfig(want.environment, string(content))
			var faults []string
			for _, one := range fault.All(err) {
				faults = append(faults, one.Error())
			}
			if got := strings.Join(faults, "|"); (got == "") != (want.fault == "") {
				t.Errorf("got %q, want %q", got, want.fault)
			}
			for part := range strings.SplitSeq(want.fault, "|") {
				if !strings.Contains(strings.Join(faults, "|"), part) {
					t.Errorf("got %q, want %q", faults, part)
				}
			}
			if lacking := "environment: {name: " + want.environment + ", type: non-production}\nnodes: [{name: a, role: primary}, {name: b, role: secondary}]\n"; want.fault != "" {
				if len(faults) != 2 {
					t.Errorf("it lacks more than two keys: %q", faults)
				}
				if _, err := loadConfig(want.environment, lacking+string(content)); err != nil {
					t.Errorf("with both keys: %v", err)
				}
			}
		})
	}
}
