package deploy_test

import (
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// What another process took from services shows in their state, unless it may change the
// replicas, or the service ends by itself.
func TestDeclare(t *testing.T) {
	replicated := func(count uint64) swarm.ServiceMode {
		return swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &count}}
	}
	type want struct {
		Wanted uint64
		Misses bool
		Taken  string
	}
	for name, test := range map[string]struct {
		declared, live swarm.ServiceMode
		removed        bool
		once           bool // its tasks are not started again
		ignored        string
		image          string // of the live service, if it is another
		running        uint64
		want           want
	}{
		"as declared":                          {declared: replicated(2), live: replicated(2), running: 2, want: want{2, false, ""}},
		"scaled to 0":                          {declared: replicated(2), live: replicated(0), want: want{2, true, "scaled to 0"}},
		"scaled down":                          {declared: replicated(2), live: replicated(1), running: 1, want: want{2, true, "scaled to 1"}},
		"scaled up":                            {declared: replicated(2), live: replicated(3), running: 2, want: want{3, true, ""}},
		"declared with 0":                      {declared: replicated(0), live: replicated(0), want: want{0, false, ""}},
		"by an autoscaler":                     {declared: replicated(2), live: replicated(0), ignored: "replicas", want: want{0, false, ""}},
		"by an autoscaler, with another image": {declared: replicated(2), live: replicated(1), ignored: "replicas", image: "app:2", running: 1, want: want{1, false, ""}},
		"another mode":                         {declared: replicated(2), live: swarm.ServiceMode{Global: &swarm.GlobalService{}}, running: 1, want: want{0, false, ""}},
		"removed":                              {declared: replicated(2), removed: true, want: want{2, true, "removed"}},
		"removed, global":                      {declared: swarm.ServiceMode{Global: &swarm.GlobalService{}}, removed: true, want: want{1, true, "removed"}},
		"removed, a job":                       {declared: replicated(1), removed: true, once: true, want: want{1, false, "removed"}},
		"removed, ignored":                     {declared: replicated(2), removed: true, ignored: "replicas", want: want{2, true, "removed"}},
		"removed, with 0":                      {declared: replicated(0), removed: true, want: want{0, false, "removed"}},
		"a job scaled to 0":                    {declared: replicated(1), live: replicated(0), once: true, want: want{0, false, ""}},
	} {
		service := "s_web"
		if test.once {
			service = "s_migrate"
		}
		spec := swarm.ServiceSpec{
			Annotations:  swarm.Annotations{Name: service},
			Mode:         test.declared,
			TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: "app:1"}},
		}
		if test.once {
			spec.TaskTemplate.RestartPolicy = &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone}
		}
		stack, live := &compose.Stack{Name: "s", Services: map[string]swarm.ServiceSpec{service: spec}}, deploy.LiveServices{}
		if test.ignored != "" {
			stack.Ignored = map[string][]compose.Ignored{service: {{Field: test.ignored, Reason: "autoscaler"}}}
		}
		if !test.removed {
			spec.Mode = test.live
			if test.image != "" {
				spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{Image: test.image}
			}
			counts := &swarm.ServiceStatus{RunningTasks: test.running}
			if mode := test.live.Replicated; mode != nil {
				counts.DesiredTasks = *mode.Replicas
			}
			live[service] = swarm.Service{Spec: spec, ServiceStatus: counts}
		}
		got := deploy.Declare("s", deploy.Summarise("s", live), deploy.Drift(live, stack), stack)
		if len(got) != 1 {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		if diff := cmp.Diff(test.want, want{got[0].Wanted(), got[0].MissesTasks(), got[0].Taken()}); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// The engine has a message about each update. It shows where the update did not go well.
func TestSummariseUpdate(t *testing.T) {
	for state, want := range map[swarm.UpdateState]string{
		swarm.UpdateStateUpdating: "", swarm.UpdateStateCompleted: "", swarm.UpdateStatePaused: "said", swarm.UpdateStateRollbackStarted: "said", swarm.UpdateStateRollbackCompleted: "said",
	} {
		spec := swarm.ServiceSpec{TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{}}}
		live := deploy.LiveServices{"s_web": {Spec: spec, UpdateStatus: &swarm.UpdateStatus{State: state, Message: "said"}}}
		if got := deploy.Summarise("s", live)[0]; got.Message != want || got.UpdateState != string(state) {
			t.Errorf("%s: %+v", state, got)
		}
	}
}
