package enginetest

import (
	"time"

	"github.com/containerd/errdefs"
	containertypes "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"
)

// specTests are about services as they are stored.
func specTests() []contractTest {
	return []contractTest{
		{"the engine fills a small spec in", smallSpec},
		{"the engine fills a large spec in", largeSpec},
		{"services are found by label and by the beginning of a name", findServices},
		{"services are not read again while the answer is the same", sameAnswer},
		{"a spec is refused that names what is not there", missingReferences},
		{"a spec is refused that Swarm cannot run", refusedSpecs},
		{"a port is published once", portConflicts},
		{"an update of a stale version is refused", staleUpdate},
		{"an equal update raises the version and forgets the last one", equalUpdate},
		{"an update keeps the previous spec", previousSpec},
		{"a removed service leaves its name at once", removedService},
	}
}

func smallSpec(s *scene) {
	given := swarm.ServiceSpec{
		Annotations:  s.annotations("web"),
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: s.world.Images[0]}},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{}},
	}
	_, err := s.world.Swarm.ServiceCreate(s.t.Context(), given, swarm.ServiceCreateOptions{})
	s.must(err)
	want := swarm.ServiceSpec{
		Annotations: s.annotations("web"),
		TaskTemplate: swarm.TaskSpec{
			Runtime:       swarm.RuntimeContainer,
			ContainerSpec: &swarm.ContainerSpec{Image: s.world.Images[0], Isolation: containertypes.IsolationDefault},
		},
		Mode: swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: new(uint64(1))}},
	}
	found := s.service("web")
	if diff := cmp.Diff(want, found.Spec); diff != "" {
		s.t.Errorf("spec (-want +got):\n%s", diff)
	}
	if found.PreviousSpec != nil || found.UpdateStatus != nil || found.JobStatus != nil || found.CreatedAt.IsZero() || found.Version.Index == 0 {
		s.t.Errorf("service %+v", found)
	}
	task := s.untilTasks("web", 1, swarm.TaskStateRunning)[0].Spec
	want.TaskTemplate.Runtime = "" // tasks name none
	if diff := cmp.Diff(want.TaskTemplate, task); diff != "" {
		s.t.Errorf("task's spec (-want +got):\n%s", diff)
	}
}

