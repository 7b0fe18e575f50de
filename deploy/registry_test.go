package deploy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
)

// shelf is a stack of two services with one image of a real registry.
type shelf struct {
	on       *swarmtest.Swarm
	recorder *swarmtest.Recorder
	engine   *deploy.Engine
	registry *swarmtest.Registry
	stack    *compose.Stack
	image    string // name:tag
	digest   string
}

func newShelf(t *testing.T, options swarmtest.RegistryOptions) *shelf {
	t.Helper()
	on, recorder, engine := swarmWith(t)
	s := &shelf{on: on, recorder: recorder, engine: engine, registry: on.Registry(t, options)}
	s.image, s.digest = s.registry.Push(t, "coin/core:1", "1")
	s.stack = hostStack(on.Stack(t))
	two := uint64(2)
	add(s.stack, "api", func(spec *swarm.ServiceSpec) { spec.Mode.Replicated = &swarm.ReplicatedService{Replicas: &two} })
	add(s.stack, "worker", nil)
	s.want(s.image)
	return s
}

// want sets the image of the stack's services.
func (s *shelf) want(image string) {
	for name, spec := range s.stack.Services {
		spec.Labels[compose.LabelImage] = image
		spec.TaskTemplate.ContainerSpec.Image = image
		s.stack.Services[name] = spec
	}
}

// plan resolves and plans.
func (s *shelf) plan(t *testing.T, resolve compose.Resolve) (*compose.Stack, deploy.Plan) {
	t.Helper()
	s.stack.Resolve = resolve
	live, err := s.engine.Observe(t.Context(), s.stack)
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := s.engine.Resolve(t.Context(), live.Services, s.stack)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := deploy.Diff(live, resolved.Stack)
	if err != nil {
		t.Fatal(err)
	}
	plan.Warnings = append(plan.Warnings, resolved.Warnings...)
	return resolved.Stack, plan
}

// rollout resolves, applies and waits, and gives the applied stack and its plan.
func (s *shelf) rollout(t *testing.T, resolve compose.Resolve) (*compose.Stack, deploy.Plan) {
	t.Helper()
	stack, plan := s.plan(t, resolve)
	if err := s.engine.Apply(t.Context(), plan, stack, deploy.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if result := verify(t, s.engine, stack, plan); result.Err() != nil {
		t.Fatalf("%v\n%+v", result.Err(), result)
	}
	return stack, plan
}

// lookups counts the requests to registries since the last reset.
func (s *shelf) lookups() int {
	count := 0
	for _, call := range s.recorder.Calls() {
		if strings.HasPrefix(call.Path, "/distribution/") {
			count++
		}
	}
	return count
}

// runs checks that each desired task runs the image.
func (s *shelf) runs(t *testing.T, image string) {
	t.Helper()
	running := 0
	for name := range s.stack.Services {
		for _, task := range s.on.Tasks(t, name) {
			if task.DesiredState != swarm.TaskStateRunning {
				continue
			}
			running++
			if task.Spec.ContainerSpec.Image != image || task.Status.State != swarm.TaskStateRunning {
				t.Errorf("a task of %s is %s with %s, want %s", name, task.Status.State, task.Spec.ContainerSpec.Image, image)
			}
		}
	}
	if running != 3 {
		t.Errorf("%d tasks are to run", running)
	}
}

// drifts gives the differences between the live services and the written ones.
func (s *shelf) drifts(t *testing.T, applied *compose.Stack) []deploy.Step {
	t.Helper()
	data, err := json.Marshal(applied.Services) // as the state file keeps them
	if err != nil {
		t.Fatal(err)
	}
	recalled := &compose.Stack{Name: applied.Name, Owner: applied.Owner}
	if err := json.Unmarshal(data, &recalled.Services); err != nil {
		t.Fatal(err)
	}
	live, err := s.engine.ObserveServices(t.Context(), applied.Name)
	if err != nil {
		t.Fatal(err)
	}
	return deploy.Drift(live, recalled)
}

func TestTagsBecomeDigests(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{})
	s.recorder.Reset()
	applied, plan := s.rollout(t, compose.ResolveChanged)
	if n := s.lookups(); n != 1 || len(plan.Warnings) > 0 {
		t.Errorf("%d lookups for one image, warnings %v", n, plan.Warnings)
	}
	pinned := s.image + "@" + s.digest
	s.runs(t, pinned)
	said, err := s.on.API.DistributionInspect(t.Context(), s.image, "")
	if err != nil {
		t.Fatal(err)
	}
	for name := range s.stack.Services {
		spec := applied.Services[name]
		// No engine tells the platform of what the containerd image store pushes (OCI manifests).
		if len(spec.TaskTemplate.Placement.Platforms) != len(said.Platforms) || spec.Labels[compose.LabelImage] != s.image {
			t.Errorf("%s: platforms %v, label %s", name, spec.TaskTemplate.Placement.Platforms, spec.Labels[compose.LabelImage])
		}
		if image := s.stack.Services[name].TaskTemplate.ContainerSpec.Image; image != s.image {
			t.Errorf("the stack that was passed now wants %s", image)
		}
	}
	for resolve, lookups := range map[compose.Resolve]int{compose.ResolveChanged: 0, compose.ResolveNever: 0, compose.ResolveAlways: 1, "": 0} {
		s.recorder.Reset()
		again, plan := s.rollout(t, resolve)
		if n := s.lookups(); n != lookups || !plan.Empty() || len(plan.Warnings) > 0 || len(s.recorder.Writes()) > 0 {
			t.Errorf("%s again: %d lookups, plan %+v", resolve, n, plan)
		}
		if drift := s.drifts(t, again); len(drift) > 0 {
			t.Errorf("%s: drift %+v", resolve, drift)
		}
	}
	s.want(pinned) // pinned by the file itself: nothing to ask for
	s.recorder.Reset()
	if _, plan := s.rollout(t, compose.ResolveAlways); plan.Empty() || plan.Steps[0].Restarts || s.lookups() > 1 {
		t.Errorf("pinned by hand: %+v", plan)
	}
	s.recorder.Reset()
	if _, plan := s.plan(t, compose.ResolveAlways); !plan.Empty() || s.lookups() > 0 {
		t.Errorf("pinned by hand, again: %+v", plan)
	}
}

