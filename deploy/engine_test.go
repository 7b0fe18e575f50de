package deploy_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

func TestUnusableEngine(t *testing.T) {
	answering := func(status int, body string) string {
		path := filepath.Join(t.TempDir(), "s")
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Api-Version", "1.41")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
		return "unix://" + path
	}
	// The engine's words are those of moby v28.5.2, daemon/cluster/cluster.go and errors.go, and of
	// swarmkit, manager/state/raft/raft.go.
	const leaderless = "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. " +
		"Make sure more than half of the managers are online."
	error503 := func(text string) string { return answering(503, `{"message":"`+text+`"}`) }
	for name, test := range map[string]struct {
		host       string
		why        deploy.Unusable
		says, hint string
	}{
		"no socket":    {"unix://" + filepath.Join(t.TempDir(), "none"), deploy.Down, "does not answer", "systemctl start docker"},
		"no swarm":     {answering(200, `{"Swarm":{"LocalNodeState":"inactive"}}`), deploy.NoSwarm, "is not part of a Swarm", "docker swarm init"},
		"a worker":     {answering(200, `{"Swarm":{"LocalNodeState":"active"}}`), deploy.NoManager, "is not a Swarm manager", "docker node promote"},
		"demoted":      {error503("This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager."), deploy.NoManager, "is not a Swarm manager", "docker node promote"},
		"no quorum":    {answering(500, `{"message":"`+leaderless+`"}`), deploy.NoQuorum, "lost its quorum", "start the other managers again"},
		"no leader":    {answering(200, `{"Swarm":{"LocalNodeState":"active","ControlAvailable":true,"Error":"`+leaderless+`"}}`), deploy.NoQuorum, "lost its quorum", "start the other managers again"},
		"restarted":    {error503("This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."), deploy.NoQuorum, "lost its quorum", "start the other managers again"},
		"pending":      {answering(200, `{"Swarm":{"LocalNodeState":"pending"}}`), deploy.NoQuorum, "lost its quorum", "start the other managers again"},
		"locked":       {answering(200, `{"Swarm":{"LocalNodeState":"locked","Error":"Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm unlock\" to unlock it."}}`), deploy.Locked, "is locked", "docker swarm unlock"},
		"disagreement": {answering(500, `{"message":"rpc error: code = DeadlineExceeded desc = context deadline exceeded"}`), deploy.Disagree, "did not agree in time", "docker node ls"},
		"other text":   {answering(500, `{"message":"out of cheese"}`), "", "ask the engine for its state: Error response from daemon: out of cheese", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connect(t, test.host).Ready(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(fault.Hint(err), test.hint) {
				t.Errorf("%v — %s", err, fault.Hint(err))
			}
			if why := deploy.WhyUnusable(err); why != test.why || errors.Is(err, deploy.ErrUnavailable) != (test.why != "") {
				t.Errorf("%v: %q, want %q", err, why, test.why)
			}
		})
	}
	hanging, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if _, err := connect(t, silent(t)).Ready(hanging); deploy.WhyUnusable(err) != deploy.Hangs || !strings.Contains(fault.Hint(err), "systemctl restart docker") {
		t.Errorf("one that hangs: %v — %s", err, fault.Hint(err))
	}
	if _, err := deploy.Connect(""); err == nil || fault.Hint(err) == "" {
		t.Errorf("no address: %v", err)
	}
}

// silent gives the address of an engine that accepts calls and never answers.
func silent(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return "unix://" + path
}