// largeSpec says something in the fields that the engine changes.
func largeSpec(s *scene) {
	secret, config := s.secret("a"), s.config()
	given := s.spec("web", all(replicas(0), func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{}
		spec.UpdateConfig, spec.RollbackConfig = &swarm.UpdateConfig{}, &swarm.UpdateConfig{Order: "start-first"}
		spec.EndpointSpec = &swarm.EndpointSpec{Ports: []swarm.PortConfig{{TargetPort: 80}, {TargetPort: 53, Protocol: "udp", PublishMode: "host"}}}
		spec.TaskTemplate.Resources = &swarm.ResourceRequirements{Limits: &swarm.Limit{}}
		spec.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.role == manager"}, Preferences: []swarm.PlacementPreference{{}}}
		c := spec.TaskTemplate.ContainerSpec
		c.Labels, c.Env, c.Groups = map[string]string{}, []string{}, []string{"2", "1"}
		c.Secrets, c.Configs = []*swarm.SecretReference{secret}, []*swarm.ConfigReference{config}
		c.DNSConfig, c.Privileges, c.Healthcheck = &swarm.DNSConfig{}, &swarm.Privileges{}, &containertypes.HealthConfig{}
		c.Mounts = []mount.Mount{
			{Source: "/tmp", Target: "/a", Consistency: mount.ConsistencyCached, BindOptions: &mount.BindOptions{}},
			{Type: mount.TypeBind, Source: "/tmp", Target: "/b", BindOptions: &mount.BindOptions{NonRecursive: true}},
			{Type: mount.TypeVolume, Source: "v", Target: "/c", VolumeOptions: &mount.VolumeOptions{Labels: map[string]string{}}},
			{Type: mount.TypeTmpfs, Target: "/d", TmpfsOptions: &mount.TmpfsOptions{}},
		}
	}))
	_, err := s.world.Swarm.ServiceCreate(s.t.Context(), given, swarm.ServiceCreateOptions{})
	s.must(err)
	want := given
	want.TaskTemplate.Runtime = swarm.RuntimeContainer
	want.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: "any", MaxAttempts: new(uint64(0))}
	want.UpdateConfig = &swarm.UpdateConfig{FailureAction: "pause", Order: "stop-first"}
	want.RollbackConfig = &swarm.UpdateConfig{FailureAction: "pause", Order: "start-first"}
	want.EndpointSpec = &swarm.EndpointSpec{Mode: "vip", Ports: []swarm.PortConfig{
		{TargetPort: 80, Protocol: "tcp", PublishMode: "ingress"}, {TargetPort: 53, Protocol: "udp", PublishMode: "host"},
	}}
	want.TaskTemplate.Placement.Preferences = nil
	c := want.TaskTemplate.ContainerSpec
	c.Labels, c.Env, c.Isolation = nil, nil, containertypes.IsolationDefault
	c.Mounts[0] = mount.Mount{Type: mount.TypeBind, Source: "/tmp", Target: "/a"}
	c.Mounts[1].BindOptions = &mount.BindOptions{NonRecursive: true, Propagation: mount.PropagationRPrivate}
	c.Mounts[2].VolumeOptions = &mount.VolumeOptions{}
	if diff := cmp.Diff(want, s.service("web").Spec); diff != "" {
		s.t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func findServices(s *scene) {
	s.create("web", replicas(0))
	s.create("website", replicas(0))
	for how, test := range map[string]struct {
		filter filters.Args
		want   int
	}{
		"label":       {s.byStack(), 2},
		"other label": {filters.NewArgs(filters.Arg("label", "com.docker.stack.namespace="+s.world.Stack+"x")), 0},
		"name":        {filters.NewArgs(filters.Arg("name", s.name("web"))), 2},
		"whole name":  {filters.NewArgs(filters.Arg("name", s.name("website")), filters.Arg("name", s.name("none"))), 1},
	} {
		list, err := s.world.Swarm.ServiceList(s.t.Context(), swarm.ServiceListOptions{Filters: test.filter})
		s.must(err)
		if len(list) != test.want {
			s.t.Errorf("by %s: %d services, want %d", how, len(list), test.want)
		}
		for _, one := range list {
			if one.ServiceStatus != nil {
				s.t.Errorf("by %s: a status that was not asked for: %+v", how, one.ServiceStatus)
			}
		}
	}
}

// try makes a service that is to be refused.
func (s *scene) try(short string, change func(*swarm.ServiceSpec)) error {
	_, err := s.world.Swarm.ServiceCreate(s.t.Context(), s.spec(short, all(replicas(0), change)), swarm.ServiceCreateOptions{})
	return err
}

func missingReferences(s *scene) {
	s.refused(s.try("a", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: s.name("none")}}
	}), errdefs.IsInternal, "network "+s.name("none")+" not found")
	secret, config := s.secret("a"), s.config()
	s.must(s.world.Swarm.SecretRemove(s.t.Context(), secret.SecretID))
	s.must(s.world.Swarm.ConfigRemove(s.t.Context(), config.ConfigID))
	s.refused(s.try("a", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{secret}
	}), errdefs.IsInvalidArgument, "secret not found: "+secret.SecretName)
	s.refused(s.try("a", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.ContainerSpec.Configs = []*swarm.ConfigReference{config}
	}), errdefs.IsInvalidArgument, "config not found: "+config.ConfigName)
	_, _, err := s.world.Swarm.ServiceInspectWithRaw(s.t.Context(), s.name("a"), swarm.ServiceInspectOptions{})
	s.refused(err, errdefs.IsNotFound, "service "+s.name("a")+" not found")
}

func refusedSpecs(s *scene) {
	s.create("web", replicas(0))
	s.refused(s.try("web", imageIs(s.world.Images[1])), errdefs.IsConflict, "name conflicts with an existing object")
	bad := errdefs.IsInvalidArgument
	s.refused(s.try("a", func(spec *swarm.ServiceSpec) { spec.Name += "." }), bad, "name must be valid as a DNS name component")
	s.refused(s.try("a", imageIs("")), bad, "image reference must be provided")
	s.refused(s.try("a", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Resources = &swarm.ResourceRequirements{Limits: &swarm.Limit{MemoryBytes: 1 << 20}}
	}), bad, "Must be at least 4MiB")
	s.refused(s.try("a", func(spec *swarm.ServiceSpec) { spec.TaskTemplate.RestartPolicy.Delay = new(-time.Second) }), bad, "restart-delay cannot be negative")
	s.refused(s.try("a", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.ContainerSpec.Mounts = []mount.Mount{{Type: "tmpfs", Target: "/a"}, {Type: "tmpfs", Target: "/a"}}
	}), bad, "duplicate mount point: /a")
	s.refused(s.try("a", func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"x"}}
	}),
		errdefs.IsInternal, "constraint expected one operator")
	s.refused(s.try("a", func(spec *swarm.ServiceSpec) {
		spec.Mode = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}
	}), bad, "Jobs may not have an update config")
}

