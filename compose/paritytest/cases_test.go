package paritytest

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/manifests"
)

// intended lists the differences of each case that docs/parity-tests.md explains. The tests
// fail when a difference no longer exists, so that it is removed from the page.
var intended = map[string][]difference{
	"braces": {
		{"services.app.Labels.com.docker.stack.image", `"registry.invalid/app:1.27"`, `"registry.invalid/app:1.27-alpine"`},
		{"services.app.TaskTemplate.ContainerSpec.Env[0]", `"DASH=app-value"`, `"DASH=app-value-net"`},
		{"services.app.TaskTemplate.ContainerSpec.Env[1]", `"DEFAULT_DOLLAR=a$$b"`, `"DEFAULT_DOLLAR=a$b"`},
		{"services.app.TaskTemplate.ContainerSpec.Env[2]", `"NESTED=${SET}"`, `"NESTED=value"`},
		{"services.app.TaskTemplate.ContainerSpec.Env[3]", `"NESTED_SET=value}"`, `"NESTED_SET=value"`},
		{"services.app.TaskTemplate.ContainerSpec.Image", `"registry.invalid/app:1.27"`, `"registry.invalid/app:1.27-alpine"`},
		{"services.app.TaskTemplate.ContainerSpec.Mounts[0].TmpfsOptions.Mode", "", `1016`},
		{"services.app.TaskTemplate.ContainerSpec.Secrets[0].File.Mode", `440`, `288`},
	},
	"network-mode": {
		{"networks.default.Attachable", `false`, ""},
		{"networks.default.ConfigFrom", `null`, ""},
		{"networks.default.ConfigOnly", `false`, ""},
		{"networks.default.Driver", `"overlay"`, ""},
		{"networks.default.IPAM", `null`, ""},
		{"networks.default.Ingress", `false`, ""},
		{"networks.default.Internal", `false`, ""},
		{"networks.default.Labels.com.docker.stack.namespace", `"stack"`, ""},
		{"networks.default.Options", `null`, ""},
		{"networks.default.Scope", `""`, ""},
		{"services.app.TaskTemplate.Networks[0].Aliases[0]", `"app"`, ""},
		{"services.app.TaskTemplate.Networks[0].Target", `"stack_default"`, `"host"`},
	},
}

// newer lists the cases that docker 20.10 refuses or renders differently. Render follows
// docker 28.
var newer = map[string]bool{
	"health-start-interval": true, "job": true, "job-global": true, "jobs": true, "merge-newer": true,
	"networks-attachment": true, "newer": true, "volumes-cluster": true, "volumes-subpath": true,
}

// needs lists the cases with a field that requires an API version of the engine.
var needs = map[string]string{
	"health-start-interval": "1.44",
	"volumes-cluster":       "1.42",
	"volumes-subpath":       "1.45",
}

// unready lists the cases that the private engine cannot run. The test compares docker's
// requests, and does not apply the case.
var unready = map[string]string{
	"secrets-driver": "there is no plugin for secrets",
}

// TestCases deploys the cases in testdata, a repository with a node for each, in both
// orders: docker first and then the agent, and the agent first and then docker.
func TestCases(t *testing.T) {
	repository := os.DirFS("testdata")
	names, err := manifests.Nodes(repository, "cases")
	if err != nil {
		t.Fatal(err)
	}
	unscheduled(t)
	total := &count{}
	t.Cleanup(func() { total.log(t) }) // the cases run in parallel, and end after this function
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each has ports and names of its own; its two stacks share them
			t.Run("docker-first", func(t *testing.T) { dockerFirst(t, repository, name, total) })
			t.Run("agent-first", func(t *testing.T) { agentFirst(t, repository, name) })
		})
	}
}

func dockerFirst(t *testing.T, repository fs.FS, name string, total *count) {
	t.Helper()
	trial := newTrial(t, repository, "cases", name)
	found, err := trial.compare(t, total)
	if docker(t).old() && newer[name] {
		if err == nil && len(found) == 0 {
			t.Errorf("this version of docker does not differ")
		}
		return
	}
	if err != nil && unready[name] == "" && !trial.engineRefuses(t, name) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(intended[name], found, cmp.AllowUnexported(difference{})); diff != "" {
		t.Errorf("differences from docker stack deploy (-intended +found):\n%s", diff)
	}
	if len(found) == 0 && unready[name] == "" && !trial.engineRefuses(t, name) {
		trial.adopts(t)
		trial.overwritten(t)
	}
}

func agentFirst(t *testing.T, repository fs.FS, name string) {
	t.Helper()
	trial := newTrial(t, repository, "cases", name)
	if unready[name] != "" {
		return
	}
	plan, _, err := trial.agent(t)
	if trial.engineRefuses(t, name) {
		if err == nil || !strings.Contains(err.Error(), "needs engine API "+needs[name]) {
			t.Errorf("plan: %v, want it to name API %s", err, needs[name])
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(plan.Steps, func(s deploy.Step) bool { return s.Action != deploy.Create }) {
		t.Errorf("plan for an empty engine: %+v", plan.Steps)
	}
	trial.settled(t)
	if intended[name] == nil && (!docker(t).old() || !newer[name]) {
		trial.overwritten(t)
	}
}
