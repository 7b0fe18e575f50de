package report_test

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/secrets"
)

// TestChangeText covers each kind of change.
func TestChangeText(t *testing.T) {
	const container = "TaskTemplate.ContainerSpec."
	digest := "@sha256:" + strings.Repeat("a", 64)
	for _, test := range []struct{ path, old, new, want string }{
		{container + "Env[LOG_LEVEL]", "info", "debug", "~ env LOG_LEVEL: info -> debug"},
		{container + "Env[BY_HAND]", "1", "", "- env BY_HAND: 1"},
		{container + "Env[NEW]", "", `""`, `+ env NEW: ""`},
		{"Labels[note]", "", "x\x1b[1A\x1b[2K\n\u202ey", `+ label note: x\x1b[1A\x1b[2K\n\u202ey`},
		{"Labels[no\x1bte]", "a", "b", `~ label no\x1bte: a -> b`},
		{"Labels[note]", `\x1b`, "\x1b", `~ label note: \x1b -> \x1b (differs)`},
		{container + "Env[TOKEN]", "***", "***", "~ env TOKEN: changed"},
		{container + "Args", `["--key","***"]`, `["--key","***"]`, `~ command: ["--key","***"] -> ["--key","***"] (differs)`},
		{"Labels[a.basicauth.users]", "***", "***", "~ label a.basicauth.users: changed"},
		{container + "Image", "app:1", "app:2" + digest, "~ image: app:1 -> app:2@sha256:aaaaaaaaaaaa…"},
		{container + "Secrets[db_access].SecretName", "db_access.1", "db_access.2", "~ secret db_access: 1 -> 2"},
		{container + "Secrets[db_access].SecretName", "sbx_db_access.1", "sbx_db_access.2", "~ secret sbx_db_access: 1 -> 2"},
		{container + "Secrets[/etc/key].SecretName", "key.1", "key.2", "~ secret key at /etc/key: 1 -> 2"},
		{container + "Secrets[a].SecretName", "a.1", "b.1", "~ secret at a: a.1 -> b.1"},
		{container + "Secrets[a].SecretName", "a", "b", "~ secret at a: a -> b"},
		{container + "Secrets[a.crt].SecretName", "a.crt", "a.crt.2", "~ secret: a.crt -> a.crt.2"},
		{container + "Secrets[a]", "", "a.1", "+ secret: a.1"},
		{container + "Secrets[a].File.Mode", "0444", "0400", "~ secret a file.mode: 0444 -> 0400"},
		{container + "Configs[/app.yml].ConfigName", "s_app.1", "s_app.9f3a", "~ config s_app at /app.yml: 1 -> 9f3a"},
		{container + "Configs[/app.yml]", "s_app.1", "", "- config at /app.yml: s_app.1"},
		{container + "Mounts[/data]", "", "volume data (read-only)", "+ mount /data: volume data (read-only)"},
		{container + "Mounts[/data].ReadOnly", "false", "true", "~ mount /data read_only: false -> true"},
		{container + "Mounts[/m].VolumeOptions.DriverConfig.Options[o]", "a", "b", "~ mount /m volume_options.driver_config.options[o]: a -> b"},
		{container + "Args", `["a"]`, `["a","b"]`, `~ command: ["a"] -> ["a","b"]`},
		{container + "Command", "", `["sh"]`, `+ entrypoint: ["sh"]`},
		{container + "Healthcheck.Interval", "1s", "2s", "~ healthcheck.interval: 1s -> 2s"},
		{container + "DNSConfig", "", "{}", "+ dns settings: {}"},
		{container + "DNSConfig.Nameservers", `["1.1.1.1"]`, `["9.9.9.9"]`, `~ dns: ["1.1.1.1"] -> ["9.9.9.9"]`},
		{container + "CapabilityAdd[CAP_CHOWN]", "", "CAP_CHOWN", "+ cap_add: CAP_CHOWN"},
		{container + "Labels[a.domains[0].main]", "x", "y", "~ container label a.domains[0].main: x -> y"},
		{container + "StopGracePeriod", "10s", "20s", "~ stop_grace_period: 10s -> 20s"},
		{container + "FieldOfTomorrow.NewTTL", "1", "2", "~ field_of_tomorrow.new_ttl: 1 -> 2"},
		{"TaskTemplate.Resources.Limits.NanoCPUs", "500000000", "1500000000", "~ limit of cpus: 0.5 -> 1.5"},
		{"TaskTemplate.Resources.Limits.MemoryBytes", "67108864", "100", "~ limit of memory: 64M -> 100"},
		{"TaskTemplate.RestartPolicy.MaxAttempts", "0", "3", "~ restart_policy.max_attempts: 0 -> 3"},
		{"TaskTemplate.Placement.Constraints[node.role==manager]", "", "node.role==manager", "+ constraint: node.role==manager"},
		{"TaskTemplate.Networks[s_back]", "s_back (alias web)", "", "- network: s_back (alias web)"},
		{"TaskTemplate.Networks[s_back].Aliases[web]", "", "web", "+ network s_back aliases[web]: web"},
		{"EndpointSpec.Ports[80:8080/tcp]", "", "ingress", "+ port 80:8080/tcp: ingress"},
		{"EndpointSpec.Mode", "vip", "dnsrr", "~ endpoint_mode: vip -> dnsrr"},
		{"Mode.Replicated.Replicas", "1", "3", "~ replicas: 1 -> 3"},
		{"UpdateConfig.MaxFailureRatio", "0", "0.5", "~ update_config.max_failure_ratio: 0 -> 0.5"},
		{"Labels[traefik.enable]", "", "true", "+ label traefik.enable: true"},
		{"DriverOpts[encrypted]", `""`, "", `- driver_opts[encrypted]: ""`},
	} {
		change := deploy.Change{Path: test.path, Old: test.old, New: test.new}
		if got := report.ChangeText(change); got != test.want {
			t.Errorf("%s: %q, want %q", test.path, got, test.want)
		}
	}
}