func portConflicts(s *scene) {
	publish := func(mode swarm.PortConfigPublishMode) func(*swarm.ServiceSpec) {
		return func(spec *swarm.ServiceSpec) {
			spec.EndpointSpec = &swarm.EndpointSpec{Ports: []swarm.PortConfig{{TargetPort: 80, PublishedPort: 38980, PublishMode: mode}}}
		}
	}
	s.create("web", all(replicas(0), publish("ingress")))
	s.refused(s.try("other", publish("ingress")), errdefs.IsInvalidArgument, "port '38980' is already in use by service '"+s.name("web")+"'")
	s.refused(s.try("other", publish("host")), errdefs.IsInvalidArgument, "port '38980' is already in use by service '"+s.name("web")+"'")
	// Once Swarm has given up the port of the mesh, only the scheduler keeps two apart.
	s.update("web", publish("host"))
	s.until(func() error { return s.try("other", publish("host")) })
}

func staleUpdate(s *scene) {
	s.create("web", replicas(0))
	before := s.service("web")
	s.update("web", func(spec *swarm.ServiceSpec) { spec.Labels["a"] = "b" })
	update := func(version swarm.Version, change func(*swarm.ServiceSpec)) error {
		spec := s.service("web").Spec
		change(&spec)
		_, err := s.world.Swarm.ServiceUpdate(s.t.Context(), before.ID, version, spec, swarm.ServiceUpdateOptions{})
		return err
	}
	s.refused(update(before.Version, env("A=1")), errdefs.IsInternal, "update out of sequence")
	newest := s.service("web").Version
	s.refused(update(newest, func(spec *swarm.ServiceSpec) { spec.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}} }),
		errdefs.IsNotImplemented, "service mode change is not allowed")
	s.refused(update(newest, func(spec *swarm.ServiceSpec) { spec.Name = s.name("x") }), errdefs.IsNotImplemented, "renaming services is not supported")
	if now := s.service("web"); now.Version != newest || len(now.Spec.TaskTemplate.ContainerSpec.Env) > 0 {
		s.t.Errorf("a refused update has changed something: %+v", now)
	}
}

func equalUpdate(s *scene) {
	s.create("web", nil)
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.update("web", env("A=1"))
	before := s.untilUpdate("web", swarm.UpdateStateCompleted)
	tasks := s.tasks("web")
	s.update("web", func(*swarm.ServiceSpec) {})
	after := s.service("web")
	if after.Version.Index <= before.Version.Index || after.UpdateStatus != nil || !cmp.Equal(after.Spec, before.Spec) {
		s.t.Errorf("before %+v\nafter %+v", before, after)
	}
	if after.PreviousSpec == nil || !cmp.Equal(*after.PreviousSpec, before.Spec) {
		s.t.Errorf("previous spec %+v", after.PreviousSpec)
	}
	if diff := cmp.Diff(ids(tasks), ids(s.tasks("web"))); diff != "" {
		s.t.Errorf("tasks:\n%s", diff)
	}
}

func previousSpec(s *scene) {
	s.create("web", replicas(0))
	before := s.service("web")
	s.update("web", func(spec *swarm.ServiceSpec) { spec.Labels["a"] = "b" })
	after := s.service("web")
	if after.PreviousSpec == nil || !cmp.Equal(*after.PreviousSpec, before.Spec) {
		s.t.Errorf("previous spec %+v", after.PreviousSpec)
	}
	if after.Spec.Labels["a"] != "b" || after.UpdateStatus != nil {
		s.t.Errorf("service %+v", after)
	}
}

func removedService(s *scene) {
	first := s.create("web", nil)
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.must(s.world.Swarm.ServiceRemove(s.t.Context(), first))
	s.refused(s.world.Swarm.ServiceRemove(s.t.Context(), first), errdefs.IsNotFound, "service "+first+" not found")
	_, err := s.world.Swarm.TaskList(s.t.Context(), swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", s.name("web")))})
	s.refused(err, errdefs.IsNotFound, "service "+s.name("web")+" not found")
	second := s.create("web", nil)
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	s.until(func() error {
		if left := s.tasksOf(first); len(left) > 0 {
			return errLeft(left)
		}
		return nil
	})
	if second == first {
		s.t.Error("the second has the first one's ID")
	}
}
