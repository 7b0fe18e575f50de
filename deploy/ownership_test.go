package deploy_test

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
	"coin.internal/coin-agent/internal/fault"
)

// TestObjectsOfOthersAreRefused creates an object of another stack or owner with each kind
// of name that a stack wants.
func TestObjectsOfOthersAreRefused(t *testing.T) {
	put := map[deploy.Kind]func(live *deploy.Live, labels map[string]string){
		deploy.Service: func(live *deploy.Live, labels map[string]string) {
			live.Services["s_x"] = swarm.Service{Spec: swarm.ServiceSpec{Annotations: swarm.Annotations{Name: "s_x", Labels: labels}}}
		},
		deploy.Network: func(live *deploy.Live, labels map[string]string) {
			live.Networks["s_x"] = network.Summary{Name: "s_x", Scope: "swarm", Driver: "overlay", Labels: labels}
		},
		deploy.Secret: func(live *deploy.Live, labels map[string]string) {
			live.Secrets["s_x"] = swarm.Secret{Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: "s_x", Labels: labels}}}
		},
		deploy.Config: func(live *deploy.Live, labels map[string]string) {
			live.Configs["s_x"] = swarm.Config{Spec: swarm.ConfigSpec{Annotations: swarm.Annotations{Name: "s_x", Labels: labels}}}
		},
	}
	for kind, put := range put {
		for name, test := range map[string]struct {
			labels     map[string]string
			says, hint string // without the kind and name; "" if it is accepted
		}{
			"another stack's": {map[string]string{compose.LabelStack: "t"}, "belongs to stack t, not to s", "remove it from stack t"},
			"another node's": {
				map[string]string{compose.LabelStack: "s", compose.LabelOwner: "sandbox/node9"},
				"belongs to sandbox/node9, not to " + owner, "give the two nodes different stack names",
			},
			"the stack's":    {map[string]string{compose.LabelStack: "s"}, "", ""},
			"the agent's":    {map[string]string{compose.LabelStack: "s", compose.LabelOwner: owner}, "", ""},
			"without labels": {nil, map[bool]string{true: "exists and belongs to no stack"}[kind == deploy.Service || kind == deploy.Network], "remove it"},
		} {
			t.Run(string(kind)+", "+name, func(t *testing.T) {
				stack := newStack("s")
				switch kind {
				case deploy.Service:
					add(stack, "x", nil)
				case deploy.Network:
					stack.Networks["s_x"] = network.CreateOptions{Driver: "overlay"}
				case deploy.Secret:
					stack.Secrets = []compose.Secret{{Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: "s_x"}}}}
				case deploy.Config:
					stack.Configs = []compose.Config{{Spec: swarm.ConfigSpec{Annotations: swarm.Annotations{Name: "s_x"}}}}
				}
				live := liveOf(newStack("s"))
				put(live, test.labels)
				_, err := deploy.Diff(live, stack)
				switch {
				case test.says == "" && err != nil:
					t.Errorf("refused: %v", err)
				case test.says != "" && (err == nil || err.Error() != string(kind)+" s_x "+test.says):
					t.Errorf("%v, want %q", err, test.says)
				case test.says != "" && !strings.Contains(fault.Hint(fault.All(err)[0]), test.hint):
					t.Errorf("hint %q, want %q", fault.Hint(fault.All(err)[0]), test.hint)
				}
			})
		}
	}
}

// TestSecretWithoutValue: a secret without a value is accepted if Swarm has this version,
// else refused.
func TestSecretWithoutValue(t *testing.T) {
	stack := newStack("s")
	stack.Secrets = []compose.Secret{{
		Spec:    swarm.SecretSpec{Annotations: swarm.Annotations{Name: "db.2"}},
		Missing: fault.New(fault.Place{File: "docker-compose.yml", Line: 6}, "add it", "the secret has no value"),
	}}
	live := liveOf(newStack("s"))
	_, err := deploy.Diff(live, stack)
	if want := "docker-compose.yml:6: the secret has no value, and Swarm does not have db.2"; err == nil || err.Error() != want || fault.Hint(err) != "add it" {
		t.Errorf("%v (hint %s), want %s", err, fault.Hint(err), want)
	}
	live.Secrets["db.2"] = swarm.Secret{Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: "db.2"}}}
	if plan, err := deploy.Diff(live, stack); err != nil || len(plan.Steps) > 0 {
		t.Errorf("%v: %+v", err, plan.Steps)
	}
}

// TestSizesThatSwarmRefuses: what would be created and is empty or too large is refused before the
// first write. The simulated engine has Swarm's bounds.
func TestSizesThatSwarmRefuses(t *testing.T) {
	large, whole := strings.Repeat("x", 500<<10-1), strings.Repeat("x", 1000<<10-1)
	stack := newStack("t")
	addSecret(stack, "largest", "1", large)
	config := func(key, content string) compose.Config {
		return compose.Config{Key: key, Spec: swarm.ConfigSpec{Annotations: swarm.Annotations{Name: "t_" + key, Labels: ownLabels("t")}, Data: []byte(content)}}
	}
	stack.Configs = []compose.Config{config("largest", whole)}
	rollout(t, deploy.New(simulated().Client(enginetest.Hooks{})), stack)
	addSecret(stack, "db", "1", large+"x")
	addSecret(stack, "none", "1", "")
	stack.Configs = append(stack.Configs, config("nginx", whole+"x"), config("empty", ""))
	_, err := deploy.Diff(liveOf(newStack("t")), stack)
	var got []string
	for _, one := range fault.All(err) {
		got = append(got, one.Error())
	}
	if diff := cmp.Diff([]string{
		`the secret "db" has 512000 bytes; Swarm takes 1 to 511999`, `the secret "none" has 0 bytes; Swarm takes 1 to 511999`,
		`the config "nginx" has 1024000 bytes; Swarm takes 1 to 1023999`, `the config "empty" has 0 bytes; Swarm takes 1 to 1023999`,
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
