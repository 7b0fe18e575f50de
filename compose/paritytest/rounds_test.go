package paritytest

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	apiversions "github.com/docker/docker/api/types/versions"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/waitfor"
	"coin.internal/coin-agent/manifests"
)

// trial is one node's files as one stack on the engine, which the docker command and the
// agent write in turn.
type trial struct {
	engine *swarmtest.Swarm
	node   *manifests.Node
	dir    string            // the files as deployment.sh used them
	known  map[string]string // the fingerprints of secrets that the agent has stored
}

// fingerprintKey replaces the agent's key.
var fingerprintKey = []byte("a key of this test's")

func newTrial(t *testing.T, repository fs.FS, environment, name string) *trial {
	t.Helper()
	node, err := manifests.Load(repository, environment, name)
	if err != nil {
		t.Fatal(err)
	}
	engine := swarmtest.Engine(t)
	node.Stack = engine.Stack(t)
	trial := &trial{engine: engine, node: node, dir: layOut(t, node), known: map[string]string{}}
	makeExternals(t, engine, render(t, node))
	return trial
}

// docker deploys the files with the docker command. The command fails while the engine
// assigns the address of a new service, and is then run again.
func (r *trial) docker(t *testing.T, flags ...string) (sent *bodies, err error) {
	t.Helper()
	waitfor.NoError(t, 5*time.Minute, func() error {
		sent, err = stackDeploy(t, r.engine.Host, r.dir, r.node, flags...)
		if err != nil && strings.Contains(err.Error(), "update out of sequence") {
			return err
		}
		return nil
	})
	return sent, err
}