func TestInfo(t *testing.T) {
	_, _, engine := swarmWith(t)
	info, err := engine.Info(t.Context())
	if err != nil || info.APIVersion < "1.41" || info.Nodes == 0 || info.EngineVersion == "" {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := engine.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUnknownValuesAreRefusedBeforeTheFirstWrite(t *testing.T) {
	on, recorder, engine := swarmWith(t)
	stack := newStack(on.Stack(t))
	addSecret(stack, "a", "1", "canary")
	stack.Secrets[0].Value = secrets.Value{}
	err := engine.Apply(t.Context(), planFor(t, engine, stack), stack, deploy.ApplyOptions{})
	if err == nil || !strings.Contains(err.Error(), "its value is not known") || len(recorder.Writes()) > 0 {
		t.Errorf("%v, writes %v", err, recorder.Writes())
	}
}

// TestEngineKeepsEveryField writes a spec with a value in every field that the oldest
// engine knows, and compares it with the spec that the engine returns.
func TestEngineKeepsEveryField(t *testing.T) {
	on, _, engine := swarmWith(t)
	stack := newStack(on.Stack(t))
	reference := addSecret(stack, "b", "1", "canary")
	other := addSecret(stack, "a", "1", "canary")
	stack.Configs = []compose.Config{{Spec: swarm.ConfigSpec{
		Annotations: swarm.Annotations{Name: stack.Name + "_c", Labels: ownLabels(stack.Name)}, Data: []byte("x"),
	}}}
	none, attempts, yes := uint64(0), uint64(3), true
	second := time.Second
	add(stack, "all", func(s *swarm.ServiceSpec) {
		s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none}
		c := s.TaskTemplate.ContainerSpec
		c.Secrets = []*swarm.SecretReference{reference, other}
		c.Configs = []*swarm.ConfigReference{{ConfigName: stack.Name + "_c", File: &swarm.ConfigReferenceFileTarget{Name: "/c", UID: "1", GID: "1", Mode: 0o440}}}
		c.Command, c.Hostname, c.Dir, c.User, c.Groups = []string{"/app"}, "h", "/", "1", []string{"2", "1"}
		c.Init, c.StopSignal, c.TTY, c.OpenStdin, c.ReadOnly, c.StopGracePeriod = &yes, "SIGINT", true, true, true, &second
		c.Hosts, c.DNSConfig = []string{"1.2.3.4 b", "1.2.3.4 a"}, &swarm.DNSConfig{Nameservers: []string{"1.1.1.1"}, Search: []string{"x"}, Options: []string{"timeout:1"}}
		c.Sysctls, c.CapabilityAdd, c.CapabilityDrop = map[string]string{"net.core.somaxconn": "1"}, []string{"CAP_SYS_ADMIN", "CAP_CHOWN"}, []string{"ALL"}
		c.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}, {Name: "core", Soft: 1, Hard: 2}}
		c.Healthcheck = healthcheck()
		c.Privileges.SELinuxContext = &swarm.SELinuxContext{Disable: true}
		c.Mounts = []mount.Mount{
			{Type: mount.TypeVolume, Source: "v", Target: "/v", VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: map[string]string{"a": "b"}, DriverConfig: &mount.Driver{Name: "local", Options: map[string]string{"o": "x"}}}},
			{Type: mount.TypeBind, Source: "/tmp", Target: "/b", ReadOnly: true, BindOptions: &mount.BindOptions{NonRecursive: true}},
			{Type: mount.TypeBind, Source: "/tmp", Target: "/e", Consistency: mount.ConsistencyCached, BindOptions: &mount.BindOptions{}},
			{Type: mount.TypeTmpfs, Target: "/t", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1 << 20, Mode: 0o700}},
		}
		task := &s.TaskTemplate
		task.Resources = &swarm.ResourceRequirements{
			Limits: &swarm.Limit{NanoCPUs: 1e8, MemoryBytes: 1 << 26, Pids: 50},
			Reservations: &swarm.Resources{NanoCPUs: 1e7, MemoryBytes: 1 << 25, GenericResources: []swarm.GenericResource{
				{DiscreteResourceSpec: &swarm.DiscreteGenericResource{Kind: "ssd", Value: 1}},
			}},
		}
		task.RestartPolicy = &swarm.RestartPolicy{Delay: &second, Window: &second, MaxAttempts: &attempts}
		task.Placement = &swarm.Placement{Constraints: []string{"node.role==manager", "node.labels.a==b"}, MaxReplicas: 2, Preferences: []swarm.PlacementPreference{{Spread: &swarm.SpreadOver{SpreadDescriptor: "node.labels.z"}}}}
		task.LogDriver = &swarm.Driver{Name: "json-file", Options: map[string]string{"max-size": "1m"}}
		s.UpdateConfig = &swarm.UpdateConfig{Parallelism: 2, Delay: second, Monitor: second, MaxFailureRatio: 0.3}
		s.RollbackConfig = &swarm.UpdateConfig{Order: "start-first"}
		s.EndpointSpec = &swarm.EndpointSpec{Mode: swarm.ResolutionModeVIP, Ports: []swarm.PortConfig{{TargetPort: 80, PublishedPort: 38080}, {TargetPort: 53, Protocol: "udp", PublishMode: "host", PublishedPort: 38053}}}
	})
	add(stack, "host", func(s *swarm.ServiceSpec) {
		s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none}
		s.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: "host"}}
		s.EndpointSpec = nil
	})
	rollout(t, engine, stack)
	if again := planFor(t, engine, stack); !again.Empty() {
		t.Errorf("differs at once: %+v", again.Steps)
	}
}
