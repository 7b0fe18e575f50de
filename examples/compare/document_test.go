package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/examples/local"
)

func TestMedian(t *testing.T) {
	for want, of := range map[int][]int{7: {7}, 3: {9, 3, 1}, 2: {4, 2}, 5: {5, 100, 5, 1, 6}} {
		if got := median(of, func(n int) int { return n }); got != want {
			t.Errorf("the median of %v is %d, want %d", of, got, want)
		}
	}
}

func TestLoads(t *testing.T) {
	got, err := parseLoads(" 1x20 10×3 ")
	if err != nil || !slices.Equal(got, []load{{1, 20}, {10, 3}}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "20", "0x20", "1x0", "1x20,1x200", "1x2000", "x", "-1x2"} {
		if got, err := parseLoads(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// resultOf gives a result of three rounds, in which the agent takes a part of the CLI's time and CPU.
func resultOf(l load, elapsed, cpu float64) *result {
	r := newResult(l)
	for _, step := range steps {
		for round := range 3 {
			base := time.Duration(90+10*round) * time.Millisecond // the median is 100 ms
			calls := tally{reads: 12, writes: 4, bytes: 1499, classes: map[string]int{"POST /services/{}/update": 4, "GET /services": 12}}
			r.add(step, cliName, sample{elapsed: base, cpu: base / 2, tally: calls})
			r.add(step, agentName, sample{elapsed: time.Duration(float64(base) * elapsed), cpu: time.Duration(float64(base/2) * cpu), tally: calls})
		}
	}
	for _, resident := range []local.Bytes{50e6, 51e6, 49e6} {
		r.memory[agentName] = append(r.memory[agentName], local.Memory{Resident: resident, Anonymous: resident - 30e6, Peak: resident + 10e6})
	}
	return r
}

func TestDocument(t *testing.T) {
	r := &report{
		machine: machine{processor: "A processor", cores: 2, kernel: "6.1", busy: "0.10", agent: "agent v1", commit: "0123456789", cli: "28.2.2", date: time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)},
		tools:   []string{agentName, cliName}, rounds: 3,
		engines: []measured{{"20.10.24", []*result{resultOf(load{1, 20}, 0.5, 0.25)}}, {"28.5.2", []*result{resultOf(load{10, 20}, 0.875, 1)}}},
	}
	if slower := r.slower(); len(slower) > 0 {
		t.Error(slower)
	}
	text := r.markdown()
	for _, want := range []string{
		"In 8 of 8 rows the agent is not slower than the docker CLI: it needs 0.50 to 0.88 of the CLI's time, and 0.25 to 1.00 of its CPU.\n\n",
		"Measured on 30 November 2026 08:00 UTC: A processor, 2 cores, Linux 6.1, load average 0.10 before the run. agent v1, commit 0123456789; docker CLI 28.2.2. Medians of 3 rounds.",
		"## Engine 28.5.2\n\n### 10 stacks × 20 services, engine 28.5.2\n",
		"| first deployment | agent | 50 ms | 0.50 | 12.5 ms | 0.25 | 12 | 4 | 1 |\n| … | docker CLI | 100 ms |  | 50 ms |  | 12 | 4 | 1 |\n",
		"| agent | 1 stack × 20 services | 60.0 MB | 50.0 MB | 20.0 MB |\n",
		"| first deployment | docker CLI | 12 `GET /services`, 4 `POST /services/{}/update` |\n",
		"| nothing changes | docker CLI | the same |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document lacks %q:\n%s", want, text)
		}
	}
}

// TestSlower has the agent behind in all rows of one load, and in CPU alone in those of another.
func TestSlower(t *testing.T) {
	r := &report{tools: []string{agentName, cliName}, rounds: 3, engines: []measured{{"20.10.24", []*result{resultOf(load{1, 2}, 1.25, 0.5), resultOf(load{2, 2}, 1, 1.5)}}}}
	want := []string{}
	for _, step := range steps {
		want = append(want, "engine 20.10.24, 1 stack × 2 services, "+step+": 125 ms, and the docker CLI 100 ms")
	}
	if diff := cmp.Diff(want, r.slower()); diff != "" {
		t.Error(diff)
	}
	if text := r.markdown(); !strings.Contains(text, "It is slower here:\n\n- engine 20.10.24, 1 stack × 2 services, first deployment: 125 ms") {
		t.Error(text)
	}
}