// agent does the same as the agent after a start: it renders, observes, plans and
// applies. It returns the plan and the writes. The error is the plan's.
func (r *trial) agent(t *testing.T) (deploy.Plan, []swarmtest.Call, error) {
	t.Helper()
	recorder := r.engine.Record(t)
	engine, err := deploy.Connect(recorder.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	stack := render(t, r.node)
	live, err := engine.Observe(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	_, learned, err := engine.Mismatched(t.Context(), live, stack, r.known, fingerprintKey)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.known, learned)
	plan, err := deploy.Diff(live, stack)
	if err != nil {
		return plan, recorder.Writes(), err
	}
	for _, warning := range plan.Warnings {
		t.Errorf("the plan warns: %s", warning)
	}
	if err := engine.Apply(t.Context(), plan, stack, deploy.ApplyOptions{
		Metadata: deploy.Metadata{"deployed-by": "test"},
		Wait:     func(context.Context, deploy.Wave) error { return nil }, // the images do not exist
	}); err != nil {
		t.Fatal(err)
	}
	writes := recorder.Writes()
	r.learn(t, engine, plan, stack)
	return plan, writes, nil
}

// learn stores the fingerprints of the new secrets.
func (r *trial) learn(t *testing.T, engine *deploy.Engine, plan deploy.Plan, stack *compose.Stack) {
	t.Helper()
	if !slices.ContainsFunc(plan.Steps, func(s deploy.Step) bool { return s.Kind == deploy.Secret }) {
		return
	}
	live, err := engine.Observe(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range stack.Secrets {
		r.known[live.Secrets[secret.Spec.Name].ID] = secret.Value.Fingerprint(fingerprintKey)
	}
}

// adopts checks that the agent adds its label to every service of the stack that docker
// deployed, and that it plans and writes nothing else.
func (r *trial) adopts(t *testing.T) {
	t.Helper()
	before := r.specs(t)
	plan, writes, err := r.agent(t)
	if err != nil {
		t.Fatalf("plan the adoption: %v", err)
	}
	for _, step := range plan.Steps {
		if step.Kind != deploy.Service || !step.LabelsOnly() {
			t.Errorf("adoption is not labels only: %s %s %s: %+v", step.Action, step.Kind, step.Name, step.Changes)
		}
	}
	want := slices.DeleteFunc(slices.Sorted(maps.Keys(before)), func(name string) bool {
		mode := before[name].Mode
		return mode.ReplicatedJob != nil || mode.GlobalJob != nil // an update would run them again
	})
	if !slices.Equal(plan.Adopted, want) {
		t.Errorf("adopted %v, want %v", plan.Adopted, want)
	}
	if updates := serviceUpdates(writes); updates != len(want) {
		t.Errorf("%d services written, want %d: %v", updates, len(want), writes)
	}
	r.restartsNothing(t, before)
	r.settled(t)
}

var serviceUpdate = regexp.MustCompile(`^/services/\w+/update$`)

// serviceUpdates counts the updated services. The engine refuses updates, which are then
// repeated, while it assigns the address of a new service. Reads of secrets with unknown
// contents are not counted.
func serviceUpdates(writes []swarmtest.Call) int {
	written := map[string]bool{}
	for _, call := range writes {
		if serviceUpdate.MatchString(call.Path) {
			written[call.Path] = true
		}
	}
	return len(written)
}

// settled checks that an agent after a start plans nothing and writes nothing.
func (r *trial) settled(t *testing.T) {
	t.Helper()
	plan, writes, err := r.agent(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range plan.Steps {
		t.Errorf("not settled: %s %s %s: %+v", step.Action, step.Kind, step.Name, step.Changes)
	}
	for _, call := range writes {
		t.Errorf("not settled: the agent writes %s", call)
	}
}

// overwritten deploys the files with docker after the agent. Docker removes the agent's
// labels and does not restart tasks, and the agent adds the labels again.
func (r *trial) overwritten(t *testing.T) {
	t.Helper()
	before := r.specs(t)
	if _, err := r.docker(t); err != nil {
		t.Fatal(err)
	}
	for name, spec := range r.specs(t) {
		for label := range spec.Labels {
			if strings.HasPrefix(label, compose.LabelPrefix) {
				t.Errorf("docker did not remove the label %s from %s", label, name)
			}
		}
	}
	r.restartsNothing(t, before)
	r.adopts(t)
}

// restartsNothing checks that the services differ from before only in their labels.
// Swarm replaces tasks only if other fields of their spec differ.
func (r *trial) restartsNothing(t *testing.T, before map[string]swarm.ServiceSpec) {
	t.Helper()
	bare := func(specs map[string]swarm.ServiceSpec) map[string]swarm.ServiceSpec {
		specs = maps.Clone(specs)
		for name, spec := range specs {
			spec.Labels = nil
			specs[name] = spec
		}
		return specs
	}
	if diff := cmp.Diff(bare(before), bare(r.specs(t))); diff != "" {
		t.Errorf("more than labels changed (-before +after):\n%s", diff)
	}
}

// specs returns the stack's services in the engine.
func (r *trial) specs(t *testing.T) map[string]swarm.ServiceSpec {
	t.Helper()
	list, err := r.engine.API.ServiceList(t.Context(), swarm.ServiceListOptions{
		Filters: filters.NewArgs(filters.Arg("label", compose.LabelStack+"="+r.node.Stack)),
	})
	if err != nil {
		t.Fatal(err)
	}
	specs := map[string]swarm.ServiceSpec{}
	for _, service := range list {
		specs[service.Spec.Name] = service.Spec
	}
	return specs
}

// engineRefuses reports whether the engine is older than a field of the case.
func (r *trial) engineRefuses(t *testing.T, name string) bool {
	t.Helper()
	r.engine.API.NegotiateAPIVersion(t.Context())
	return needs[name] != "" && apiversions.LessThan(r.engine.API.ClientVersion(), needs[name])
}

// unscheduled prevents the private engine from starting tasks during the test. The test
// compares only specs, and tasks without an image take time.
func unscheduled(t *testing.T) {
	t.Helper()
	if os.Getenv(swarmtest.HostVariable) != "" {
		return
	}
	engine := swarmtest.Engine(t)
	set := func(ctx context.Context, availability swarm.NodeAvailability) {
		nodes, err := engine.API.NodeList(ctx, swarm.NodeListOptions{})
		for _, node := range nodes {
			node.Spec.Availability = availability
			err = errors.Join(err, engine.API.NodeUpdate(ctx, node.ID, node.Version, node.Spec))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	set(t.Context(), swarm.NodeAvailabilityPause)
	t.Cleanup(func() { set(context.WithoutCancel(t.Context()), swarm.NodeAvailabilityActive) })
}
