package enginetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/waitfor"
)

// patience is how long a test of the contract waits for anything. A real engine may be
// slow.
const patience = 2 * time.Minute

// scene is one test of the contract at work. What fails to be made ends it.
type scene struct {
	t     *testing.T
	world World
}

func (s *scene) name(short string) string { return s.world.Stack + "_" + short }

func (s *scene) labels() map[string]string {
	return map[string]string{compose.LabelStack: s.world.Stack}
}

func (s *scene) annotations(short string) swarm.Annotations {
	return swarm.Annotations{Name: s.name(short), Labels: s.labels()}
}

// spec gives a service that serves, restarts soon, and is watched shortly after an
// update.
func (s *scene) spec(short string, change func(*swarm.ServiceSpec)) swarm.ServiceSpec {
	spec := swarm.ServiceSpec{
		Annotations: s.annotations(short),
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{Image: s.world.Images[0], Labels: s.labels()},
			RestartPolicy: &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionAny, Delay: new(100 * time.Millisecond)},
		},
		UpdateConfig:   &swarm.UpdateConfig{Parallelism: 1, Monitor: time.Second},
		RollbackConfig: &swarm.UpdateConfig{Parallelism: 1, Monitor: time.Second},
	}
	if change != nil {
		change(&spec)
	}
	return spec
}

// create makes a service, and gives its ID.
func (s *scene) create(short string, change func(*swarm.ServiceSpec)) string {
	s.t.Helper()
	made, err := s.world.Swarm.ServiceCreate(s.t.Context(), s.spec(short, change), swarm.ServiceCreateOptions{})
	s.must(err)
	return made.ID
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// refused expects an error of a kind, as errdefs tells it, with some words.
func (s *scene) refused(err error, is func(error) bool, words string) {
	s.t.Helper()
	if err == nil || !is(err) || !strings.Contains(err.Error(), words) {
		s.t.Errorf("error %v (of the kind: %v), want words %q", err, err != nil && is(err), words)
	}
}

// update changes a service as it is now. Swarm may change it meanwhile: then it is
// tried again.
func (s *scene) update(short string, change func(*swarm.ServiceSpec)) {
	s.t.Helper()
	s.until(func() error {
		now := s.service(short)
		change(&now.Spec)
		_, err := s.world.Swarm.ServiceUpdate(s.t.Context(), now.ID, now.Version, now.Spec, swarm.ServiceUpdateOptions{})
		return err
	})
}

func (s *scene) service(short string) swarm.Service {
	s.t.Helper()
	list, err := s.world.Swarm.ServiceList(s.t.Context(), swarm.ServiceListOptions{Filters: filters.NewArgs(filters.Arg("name", s.name(short))), Status: true})
	s.must(err)
	for _, one := range list {
		if one.Spec.Name == s.name(short) {
			return one
		}
	}
	s.t.Fatalf("there is no service %s", s.name(short))
	return swarm.Service{}
}

// tasks lists the tasks of a service by their label, the oldest first.
func (s *scene) tasks(short string) []swarm.Task {
	s.t.Helper()
	return s.tasksOf(s.service(short).ID)
}

func (s *scene) tasksOf(id string) []swarm.Task {
	s.t.Helper()
	list, err := s.world.Swarm.TaskList(s.t.Context(), swarm.TaskListOptions{Filters: s.byStack()})
	s.must(err)
	list = slices.DeleteFunc(list, func(t swarm.Task) bool { return t.ServiceID != id })
	slices.SortFunc(list, func(a, b swarm.Task) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Slot, b.Slot))
	})
	return list
}

func (s *scene) byStack() filters.Args {
	return filters.NewArgs(filters.Arg("label", compose.LabelStack+"="+s.world.Stack))
}

func (s *scene) until(check func() error) {
	s.t.Helper()
	waitfor.NoError(s.t, patience, check)
}

// inState lists the tasks that are in a state.
func inState(tasks []swarm.Task, state swarm.TaskState) []swarm.Task {
	return slices.DeleteFunc(slices.Clone(tasks), func(t swarm.Task) bool { return t.Status.State != state })
}

// untilTasks waits until some tasks of a service are in a state, and gives them.
func (s *scene) untilTasks(short string, count int, state swarm.TaskState) []swarm.Task {
	s.t.Helper()
	var found []swarm.Task
	s.until(func() error {
		all := s.tasks(short)
		if found = inState(all, state); len(found) < count {
			return fmt.Errorf("%d tasks of %s are %s, want %d: %s", len(found), short, state, count, describe(all))
		}
		return nil
	})
	return found
}