func texts(plan deploy.RecordedPlan) []string {
	var list []string
	for _, line := range report.PlanLines(plan) {
		text, _, _ := strings.Cut(line.Text, "; plan ")
		list = append(list, strings.Join(strings.Fields(text), " "))
	}
	return list
}

const (
	owner  = "sandbox/node3"
	image1 = "coin/app:1"
	image2 = "coin/app:2"
)

func newStack() *compose.Stack {
	return &compose.Stack{Name: "s", Owner: owner, Services: map[string]swarm.ServiceSpec{}}
}

// add puts a service into the stack that serves with image1, changed by change.
func add(stack *compose.Stack, short string, change func(*swarm.ServiceSpec)) {
	name := "s_" + short
	spec := swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: name, Labels: map[string]string{
			compose.LabelStack: "s", compose.LabelOwner: owner, compose.LabelImage: image1,
		}},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: image1}},
	}
	if change != nil {
		change(&spec)
	}
	stack.Services[name] = spec
}

// liveOf gives the live state of a stack that was just applied.
func liveOf(stack *compose.Stack) *deploy.Live {
	live := &deploy.Live{
		Services: map[string]swarm.Service{}, APIVersion: "1.41",
	}
	for name, spec := range stack.Services {
		live.Services[name] = swarm.Service{Spec: spec}
	}
	return live
}

// TestPlanLines covers a plan with every action.
func TestPlanLines(t *testing.T) {
	lives, wants := newStack(), newStack()
	count := func(n uint64) func(*swarm.ServiceSpec) {
		return func(s *swarm.ServiceSpec) { s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &n} }
	}
	both := func(name string, live, want func(*swarm.ServiceSpec)) {
		add(lives, name, live)
		add(wants, name, want)
	}
	foreign := func(s *swarm.ServiceSpec) { delete(s.Labels, compose.LabelOwner) }
	both("cron_service", nil, nil)
	both("taken", foreign, nil)
	both("taken2", foreign, count(2))
	both("scaled", nil, count(3))
	both("placed", nil, func(s *swarm.ServiceSpec) {
		s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.role==manager"}}
	})
	both("moded", nil, func(s *swarm.ServiceSpec) { s.Mode.Global = &swarm.GlobalService{} })
	both("web", count(4), func(s *swarm.ServiceSpec) {
		count(3)(s)
		s.TaskTemplate.ContainerSpec.Image, s.Labels[compose.LabelImage] = image2, image2
		s.TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: "volume", Source: "d", Target: "/d", ReadOnly: true}}
	})
	add(lives, "gone", count(2))
	add(wants, "each", func(s *swarm.ServiceSpec) { s.Mode.Global = &swarm.GlobalService{} })
	add(wants, "new", nil)
	wants.Secrets = []compose.Secret{{
		Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: "s_key.1"}}, Value: secrets.NewValue([]byte("x")),
	}}
	plan, err := deploy.Diff(liveOf(lives), wants)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"takes over from docker stack deploy without restarting a task: s_taken, s_taken2",
		"scale-down service s_cron_service (stops 1 task)",
		"create secret s_key.1",
		"create service s_each (image coin/app:1, mode global)",
		"replace service s_moded (restarts 1 task)",
		"- replicas: 1", "+ mode global: {}",
		"create service s_new (image coin/app:1, starts 1 task)",
		"update service s_placed (no restart, but tasks move away from nodes that are now excluded)",
		"+ constraint: node.role==manager",
		"update service s_scaled (no restart)", "~ replicas: 1 -> 3",
		"update service s_taken (labels only, no restart)", "+ label coin-agent.owner: " + owner,
		"update service s_taken2 (no restart)", "+ label coin-agent.owner: " + owner, "~ replicas: 1 -> 2",
		"update service s_web (restarts 3 tasks)",
		"~ image: coin/app:1 -> coin/app:2", "+ mount /d: volume d (read-only)", "~ replicas: 4 -> 3",
		"update service s_cron_service (scales up again)",
		"remove service s_gone (stops 2 tasks)",
		"Grants: what lets containers act on the node or on others (+ new, = as before)", "+ s_web: volume d: shares its data with others",
		"2 services, 1 secret to create; 5 services to update (3 tasks of 1 service restart, 1 label-only); " +
			"1 service to replace (1 task of 1 service restarts); 1 service to remove; 1 cron service to pause during the rollout",
	}, texts(plan.Recorded())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("2 services, 1 secret created; 5 services updated (3 tasks of 1 service restarted, 1 label-only); "+
		"1 service replaced (1 task of 1 service restarted); 1 service removed; 1 cron service paused during the rollout",
		report.Summary(plan.Recorded())); diff != "" {
		t.Error(diff)
	}
}

func TestPlanLinesOfNothing(t *testing.T) {
	plan, err := deploy.Diff(liveOf(newStack()), newStack())
	if diff := cmp.Diff([]string{"no difference: the stack s is in sync"}, texts(plan.Recorded())); err != nil || diff != "" {
		t.Error(diff, err)
	}
}
