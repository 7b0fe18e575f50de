package deploy_test

import (
	"fmt"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy"
)

func BenchmarkDiff(b *testing.B) {
	for _, count := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			stack := newStack("s")
			for i := range count {
				add(stack, fmt.Sprintf("service%d", i), published(uint32(10000+i)))
			}
			live := liveOf(stack)
			b.ReportAllocs()
			for b.Loop() {
				if plan, err := deploy.Diff(live, stack); err != nil || !plan.Empty() {
					b.Fatal(err, len(plan.Steps))
				}
			}
		})
	}
}

// BenchmarkApply writes 200 services without tasks, from nothing.
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
		if err := engine.Apply(b.Context(), planFor(b, engine, stack), stack, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
