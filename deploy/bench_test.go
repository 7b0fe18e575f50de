package deploy_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// BenchmarkDiff plans stacks of growing size: nothing differs; every service has another
// image, another variable and the port of the next one; or nothing exists.
func BenchmarkDiff(b *testing.B) {
	stackOf := func(count int, change func(i int, s *swarm.ServiceSpec)) *compose.Stack {
		stack := newStack("s")
		for i := range count {
			add(stack, fmt.Sprintf("service%d", i), func(s *swarm.ServiceSpec) { change(i, s) })
		}
		return stack
	}
	for _, count := range []int{10, 100, 1000} {
		stack := stackOf(count, func(i int, s *swarm.ServiceSpec) { published(uint32(10000 + i))(s) })
		other := stackOf(count, func(i int, s *swarm.ServiceSpec) {
			published(uint32(10001 + i))(s)
			s.TaskTemplate.ContainerSpec.Image = image2
			s.TaskTemplate.ContainerSpec.Env = append(s.TaskTemplate.ContainerSpec.Env, "RELEASE=2")
			s.Labels[compose.LabelImage] = image2
		})
		for _, one := range []struct {
			name  string
			live  *deploy.Live
			steps int
		}{
			{"same", liveOf(stack), 0},
			{"changed", liveOf(other), count},
			{"new", liveOf(&compose.Stack{Name: "s"}), count + 1}, // and the network
		} {
			b.Run(fmt.Sprintf("%s/services=%d", one.name, count), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if plan, err := deploy.Diff(one.live, stack); err != nil || len(plan.Steps) != one.steps {
						b.Fatal(err, len(plan.Steps))
					}
				}
			})
		}
	}
}

// BenchmarkApply creates 200 services without tasks.
func BenchmarkApply(b *testing.B) {
	on, _, engine := swarmWith(b)
	none := uint64(0)
	for b.Loop() {
		b.StopTimer()
		stack := newStack(on.Stack(b))
		for i := range 200 {
			add(stack, fmt.Sprintf("service%d", i), func(s *swarm.ServiceSpec) {
				s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none}
			})
		}
		b.StartTimer()
		if err := engine.Apply(b.Context(), planFor(b, engine, stack), stack, deploy.ApplyOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdates updates 200 services without tasks through docker's client alone, one by one
// or several at once. It shows what of an apply is the engine's own time.
func BenchmarkUpdates(b *testing.B) {
	on, _, engine := swarmWith(b)
	none, revision := uint64(0), 0
	stack := newStack(on.Stack(b))
	for i := range 200 {
		add(stack, fmt.Sprintf("service%d", i), func(s *swarm.ServiceSpec) {
			s.Mode.Replicated = &swarm.ReplicatedService{Replicas: &none}
		})
	}
	if err := engine.Apply(b.Context(), planFor(b, engine, stack), stack, deploy.ApplyOptions{}); err != nil {
		b.Fatal(err)
	}
	for _, atOnce := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("at once=%d", atOnce), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				live, err := engine.ObserveServices(b.Context(), stack.Name)
				if err != nil {
					b.Fatal(err)
				}
				revision++
				b.StartTimer()
				var group sync.WaitGroup
				room := make(chan struct{}, atOnce)
				for _, service := range live {
					room <- struct{}{}
					group.Go(func() {
						defer func() { <-room }()
						service.Spec.TaskTemplate.ContainerSpec.Env = []string{fmt.Sprint("REVISION=", revision)}
						if _, err := on.API.ServiceUpdate(b.Context(), service.ID, service.Version, service.Spec, swarm.ServiceUpdateOptions{}); err != nil {
							b.Error(err)
						}
					})
				}
				group.Wait()
			}
		})
	}
}
