package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
)

// liveOf gives the live state of a stack that was just applied.
func liveOf(stack *compose.Stack) *deploy.Live {
	live := &deploy.Live{
		Services:   map[string]swarm.Service{},
		APIVersion: "1.41", Networks: map[string]network.Summary{},
		Secrets: map[string]swarm.Secret{}, Configs: map[string]swarm.Config{},
	}
	for name, spec := range stack.Services {
		live.Services[name] = swarm.Service{ID: "id-" + name, Spec: spec}
	}
	for name, options := range stack.Networks {
		live.Networks[name] = network.Summary{Name: name, Scope: "swarm", Driver: options.Driver, Labels: options.Labels}
	}
	for _, secret := range stack.Secrets {
		live.Secrets[secret.Spec.Name] = swarm.Secret{ID: "id-" + secret.Spec.Name, Spec: secret.Spec}
	}
	for _, config := range stack.Configs {
		live.Configs[config.Spec.Name] = swarm.Config{ID: "id-" + config.Spec.Name, Spec: config.Spec}
	}
	return live
}

func TestNoDifference(t *testing.T) {
	two := uint64(2)
	for name, test := range map[string]struct{ live, want func(*swarm.ServiceSpec) }{
		"nothing": {},
		"defaults filled in": {live: func(s *swarm.ServiceSpec) {
			one := uint64(1)
			s.TaskTemplate.Runtime = swarm.RuntimeContainer
			s.TaskTemplate.ContainerSpec.Isolation = "default"
			s.EndpointSpec.Mode = swarm.ResolutionModeVIP
			s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &one}
			s.UpdateConfig.FailureAction, s.UpdateConfig.Order = "pause", "stop-first"
			s.TaskTemplate.Placement = nil
		}, want: func(s *swarm.ServiceSpec) { s.EndpointSpec.Mode = "" }},
		"restart policy": {
			live: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: "any", MaxAttempts: new(uint64)}
			},
			want: func(s *swarm.ServiceSpec) { s.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{} },
		},
		"digest, platforms, forced update, metadata": {live: func(s *swarm.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Image = image1 + "@sha256:" + strings.Repeat("a", 64)
			s.TaskTemplate.Placement = &swarm.Placement{Platforms: []swarm.Platform{{OS: "linux"}}}
			s.TaskTemplate.ForceUpdate = 3
			s.Labels["coin-agent.deployed-by"] = "someone"
		}},
		"orders": {
			live: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Env = []string{"B=2", "A=1"}
				s.TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: "volume", Target: "/b"}, {Type: "volume", Target: "/a"}}
				s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"b", "a"}}
				s.EndpointSpec.Ports = []swarm.PortConfig{{TargetPort: 2, Protocol: "tcp", PublishMode: "ingress"}, {TargetPort: 1, Protocol: "tcp", PublishMode: "ingress"}}
			},
			want: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Env = []string{"A=1", "B=2"}
				s.TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: "volume", Target: "/a"}, {Type: "volume", Target: "/b"}}
				s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"a", "b"}}
				s.EndpointSpec.Ports = []swarm.PortConfig{{TargetPort: 1}, {TargetPort: 2}}
			},
		},
		"empty bind options": {
			want: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: "bind", Target: "/a", BindOptions: &mount.BindOptions{}}}
			},
			live: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: "bind", Target: "/a"}}
			},
		},
		"options of a cluster volume": {
			want: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: "volume", Source: "v", Target: "/a", ClusterOptions: &mount.ClusterOptions{}}}
			},
			live: func(s *swarm.ServiceSpec) {
				s.TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: "volume", Source: "v", Target: "/a"}}
			},
		},
		"job counts": {
			want: func(s *swarm.ServiceSpec) { s.Mode.ReplicatedJob = &swarm.ReplicatedJob{MaxConcurrent: &two} },
			live: func(s *swarm.ServiceSpec) {
				s.Mode.ReplicatedJob = &swarm.ReplicatedJob{MaxConcurrent: &two, TotalCompletions: &two}
			},
		},
		"a job's missing owner": {
			want: func(s *swarm.ServiceSpec) { s.Mode.GlobalJob = &swarm.GlobalJob{} },
			live: func(s *swarm.ServiceSpec) {
				s.Mode.GlobalJob = &swarm.GlobalJob{}
				delete(s.Labels, compose.LabelOwner)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			lives, wants := newStack("s"), newStack("s")
			add(lives, "a", test.live)
			add(wants, "a", test.want)
			plan, err := deploy.Diff(liveOf(lives), wants)
			if err != nil || !plan.Empty() {
				t.Errorf("steps %+v, %v", plan.Steps, err)
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	for name, test := range map[string]struct {
		change   func(*swarm.ServiceSpec)
		want     deploy.Change
		restarts bool
	}{
		"environment": {
			func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Env = []string{"SERVICE_NAME=b"} },
			deploy.Change{Path: "TaskTemplate.ContainerSpec.Env[SERVICE_NAME]", Old: "a", New: "b"},
			true,
		},
		"image": {
			func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = image2 },
			deploy.Change{Path: "TaskTemplate.ContainerSpec.Image", Old: image1, New: image2},
			true,
		},
		"replicas": {
			func(s *swarm.ServiceSpec) {
				three := uint64(3)
				s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &three}
			},
			deploy.Change{Path: "Mode.Replicated.Replicas", Old: "1", New: "3"},
			false,
		},
		"label gone": {
			func(s *swarm.ServiceSpec) { delete(s.Labels, compose.LabelImage) },
			deploy.Change{Path: "Labels[com.docker.stack.image]", Old: image1},
			false,
		},
		"constraint": {
			func(s *swarm.ServiceSpec) {
				s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.role==manager"}}
			},
			deploy.Change{Path: "TaskTemplate.Placement.Constraints[node.role==manager]", New: "node.role==manager"},
			false,
		},
		"port": {
			func(s *swarm.ServiceSpec) {
				s.EndpointSpec.Ports = []swarm.PortConfig{{PublishedPort: 80, TargetPort: 8080, PublishMode: "host"}}
			},
			deploy.Change{Path: "EndpointSpec.Ports[80:8080/tcp]", New: "host"},
			true,
		},
		"empty DNS config": {
			func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.DNSConfig = &swarm.DNSConfig{} },
			deploy.Change{Path: "TaskTemplate.ContainerSpec.DNSConfig", New: "{}"},
			true,
		},
		"update config": {
			func(s *swarm.ServiceSpec) { s.UpdateConfig.Delay = time.Second },
			deploy.Change{Path: "UpdateConfig.Delay", Old: "0s", New: "1s"},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			lives, wants := newStack("s"), newStack("s")
			add(lives, "a", nil)
			add(wants, "a", test.change)
			plan, err := deploy.Diff(liveOf(lives), wants)
			if err != nil || len(plan.Steps) != 1 {
				t.Fatalf("steps %+v, %v", plan.Steps, err)
			}
			if diff := cmp.Diff([]deploy.Change{test.want}, plan.Steps[0].Changes); diff != "" {
				t.Error(diff)
			}
			if plan.Steps[0].Restarts != test.restarts {
				t.Errorf("restarts: %v", plan.Steps[0].Restarts)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	foreign := func(labels map[string]string) map[string]string { return labels }
	for name, test := range map[string]struct {
		live func(*deploy.Live)
		want func(*compose.Stack)
		says []string
	}{
		"another stack's service": {
			live: func(l *deploy.Live) {
				l.Services["s_a"] = swarm.Service{Spec: swarm.ServiceSpec{Annotations: swarm.Annotations{Name: "s_a", Labels: foreign(map[string]string{compose.LabelStack: "t"})}}}
			},
			says: []string{"service s_a belongs to stack t, not to s"},
		},
		"another owner's network and a service without labels": {
			live: func(l *deploy.Live) {
				l.Networks["s_default"] = network.Summary{Scope: "swarm", Labels: map[string]string{compose.LabelOwner: "sandbox/node4"}}
				l.Services["s_a"] = swarm.Service{Spec: swarm.ServiceSpec{Annotations: swarm.Annotations{Name: "s_a"}}}
			},
			says: []string{"network s_default belongs to sandbox/node4", "service s_a exists and belongs to no stack"},
		},
		"externals": {
			live: func(l *deploy.Live) { l.Networks["here"] = network.Summary{Scope: "local"} },
			want: func(s *compose.Stack) {
				s.ExternalNetworks = []string{"gone", "here", "host"}
				s.ExternalSecrets = []string{"key"}
				s.ExternalConfigs = []string{"conf"}
			},
			says: []string{"network gone does not exist", "network here is local", "secret key does not exist", "config conf does not exist"},
		},
		"config with other content": {
			live: func(l *deploy.Live) { l.Configs["s_c"] = swarm.Config{Spec: swarm.ConfigSpec{Data: []byte("old")}} },
			want: func(s *compose.Stack) {
				s.Configs = []compose.Config{{Variable: "SV_c", Spec: swarm.ConfigSpec{Annotations: swarm.Annotations{Name: "s_c"}, Data: []byte("new")}}}
			},
			says: []string{"config s_c exists with different content", "raise SV_c"},
		},
		"fields that the engine does not know": {
			want: func(s *compose.Stack) {
				s.Services["s_a"].TaskTemplate.ContainerSpec.OomScoreAdj = 5
				s.Services["s_a"].TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{BindOptions: &mount.BindOptions{CreateMountpoint: true}}}
			},
			says: []string{"oom_score_adj, which needs engine API 1.46; this engine speaks 1.41", "bind.create_host_path"},
		},
		"an engine that is too old": {
			live: func(l *deploy.Live) { l.APIVersion = "1.40" },
			says: []string{"speaks API 1.40"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			stack := newStack("s")
			add(stack, "a", nil)
			live := liveOf(newStack("s"))
			if test.live != nil {
				test.live(live)
			}
			if test.want != nil {
				test.want(stack)
			}
			_, err := deploy.Diff(live, stack)
			if got := fault.All(err); len(got) < len(test.says)-1 {
				t.Errorf("faults: %v", got)
			}
			text := ""
			for _, one := range fault.All(err) {
				text += one.Error() + " — " + fault.Hint(one) + "\n"
			}
			for _, says := range test.says {
				if !strings.Contains(text, says) {
					t.Errorf("%q is not in\n%s", says, text)
				}
			}
		})
	}
}

// TestPlatformsOfAnotherImage: the platforms of an image do not bind the one that takes its place, of
// which no registry told any.
func TestPlatformsOfAnotherImage(t *testing.T) {
	lives, wants := newStack("s"), newStack("s")
	add(lives, "a", func(s *swarm.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Image = image1 + "@sha256:aa"
		s.TaskTemplate.Placement = &swarm.Placement{Platforms: []swarm.Platform{{OS: "linux", Architecture: "amd64"}}}
	})
	add(wants, "a", newer)
	live := lives.Services["s_a"]
	if placement := deploy.Settle(wants.Services["s_a"], live).TaskTemplate.Placement; len(placement.Platforms) > 0 {
		t.Errorf("%s is bound to %v", image2, placement.Platforms)
	}
	add(wants, "a", nil)
	if placement := deploy.Settle(wants.Services["s_a"], live).TaskTemplate.Placement; len(placement.Platforms) != 1 {
		t.Errorf("%s lost its platforms", image1)
	}
}
