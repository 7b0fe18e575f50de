package enginetest

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"
)

// objectTests are about networks, secrets and configs.
func objectTests() []contractTest {
	return []contractTest{
		{"a secret comes back without its content", secretComesBack},
		{"a secret's labels change, its content does not", secretLabels},
		{"a secret or config in use is not removed", usedObjects},
		{"a config comes back with its content", configComesBack},
		{"a network comes back as it was made", networkComesBack},
		{"a network in use is not removed", usedNetwork},
		{"a removed network keeps its name while containers use it", removedNetwork},
		{"the network of the host has an ID and no place in lists", hostNetwork},
	}
}

func secretComesBack(s *scene) {
	made := s.secret("a.1")
	_, err := s.world.Swarm.SecretCreate(s.t.Context(), swarm.SecretSpec{Annotations: s.annotations("a.1"), Data: []byte("other")})
	s.refused(err, errdefs.IsConflict, "already exists")
	for how, filter := range map[string]filters.Args{"label": s.byStack(), "name": filters.NewArgs(filters.Arg("name", s.name("a")))} {
		list, err := s.world.Swarm.SecretList(s.t.Context(), swarm.SecretListOptions{Filters: filter})
		s.must(err)
		if len(list) != 1 || list[0].ID != made.SecretID || list[0].Spec.Data != nil || !cmp.Equal(list[0].Spec.Annotations, s.annotations("a.1")) {
			s.t.Errorf("by %s: %+v", how, list)
		}
	}
	s.must(s.world.Swarm.SecretRemove(s.t.Context(), made.SecretID))
	s.refused(s.world.Swarm.SecretRemove(s.t.Context(), made.SecretID), errdefs.IsNotFound, "not found")
}

func secretLabels(s *scene) {
	made := s.secret("a")
	inspect := func() swarm.Secret {
		one, _, err := s.world.Swarm.SecretInspectWithRaw(s.t.Context(), made.SecretID)
		s.must(err)
		return one
	}
	before := inspect()
	update := func(version swarm.Version, content []byte, labels map[string]string) error {
		spec := before.Spec
		spec.Data, spec.Labels = content, labels
		return s.world.Swarm.SecretUpdate(s.t.Context(), made.SecretID, version, spec)
	}
	s.must(update(before.Version, []byte(canary), before.Spec.Labels))
	after := inspect()
	if after.Version.Index <= before.Version.Index || !cmp.Equal(after.Spec, before.Spec) {
		s.t.Errorf("equal content: %+v, then %+v", before, after)
	}
	s.refused(update(after.Version, []byte("other"), before.Spec.Labels), errdefs.IsInvalidArgument, "only updates to Labels are allowed")
	s.refused(update(before.Version, []byte(canary), before.Spec.Labels), errdefs.IsInternal, "update out of sequence")
	s.refused(update(before.Version, []byte("other"), before.Spec.Labels), errdefs.IsInvalidArgument, "only updates to Labels are allowed")
	s.must(update(after.Version, nil, map[string]string{"a": "b"}))
	if last := inspect(); !cmp.Equal(last.Spec.Labels, map[string]string{"a": "b"}) {
		s.t.Errorf("labels %v", last.Spec.Labels)
	}
	s.must(s.world.Swarm.SecretRemove(s.t.Context(), made.SecretID)) // its label is gone
}

func usedObjects(s *scene) {
	secret, config := s.secret("a"), s.config()
	id := s.create("web", all(replicas(0), func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{secret}
		spec.TaskTemplate.ContainerSpec.Configs = []*swarm.ConfigReference{config}
	}))
	ctx := s.t.Context()
	s.refused(s.world.Swarm.SecretRemove(ctx, secret.SecretID), errdefs.IsInvalidArgument, "secret '"+secret.SecretName+"' is in use by the following service: "+s.name("web"))
	s.refused(s.world.Swarm.ConfigRemove(ctx, config.ConfigID), errdefs.IsInvalidArgument, "config '"+config.ConfigName+"' is in use by the following service: "+s.name("web"))
	// What only the previous spec uses is not in use.
	s.update("web", func(spec *swarm.ServiceSpec) { spec.TaskTemplate.ContainerSpec.Secrets = nil })
	s.must(s.world.Swarm.SecretRemove(ctx, secret.SecretID))
	s.must(s.world.Swarm.ServiceRemove(ctx, id))
	s.must(s.world.Swarm.ConfigRemove(ctx, config.ConfigID))
	s.refused(s.world.Swarm.ConfigRemove(ctx, config.ConfigID), errdefs.IsNotFound, "not found")
}