func TestMovedTag(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{})
	applied, _ := s.rollout(t, compose.ResolveAlways)
	_, moved := s.registry.Push(t, "coin/core:1", "2")
	if moved == s.digest {
		t.Fatal("both contents have one digest")
	}
	for _, resolve := range []compose.Resolve{compose.ResolveChanged, compose.ResolveNever} {
		s.recorder.Reset()
		if _, plan := s.rollout(t, resolve); !plan.Empty() || s.lookups() > 0 {
			t.Errorf("%s: %d lookups, plan %+v", resolve, s.lookups(), plan.Steps)
		}
	}
	s.runs(t, s.image+"@"+s.digest)
	_, plan := s.plan(t, compose.ResolveAlways)
	want := []deploy.Change{{Path: "TaskTemplate.ContainerSpec.Image", Old: s.image + "@" + s.digest, New: s.image + "@" + moved}}
	if len(plan.Steps) != 2 {
		t.Fatalf("plan: %+v", plan)
	}
	for _, step := range plan.Steps {
		if diff := cmp.Diff(want, step.Changes); diff != "" || !step.Restarts {
			t.Errorf("%s (restarts %v): %s", step.Name, step.Restarts, diff)
		}
	}
	if drift := s.drifts(t, applied); len(drift) > 0 {
		t.Errorf("a tag that changed only in the registry is not a drift: %+v", drift)
	}
	applied, _ = s.rollout(t, compose.ResolveAlways)
	s.runs(t, s.image+"@"+moved)
	if drift := s.drifts(t, applied); len(drift) > 0 {
		t.Errorf("drift: %+v", drift)
	}
}

func TestResolveNever(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{})
	s.recorder.Reset()
	applied, plan := s.rollout(t, compose.ResolveNever)
	if s.lookups() > 0 || len(plan.Warnings) > 0 || len(s.drifts(t, applied)) > 0 {
		t.Errorf("%d lookups, %v", s.lookups(), plan.Warnings)
	}
	s.runs(t, s.image)
	// A new digest alone does not restart tasks, unless images.resolve is always.
	if _, plan := s.plan(t, compose.ResolveChanged); !plan.Empty() {
		t.Errorf("changed: %+v", plan)
	}
	if _, plan := s.plan(t, compose.ResolveAlways); len(plan.Steps) != 2 {
		t.Errorf("always: %+v", plan)
	}
}

// theirFile is the compose file from which the docker CLI makes the shelf's stack.
const theirFile = `
version: "3.8"
services:
  api:
    image: IMAGE
    environment: {SERVICE_NAME: api, LISTEN_PORTS: 0}
    deploy: {replicas: 2, endpoint_mode: dnsrr, update_config: {parallelism: 1, monitor: 300ms}}
  worker:
    image: IMAGE
    environment: {SERVICE_NAME: worker, LISTEN_PORTS: 0}
    deploy: {endpoint_mode: dnsrr, update_config: {parallelism: 1, monitor: 300ms}}
networks:
  default: {external: true, name: host}
`

// TestSameResultAsDockerCLI deploys the same stack with both, one after the other.
func TestSameResultAsDockerCLI(t *testing.T) {
	s := newShelf(t, swarmtest.RegistryOptions{})
	file := strings.ReplaceAll(theirFile, "IMAGE", s.image)
	s.on.Docker(t, file, "stack", "deploy", "--resolve-image", "always", "-c", "-", s.stack.Name)
	applied, plan := s.rollout(t, compose.ResolveAlways)
	for _, step := range plan.Steps {
		if !step.LabelsOnly() {
			t.Errorf("taken over with %+v", step)
		}
	}
	s.runs(t, s.image+"@"+s.digest)
	for _, theirs := range []string{"always", "changed"} {
		s.on.Docker(t, file, "stack", "deploy", "--resolve-image", theirs, "-c", "-", s.stack.Name)
		for _, ours := range []compose.Resolve{compose.ResolveAlways, compose.ResolveChanged, compose.ResolveNever} {
			_, plan := s.plan(t, ours)
			for _, step := range plan.Steps { // the CLI removes labels that it does not know
				if !step.LabelsOnly() {
					t.Errorf("after the CLI's %s, %s: %+v", theirs, ours, step)
				}
			}
		}
		for _, step := range s.drifts(t, applied) {
			if !step.LabelsOnly() {
				t.Errorf("after the CLI's %s: drift %+v", theirs, step)
			}
		}
	}
}

// loginFile writes a file of the test's own.
func loginFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}
