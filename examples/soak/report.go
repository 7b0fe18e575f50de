package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"coin.internal/coin-agent/examples/local"
)

// sample is the memory between two looks.
type sample struct {
	look, syncs int // that have ended
	local.Memory
}

// phase is the memory at the end of a part of the agent's work, and its peak meanwhile.
type phase struct {
	name string
	local.Memory
}

// measures are what a soak measured.
type measures struct {
	phases  []phase
	samples []sample
}

// mb is the unit of all figures.
const mb = local.MB

// goalsOf gives the goals for a number of services: those for 20 and 200, and on their line.
func goalsOf(services int) local.Memory {
	between := func(small, large local.Bytes) local.Bytes { return small + (large-small)*local.Bytes(services-20)/180 }
	return local.Memory{Resident: between(44*mb, 46*mb), Anonymous: between(12*mb, 14*mb), Peak: between(55*mb, 60*mb)}
}

const (
	// steepest is how much more is resident after 10,000 looks in an agent that counts as flat.
	steepest = 1 * mb

	// shortest is in how many looks the slope is more than noise.
	shortest = 3000
)

// settled gives the samples without the first tenth, in which the heap finds its size.
func (m measures) settled() []sample { return m.samples[len(m.samples)/10:] }

// grown gives the samples whose growth counts: those of the second half. In the first one the history
// in the state file fills, whose pages are resident.
func (m measures) grown() []sample { return m.samples[len(m.samples)/2:] }

// slope gives by how many bytes a figure grows in 10,000 looks: the line through the samples
// with the least squares.
func slope(samples []sample, of func(sample) local.Bytes) local.Bytes {
	var n, sumX, sumY, sumXX, sumXY float64
	for _, s := range samples {
		x, y := float64(s.look), float64(of(s))
		n, sumX, sumY, sumXX, sumXY = n+1, sumX+x, sumY+y, sumXX+x*x, sumXY+x*y
	}
	if d := n*sumXX - sumX*sumX; d != 0 {
		return local.Bytes(10000 * (n*sumXY - sumX*sumY) / d)
	}
	return 0
}

func resident(s sample) local.Bytes  { return s.Resident }
func anonymous(s sample) local.Bytes { return s.Anonymous }

// highest gives the largest of a figure.
func highest(samples []sample, of func(sample) local.Bytes) (most local.Bytes) {
	for _, s := range samples {
		most = max(most, of(s))
	}
	return most
}

// judge gives what is wrong with the memory: a goal that is exceeded, or growth.
func (m measures) judge(limit local.Memory) error {
	var errs []error
	exceeds := func(what string, is, most local.Bytes) {
		if is > most {
			errs = append(errs, fmt.Errorf("%s: %s, the goal is at most %s", what, is, most))
		}
	}
	for _, p := range m.phases {
		exceeds("peak of "+p.name, p.Peak, limit.Peak)
	}
	settled := m.settled()
	idle := settled[len(settled)-1]
	exceeds("resident after the soak", idle.Resident, limit.Resident)
	exceeds("anonymous after the soak", idle.Anonymous, limit.Anonymous)
	if grows := slope(m.grown(), resident); grows > steepest && len(m.grown()) >= shortest {
		errs = append(errs, fmt.Errorf("resident memory grows by %s in 10,000 looks of the second half, it may grow by %s", grows, steepest))
	}
	return errors.Join(errs...)
}

// table gives the figures for people.
func (m measures) table(services int) string {
	var b strings.Builder
	limit := goalsOf(services)
	fmt.Fprintf(&b, "\n%-34s %10s %10s %10s\n", fmt.Sprintf("%d services", services), "resident", "anonymous", "peak")
	row := func(name string, of local.Memory) {
		fmt.Fprintf(&b, "%-34s %10s %10s %10s\n", name, of.Resident, of.Anonymous, of.Peak)
	}
	row("goal: at most", limit)
	for _, p := range m.phases {
		row(p.name, p.Memory)
	}
	settled := m.settled()
	last := settled[len(settled)-1]
	row(fmt.Sprintf("look %d, %d syncs", settled[0].look, settled[0].syncs), settled[0].Memory)
	row(fmt.Sprintf("look %d, %d syncs", last.look, last.syncs), last.Memory)
	row("the most between", local.Memory{Resident: highest(settled, resident), Anonymous: highest(settled, anonymous), Peak: last.Peak})
	if grown := m.grown(); len(grown) >= shortest {
		fmt.Fprintf(&b, "%-35s %9s %10s\n", "growth in 10,000 looks, second half", slope(grown, resident), slope(grown, anonymous))
	}
	return b.String()
}

// writeCSV writes each sample.
func (m measures) writeCSV(to io.Writer) error {
	w := bufio.NewWriter(to)
	fmt.Fprintln(w, "look,syncs,resident_bytes,anonymous_bytes,peak_bytes")
	for _, s := range m.samples {
		fmt.Fprintf(w, "%d,%d,%d,%d,%d\n", s.look, s.syncs, int64(s.Resident), int64(s.Anonymous), int64(s.Peak))
	}
	return w.Flush()
}