func configComesBack(s *scene) {
	s.config()
	_, err := s.world.Swarm.ConfigCreate(s.t.Context(), swarm.ConfigSpec{Annotations: s.annotations("c"), Data: []byte("other")})
	s.refused(err, errdefs.IsConflict, "already exists")
	list, err := s.world.Swarm.ConfigList(s.t.Context(), swarm.ConfigListOptions{Filters: s.byStack()})
	s.must(err)
	if len(list) != 1 || string(list[0].Spec.Data) != canary || list[0].Spec.Name != s.name("c") {
		s.t.Errorf("configs %+v", list)
	}
}

func networkComesBack(s *scene) {
	id := s.network("n")
	_, err := s.world.Swarm.NetworkCreate(s.t.Context(), s.name("n"), network.CreateOptions{Driver: "overlay"})
	s.refused(err, errdefs.IsConflict, "already exists")
	s.until(func() error { // Swarm gives it its driver a little later
		found, err := s.world.Swarm.NetworkInspect(s.t.Context(), id, network.InspectOptions{Scope: "swarm"})
		s.must(err)
		if found.Name != s.name("n") || found.Scope != "swarm" || !cmp.Equal(found.Labels, s.labels()) {
			s.t.Errorf("network %+v", found)
		}
		if found.Driver != "overlay" {
			return fmt.Errorf("network %+v", found)
		}
		return nil
	})
	list, err := s.world.Swarm.NetworkList(s.t.Context(), network.ListOptions{})
	s.must(err)
	at := slices.IndexFunc(list, func(one network.Summary) bool { return one.ID == id })
	if at < 0 || len(list[at].IPAM.Config) != 1 || list[at].IPAM.Driver != "default" || len(list[at].Options) != 1 {
		s.t.Errorf("in the list: %+v", list)
	}
	_, err = s.world.Swarm.NetworkInspect(s.t.Context(), s.name("absent"), network.InspectOptions{Scope: "swarm"})
	s.refused(err, errdefs.IsNotFound, "network "+s.name("absent")+" not found")
}

func usedNetwork(s *scene) {
	id := s.network("n")
	s.create("web", all(replicas(0), func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: s.name("n"), Aliases: []string{"web"}}}
	}))
	if attached := s.service("web").Spec.TaskTemplate.Networks; len(attached) != 1 || attached[0].Target != id {
		s.t.Errorf("attached to %+v, want %s", attached, id)
	}
	s.refused(s.world.Swarm.NetworkRemove(s.t.Context(), id), errdefs.IsInvalidArgument, "is in use by service")
}

// removedNetwork does what `docker stack rm` does, and makes all again at once.
func removedNetwork(s *scene) {
	attach := all(replicas(1), func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: s.name("old")}}
	})
	old := s.network("old")
	id := s.create("web", attach)
	s.untilTasks("web", 1, swarm.TaskStateRunning)
	ctx := s.t.Context()
	s.must(s.world.Swarm.ServiceRemove(ctx, id))
	s.until(func() error { return s.world.Swarm.NetworkRemove(ctx, old) })
	_, err := s.world.Swarm.ServiceCreate(ctx, s.spec("web", attach), swarm.ServiceCreateOptions{})
	s.refused(err, errdefs.IsInternal, "network "+s.name("old")+" not found")
	s.until(func() error {
		_, err := s.world.Swarm.NetworkCreate(ctx, s.name("old"), network.CreateOptions{Driver: "overlay", Labels: s.labels()})
		if err != nil {
			s.refused(err, errdefs.IsConflict, "already exists")
		}
		return err
	})
	s.create("web", attach)
	s.untilTasks("web", 1, swarm.TaskStateRunning)
}

func hostNetwork(s *scene) {
	s.create("web", all(replicas(0), func(spec *swarm.ServiceSpec) {
		spec.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: "host"}}
	}))
	id := s.service("web").Spec.TaskTemplate.Networks[0].Target
	found, err := s.world.Swarm.NetworkInspect(s.t.Context(), id, network.InspectOptions{Scope: "swarm"})
	s.must(err)
	if id == "host" || found.Name != "host" || found.ID != id {
		s.t.Errorf("target %s: %+v", id, found)
	}
	list, err := s.world.Swarm.NetworkList(s.t.Context(), network.ListOptions{})
	s.must(err)
	var local []network.Summary
	for _, one := range list {
		if one.Name == "host" {
			local = append(local, one)
		}
	}
	if len(local) != 1 || local[0].ID == id || local[0].Scope != "local" {
		s.t.Errorf("networks named host: %+v", local)
	}
}
