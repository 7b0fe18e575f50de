package importer_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
	"coin.internal/coin-agent/secrets"
)

func TestMain(m *testing.M) { os.Exit(swarmtest.Main(m)) }

// deploymentScript does what deployment.sh does for `deploy`: it sources the node's settings,
// joins the project's, splits off those of the APIs, and gives versions and tags their defaults.
const deploymentScript = `set -eu
set -a
. ./node.env
PROJECT_SETTINGS=.project.tmp.env
echo '' > .project.tmp.env
for file in project.env project_node3.env; do cat $file >> .project.tmp.env; echo >> .project.tmp.env; done
grep ^CLIENT_API .project.tmp.env | sed 's/^CLIENT_//' > .project.client.tmp.env
for name in $(grep -ho 'TAG_[A-Z_]*' docker-compose*.y*ml); do eval ": \"\${$name:=$TAG}\""; done
. ./secrets.override.env
for name in $(grep -ho 'SV_[a-z_]*' *.y*ml); do eval ": \"\${$name:=0}\""; done
exec docker stack deploy --prune --resolve-image never -c docker-compose.yml -c custom.secrets.yml -c docker-compose-testshop.yaml sbxapp3
`

// A stack that the scripts deployed from the directory goes on without a restart after the import,
// which the built program makes.
func TestImportRestartsNothing(t *testing.T) {
	t.Parallel()
	shared := swarmtest.Engine(t)
	shared.Image(t, "coin/app:1")
	name := shared.Named(t, "sbxapp3")
	files := release()
	files["secrets.override.env"] = "SV_db_access=2\nSV_webhook_auth=1\n"
	l := newLab(t, files)
	script := exec.CommandContext(t.Context(), "bash", "-c", deploymentScript)
	script.Dir, script.Env = l.request.Dir, []string{"PATH=" + os.Getenv("PATH"), "DOCKER_HOST=" + shared.Host, "DOCKER_CONFIG=" + t.TempDir()}
	if output, err := script.CombinedOutput(); err != nil {
		t.Fatalf("docker stack deploy: %v\n%s", err, output)
	}
	services := []string{name + "_shop", name + "_web"}
	before := running(t, shared, services)
	agent := program(t, l)
	agent(0, "import", l.request.Dir, "--environment", "sandbox", "--node", "node3", "-n", "wlt-sbx-dkapp3-ams", "-w", "sbxapp3")
	if err := os.RemoveAll(l.request.Dir); err != nil { // nothing needs it any more
		t.Fatal(err)
	}
	said := agent(3, "diff", "--environment", "sandbox", "--node", "node3", "--engine", shared.Host, "--config", "/dev/null")
	if !strings.Contains(said, "without restarting a task: "+strings.Join(services, ", ")) {
		t.Errorf("diff says:\n%s", said)
	}
	keys := l.key.Keyring(t)
	stack, err := desired.Render(t.Context(), os.DirFS(l.request.Repo), desired.Options{
		Environment: "sandbox", Node: "node3", Keys: func() (*secrets.Keyring, error) { return keys, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	stack.Resolve = compose.ResolveNever // the image is in no registry
	engine, err := deploy.Connect(shared.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	live, plan := planned(t, engine, stack)
	if mismatched, _, err := engine.Mismatched(t.Context(), live, stack, nil, []byte("key")); err != nil || len(mismatched) > 0 {
		t.Errorf("mismatched: %v, %v", mismatched, err)
	}
	for _, step := range plan.Steps {
		if !step.LabelsOnly() {
			t.Errorf("the plan has %s %s %s: %v", step.Action, step.Kind, step.Name, step.Changes)
		}
	}
	if err := engine.Apply(t.Context(), plan, stack, deploy.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, running(t, shared, services)); diff != "" {
		t.Errorf("tasks were replaced:\n%s", diff)
	}
	if _, plan := planned(t, engine, stack); len(plan.Steps) > 0 {
		t.Errorf("the second plan has %v", plan.Steps)
	}
}

// program builds the program, and gives a function that runs it in the repository.
func program(t *testing.T, l *lab) func(want int, args ...string) string {
	t.Helper()
	path, key := filepath.Join(t.TempDir(), "agent"), l.key.File(t)
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-tags=grpcnotrace", "-ldflags=-s -w", "-o", path, "../cmd/agent").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return func(want int, args ...string) string {
		t.Helper()
		run := exec.CommandContext(t.Context(), path, append(args, "--repo", ".", "--age-key-files", key)...)
		run.Dir, run.Env = l.request.Repo, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
		output, _ := run.CombinedOutput()
		if code := run.ProcessState.ExitCode(); code != want {
			t.Fatalf("agent %s ends with %d:\n%s", strings.Join(args, " "), code, output)
		}
		return string(output)
	}
}

func planned(t *testing.T, engine *deploy.Engine, stack *compose.Stack) (*deploy.Live, deploy.Plan) {
	t.Helper()
	live, err := engine.Observe(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := deploy.Diff(live, stack)
	if err != nil {
		t.Fatal(err)
	}
	return live, plan
}

// running waits until each service has one running task, and gives the IDs of all tasks.
func running(t *testing.T, engine *swarmtest.Swarm, services []string) (ids []string) {
	t.Helper()
	waitfor.NoError(t, 5*time.Minute, func() error {
		ids = nil
		for _, service := range services {
			tasks := engine.Tasks(t, service)
			if len(tasks) != 1 || tasks[0].Status.State != swarm.TaskStateRunning {
				return fmt.Errorf("service %s has %d tasks: %+v", service, len(tasks), tasks)
			}
			ids = append(ids, service+" "+tasks[0].ID)
		}
		return nil
	})
	return ids
}
