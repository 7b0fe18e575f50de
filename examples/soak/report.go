package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// sample is the memory between two looks.
type sample struct {
	look, syncs int // that have ended
	memory
}

// phase is the memory at the end of a part of the agent's work, and its peak meanwhile.
type phase struct {
	name string
	memory
}

// measures are what a soak measured.
type measures struct {
	phases  []phase
	samples []sample
}

// goals are limits of the memory.
type goals struct{ resident, anonymous, peak bytesOf }

// goalsOf gives the goals for a number of services: those for 20 and 200, and on their line.
func goalsOf(services int) goals {
	between := func(small, large bytesOf) bytesOf { return small + (large-small)*bytesOf(services-20)/180 }
	return goals{resident: between(44*mb, 46*mb), anonymous: between(12*mb, 14*mb), peak: between(55*mb, 60*mb)}
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
func slope(samples []sample, of func(sample) bytesOf) bytesOf {
	var n, sumX, sumY, sumXX, sumXY float64
	for _, s := range samples {
		x, y := float64(s.look), float64(of(s))
		n, sumX, sumY, sumXX, sumXY = n+1, sumX+x, sumY+y, sumXX+x*x, sumXY+x*y
	}
	if d := n*sumXX - sumX*sumX; d != 0 {
		return bytesOf(10000 * (n*sumXY - sumX*sumY) / d)
	}
	return 0
}

func resident(s sample) bytesOf  { return s.resident }
func anonymous(s sample) bytesOf { return s.anonymous }

// highest gives the largest of a figure.
func highest(samples []sample, of func(sample) bytesOf) (most bytesOf) {
	for _, s := range samples {
		most = max(most, of(s))
	}
	return most
}

// judge gives what is wrong with the memory: a goal that is exceeded, or growth.
func (m measures) judge(limit goals) error {
	var errs []error
	exceeds := func(what string, is, most bytesOf) {
		if is > most {
			errs = append(errs, fmt.Errorf("%s: %s, the goal is at most %s", what, is, most))
		}
	}
	for _, p := range m.phases {
		exceeds("peak of "+p.name, p.peak, limit.peak)
	}
	settled := m.settled()
	idle := settled[len(settled)-1]
	exceeds("resident after the soak", idle.resident, limit.resident)
	exceeds("anonymous after the soak", idle.anonymous, limit.anonymous)
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
	row := func(name string, of memory) {
		fmt.Fprintf(&b, "%-34s %10s %10s %10s\n", name, of.resident, of.anonymous, of.peak)
	}
	row("goal: at most", memory(limit))
	for _, p := range m.phases {
		row(p.name, p.memory)
	}
	settled := m.settled()
	last := settled[len(settled)-1]
	row(fmt.Sprintf("look %d, %d syncs", settled[0].look, settled[0].syncs), settled[0].memory)
	row(fmt.Sprintf("look %d, %d syncs", last.look, last.syncs), last.memory)
	row("the most between", memory{highest(settled, resident), highest(settled, anonymous), last.peak})
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
		fmt.Fprintf(w, "%d,%d,%d,%d,%d\n", s.look, s.syncs, int64(s.resident), int64(s.anonymous), int64(s.peak))
	}
	return w.Flush()
}
