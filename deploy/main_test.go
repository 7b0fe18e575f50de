package deploy_test

import (
	"os"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/secrets"
)

const (
	owner  = "sandbox/node3"
	image1 = "coin/app:1"
	image2 = "coin/app:2"
)

func TestMain(m *testing.M) { os.Exit(swarmtest.Main(m)) }

// newStack gives a stack with one network and no services.
func newStack(name string) *compose.Stack {
	return &compose.Stack{
		Name: name, Owner: owner,
		Networks: map[string]network.CreateOptions{
			name + "_default": {Driver: "overlay", Labels: ownLabels(name)},
		},
		Services: map[string]swarm.ServiceSpec{},
	}
}

// anyPort has the example's program listen on a free port: tasks in the node's network share its ports.
const anyPort = "LISTEN_PORTS=0"

// hostStack is newStack for a real engine, with services in the network of the node itself. A task elsewhere
// costs the engine a network, and a run of its own large program that moves the task there.
func hostStack(name string) *compose.Stack {
	stack := newStack(name)
	stack.Networks = nil
	return stack
}

// listens has a service listen on its port, in a network of its own: for health checks.
func listens(spec *swarm.ServiceSpec) {
	spec.TaskTemplate.Networks[0].Target = "bridge"
	spec.TaskTemplate.ContainerSpec.Env = spec.TaskTemplate.ContainerSpec.Env[:1]
}

func ownLabels(stack string) map[string]string {
	return map[string]string{compose.LabelStack: stack, compose.LabelOwner: owner}
}

// add puts a service into the stack that serves with image1, changed by change.
func add(stack *compose.Stack, short string, change func(*swarm.ServiceSpec)) {
	name := stack.Name + "_" + short
	labels := ownLabels(stack.Name)
	labels[compose.LabelImage] = image1
	in, env := swarm.NetworkAttachmentConfig{Target: "host"}, []string{"SERVICE_NAME=" + short, anyPort}
	if stack.Networks != nil {
		env = env[:1]
		in = swarm.NetworkAttachmentConfig{Target: stack.Name + "_default", Aliases: []string{short}}
	}
	spec := swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: name, Labels: labels},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{
				Image:  image1,
				Env:    env,
				Labels: map[string]string{compose.LabelStack: stack.Name},
				// `docker stack deploy` always sends this.
				Privileges: &swarm.Privileges{},
			},
			Networks:  []swarm.NetworkAttachmentConfig{in},
			Placement: &swarm.Placement{},
			Resources: &swarm.ResourceRequirements{},
		},
		UpdateConfig: &swarm.UpdateConfig{Parallelism: 1, Monitor: 300 * time.Millisecond},
		// A virtual IP costs the engine several programs for each container.
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
	}
	if change != nil {
		change(&spec)
	}
	stack.Services[name] = spec
}

// addSecret puts a secret into the stack and gives a reference to it.
func addSecret(stack *compose.Stack, key, version, content string) *swarm.SecretReference {
	name := stack.Name + "_" + key + "." + version
	stack.Secrets = append(stack.Secrets, compose.Secret{
		Spec:  swarm.SecretSpec{Annotations: swarm.Annotations{Name: name, Labels: ownLabels(stack.Name)}},
		Value: secrets.NewValue([]byte(content)), Key: key, Variable: "SV_" + key,
	})
	return &swarm.SecretReference{
		SecretName: name,
		File:       &swarm.SecretReferenceFileTarget{Name: key, UID: "0", GID: "0", Mode: 0o444},
	}
}

// connect gives an engine at host.
func connect(tb testing.TB, host string) *deploy.Engine {
	tb.Helper()
	engine, err := deploy.Connect(host)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = engine.Close() })
	return engine
}

func planFor(tb testing.TB, engine *deploy.Engine, stack *compose.Stack) deploy.Plan {
	tb.Helper()
	live, err := engine.Observe(tb.Context(), stack)
	if err != nil {
		tb.Fatal(err)
	}
	plan, err := deploy.Diff(live, stack)
	if err != nil {
		tb.Fatal(err)
	}
	return plan
}

// rollout applies the stack, waits for it, and gives the plan.
func rollout(tb testing.TB, engine *deploy.Engine, stack *compose.Stack) deploy.Plan {
	tb.Helper()
	plan := planFor(tb, engine, stack)
	if err := engine.Apply(tb.Context(), plan, stack, deploy.ApplyOptions{Metadata: deploy.Metadata{"deployed-by": "test"}}); err != nil {
		tb.Fatal(err)
	}
	result := verify(tb, engine, stack, plan)
	if err := result.Err(); err != nil {
		tb.Fatalf("%v\n%+v", err, result)
	}
	return plan
}

func verify(tb testing.TB, engine *deploy.Engine, stack *compose.Stack, plan deploy.Plan) deploy.Result {
	tb.Helper()
	began := time.Now()
	result, err := engine.Verify(tb.Context(), stack, deploy.VerifyOptions{
		Timeout: 5 * time.Minute, Changed: plan.Changed(), // the machine may be busy with other tests
		Progress: func(r deploy.Result) { tb.Logf("after %s: %+v", time.Since(began).Round(time.Millisecond), r.Services) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	return result
}

// lines renders steps as "action kind name", without the name of the stack.
func lines(plan deploy.Plan) []string {
	steps := []string{}
	for _, step := range plan.Steps {
		name := step.Name
		if len(name) > len(plan.Stack) && name[:len(plan.Stack)] == plan.Stack {
			name = name[len(plan.Stack)+1:]
		}
		steps = append(steps, string(step.Action)+" "+string(step.Kind)+" "+name)
	}
	return steps
}
