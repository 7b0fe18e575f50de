package main

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"strings"

	"coin.internal/coin-agent/examples/local"
)

// The plot's size and margins, in pixels.
const (
	width, height            = 720.0, 320.0
	left, right, top, bottom = 56.0, 92.0, 40.0, 44.0
	points                   = 300 // at most, for each line
)

// series is a line of the plot.
type series struct {
	name, colour string
	of           func(sample) local.Bytes
}

// plot draws the memory over the looks as an SVG. A point is the most of the samples that it
// stands for.
func plot(to io.Writer, title string, samples []sample) error {
	all := []series{{"resident", "#1f6feb", resident}, {"anonymous", "#d1242f", anonymous}}
	var most local.Bytes
	for _, one := range all {
		most = max(most, highest(samples, one.of))
	}
	first, last := samples[0].look, samples[len(samples)-1].look
	ceiling := (most/(10*mb) + 1) * 10 * mb
	x := func(look int) float64 {
		return left + (width-left-right)*float64(look-first)/float64(max(1, last-first))
	}
	y := func(b local.Bytes) float64 { return height - bottom - (height-top-bottom)*float64(b)/float64(ceiling) }

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%g" y="24" font-size="14">Memory of the agent: %s</text>`+"\n", left, html.EscapeString(title))
	for line := local.Bytes(0); line <= ceiling; line += 10 * mb {
		fmt.Fprintf(&b, `<path d="M%g %.1fH%g" stroke="#ddd"/><text x="%g" y="%.1f" text-anchor="end">%d MB</text>`+"\n", left, y(line), width-right, left-6, y(line)+4, line/mb)
	}
	for n := range 6 {
		look := first + (last-first)*n/5
		fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%d</text>`+"\n", x(look), height-bottom+18, look)
	}
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">looks</text>`+"\n", (left+width-right)/2, height-8)
	for _, one := range all {
		var line []string
		for _, part := range parts(samples) {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x(part[len(part)-1].look), y(highest(part, one.of))))
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/>`+"\n", one.colour, strings.Join(line, " "))
		end := one.of(samples[len(samples)-1])
		fmt.Fprintf(&b, `<text x="%g" y="%.1f" fill="%s">%s</text><text x="%g" y="%.1f" fill="%s">%s</text>`+"\n",
			width-right+6, y(end), one.colour, one.name, width-right+6, y(end)+14, one.colour, end)
	}
	b.WriteString("</svg>\n")
	_, err := to.Write(b.Bytes())
	return err
}

// parts divides samples into as many parts as a line has points.
func parts(samples []sample) (divided [][]sample) {
	n := min(points, len(samples))
	for i := range n {
		divided = append(divided, samples[i*len(samples)/n:(i+1)*len(samples)/n])
	}
	return divided
}