// untilUpdate waits until the update of a service is in a state, and gives the service.
func (s *scene) untilUpdate(short string, state swarm.UpdateState) swarm.Service {
	s.t.Helper()
	var found swarm.Service
	s.until(func() error {
		found = s.service(short)
		if status := found.UpdateStatus; status == nil || status.State != state {
			return fmt.Errorf("the update of %s is %+v, want %s: %s", short, status, state, describe(s.tasks(short)))
		}
		return nil
	})
	return found
}

func describe(tasks []swarm.Task) []string {
	var words []string
	for _, t := range tasks {
		words = append(words, fmt.Sprintf("slot %d %s→%s %s %q", t.Slot, t.Status.State, t.DesiredState, t.Spec.ContainerSpec.Image, t.Status.Err))
	}
	return words
}

func ids(tasks []swarm.Task) []string {
	var all []string
	for _, t := range tasks {
		all = append(all, t.ID)
	}
	slices.Sort(all)
	return all
}

// network makes an overlay network, and gives its ID.
func (s *scene) network(short string) string {
	s.t.Helper()
	made, err := s.world.Swarm.NetworkCreate(s.t.Context(), s.name(short), network.CreateOptions{Driver: "overlay", Labels: s.labels()})
	s.must(err)
	return made.ID
}

// canary is the content of the contract's secrets and configs.
const canary = "canary"

// secret makes a secret, and gives a reference to it.
func (s *scene) secret(short string) *swarm.SecretReference {
	s.t.Helper()
	made, err := s.world.Swarm.SecretCreate(s.t.Context(), swarm.SecretSpec{Annotations: s.annotations(short), Data: []byte(canary)})
	s.must(err)
	return &swarm.SecretReference{
		SecretID: made.ID, SecretName: s.name(short),
		File: &swarm.SecretReferenceFileTarget{Name: short, UID: "0", GID: "0", Mode: 0o444},
	}
}

// config makes a config, and gives a reference to it.
func (s *scene) config() *swarm.ConfigReference {
	s.t.Helper()
	const short = "c"
	made, err := s.world.Swarm.ConfigCreate(s.t.Context(), swarm.ConfigSpec{Annotations: s.annotations(short), Data: []byte(canary)})
	s.must(err)
	return &swarm.ConfigReference{
		ConfigID: made.ID, ConfigName: s.name(short),
		File: &swarm.ConfigReferenceFileTarget{Name: "/" + short, UID: "0", GID: "0", Mode: 0o444},
	}
}

// env sets the environment of a service's containers.
func env(entries ...string) func(*swarm.ServiceSpec) {
	return func(spec *swarm.ServiceSpec) { spec.TaskTemplate.ContainerSpec.Env = entries }
}

// replicas sets how many tasks a service has.
func replicas(count uint64) func(*swarm.ServiceSpec) {
	return func(spec *swarm.ServiceSpec) {
		spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &count}}
	}
}

// all makes several changes.
func all(changes ...func(*swarm.ServiceSpec)) func(*swarm.ServiceSpec) {
	return func(spec *swarm.ServiceSpec) {
		for _, change := range changes {
			change(spec)
		}
	}
}

// restarts sets when tasks are restarted.
func restarts(condition swarm.RestartPolicyCondition) func(*swarm.ServiceSpec) {
	return func(spec *swarm.ServiceSpec) { spec.TaskTemplate.RestartPolicy.Condition = condition }
}

// onFailure sets what Swarm does when an update fails.
func onFailure(action string) func(*swarm.ServiceSpec) {
	return func(spec *swarm.ServiceSpec) { spec.UpdateConfig.FailureAction = action }
}

// runsJob makes containers run a job of the demo program.
func runsJob(name string) func(*swarm.ServiceSpec) {
	return func(spec *swarm.ServiceSpec) { spec.TaskTemplate.ContainerSpec.Args = []string{"/job.sh", name} }
}

// imageIs sets the image.
func imageIs(name string) func(*swarm.ServiceSpec) {
	return func(spec *swarm.ServiceSpec) { spec.TaskTemplate.ContainerSpec.Image = name }
}

func errLeft(tasks []swarm.Task) error { return fmt.Errorf("tasks are left: %s", describe(tasks)) }
