package main

import (
	"cmp"
	"slices"
	"time"

	"coin.internal/coin-agent/examples/local"
)

// sample is what one step of one tool took.
type sample struct {
	elapsed, cpu time.Duration
	tally
}

// result has the samples of a load: by step and tool, one for each round.
type result struct {
	load    load
	samples map[string]map[string][]sample
	memory  map[string][]local.Memory // of the daemons, by tool
}

func newResult(l load) *result {
	return &result{load: l, samples: map[string]map[string][]sample{}, memory: map[string][]local.Memory{}}
}

func (r *result) add(step, tool string, one sample) {
	if r.samples[step] == nil {
		r.samples[step] = map[string][]sample{}
	}
	r.samples[step][tool] = append(r.samples[step][tool], one)
}

// of gives the medians of a step of a tool, each on its own. The classes are those of the last
// round.
func (r *result) of(step, tool string) sample {
	all := r.samples[step][tool]
	return sample{
		elapsed: median(all, func(s sample) time.Duration { return s.elapsed }),
		cpu:     median(all, func(s sample) time.Duration { return s.cpu }),
		tally: tally{
			reads:   median(all, func(s sample) int { return s.reads }),
			writes:  median(all, func(s sample) int { return s.writes }),
			bytes:   median(all, func(s sample) int64 { return s.bytes }),
			classes: all[len(all)-1].classes,
		},
	}
}

// memoryOf gives the medians of the memory of a daemon.
func (r *result) memoryOf(tool string) local.Memory {
	all := r.memory[tool]
	return local.Memory{
		Peak:      median(all, func(m local.Memory) local.Bytes { return m.Peak }),
		Resident:  median(all, func(m local.Memory) local.Bytes { return m.Resident }),
		Anonymous: median(all, func(m local.Memory) local.Bytes { return m.Anonymous }),
	}
}

// median gives the middle one of some values; of an even number the lower one of the two.
func median[T any, V cmp.Ordered](all []T, value func(T) V) V {
	var values []V
	for _, one := range all {
		values = append(values, value(one))
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}
