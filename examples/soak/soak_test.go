package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"coin.internal/coin-agent/examples/local"
)

// made gives measures of a soak whose resident memory is so many bytes at each look.
func made(looks int, at func(look int) local.Bytes) measures {
	m := measures{phases: []phase{{"first apply", local.Memory{Peak: 50 * mb}}}}
	for look := 1; look <= looks; look++ {
		m.samples = append(m.samples, sample{look, look / 10, local.Memory{Resident: at(look), Anonymous: 10 * mb, Peak: 50 * mb}})
	}
	return m
}

// TestJudge says which memory is refused.
func TestJudge(t *testing.T) {
	limit := local.Memory{Resident: 44 * mb, Anonymous: 12 * mb, Peak: 55 * mb}
	growing := func(from local.Bytes, inTenThousand local.Bytes) func(int) local.Bytes {
		return func(look int) local.Bytes { return from + inTenThousand*local.Bytes(look)/10000 }
	}
	noise := func(look int) local.Bytes { return 40*mb + local.Bytes(look%7-3)*mb/2 }
	warm := func(look int) local.Bytes { return min(40*mb, 30*mb+local.Bytes(look)*mb/500) } // for 5,000 looks
	for name, test := range map[string]struct {
		measured measures
		refused  string
	}{
		"flat":                 {made(10000, growing(40*mb, 0)), ""},
		"half of the slope":    {made(10000, growing(40*mb, mb/2)), ""},
		"noise":                {made(2*shortest, noise), ""},
		"a history that fills": {made(10000, warm), ""},
		"a leak":               {made(10000, growing(30*mb, 2*mb)), "resident memory grows by 2.0 MB"},
		"a leak, seen early":   {made(2*shortest, growing(30*mb, 20*mb)), "resident memory grows by 20.0 MB"},
		"too short to say":     {made(2*shortest-2, growing(30*mb, 20*mb)), ""},
		"too large":            {made(100, growing(45*mb, 0)), "resident after the soak: 45.0 MB"},
		"a peak":               {measures{phases: []phase{{"first apply", local.Memory{Peak: 56 * mb}}}, samples: made(100, noise).samples}, "peak of first apply: 56.0 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.measured.judge(limit)
			if test.refused == "" && err != nil || test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
				t.Errorf("got %v, want %q", err, test.refused)
			}
		})
	}
}

func TestGoals(t *testing.T) {
	for services, want := range map[int]local.Memory{20: {Resident: 44 * mb, Anonymous: 12 * mb, Peak: 55 * mb}, 200: {Resident: 46 * mb, Anonymous: 14 * mb, Peak: 60 * mb}} {
		if got := goalsOf(services); got != want {
			t.Errorf("%d services: %+v", services, got)
		}
	}
}

// TestPlot draws soaks of several lengths: each is an SVG of bounded size with both lines.
func TestPlot(t *testing.T) {
	for _, looks := range []int{2, 31, 10000} {
		var drawn bytes.Buffer
		if err := plot(&drawn, "20 services <&>", made(looks, func(int) local.Bytes { return 40 * mb }).samples); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for decoder := xml.NewDecoder(&drawn); ; {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if element, is := token.(xml.StartElement); is && element.Name.Local == "polyline" {
				for _, attribute := range element.Attr {
					if attribute.Name.Local == "points" {
						lines = append(lines, attribute.Value)
					}
				}
			}
		}
		if len(lines) != 2 {
			t.Fatalf("%d looks: %d lines", looks, len(lines))
		}
		for _, line := range lines {
			if n := len(strings.Fields(line)); n != min(looks, points) {
				t.Errorf("%d looks: a line of %d points", looks, n)
			}
		}
	}
}

// TestLoad says that a change is of one service, or of all.
func TestLoad(t *testing.T) {
	l := newLoad(20)
	different := func(before, after string) (n int) {
		lines := strings.Split(after, "\n")
		for i, line := range strings.Split(before, "\n") {
			if line != lines[i] {
				n++
			}
		}
		return n
	}
	first := l.nodeEnv()
	all := l.changeAll()
	if got := different(first, all); got != 20 {
		t.Errorf("%d services change of 20", got)
	}
	if got := different(all, l.changeOne(41)); got != 1 {
		t.Errorf("%d services change of one", got)
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{"-services", "0"}, {"-looks", "1"}, {"-syncs", "-1"}, {"-looks", "5", "-syncs", "6"}, {"-what"}} {
		if code := run(t.Context(), args, io.Discard); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
