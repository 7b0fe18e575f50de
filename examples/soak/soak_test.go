package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// TestReadMemory reads the memory of this process, before and after it has more.
func TestReadMemory(t *testing.T) {
	before, err := readMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	more := bytes.Repeat([]byte{1}, 32<<20)
	after, err := readMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after.anonymous < before.anonymous+30*mb || after.resident < after.anonymous || after.peak+2*mb < after.resident {
		t.Errorf("before %+v, after %d more bytes %+v", before, len(more), after)
	}
}

func TestParseStatus(t *testing.T) {
	const status = "Name:\tagent\nVmHWM:\t   50 kB\nVmRSS:\t   40 kB\nRssAnon:\t   10 kB\n"
	got, err := parseStatus([]byte(status))
	if want := (memory{resident: 40960, anonymous: 10240, peak: 51200}); got != want || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "VmRSS: 40 kB\n", strings.Replace(status, "50 kB", "50 MB", 1), strings.Replace(status, "50", "many", 1)} {
		if got, err := parseStatus([]byte(bad)); err == nil {
			t.Errorf("%q gives %+v", bad, got)
		}
	}
}

// made gives measures of a soak whose resident memory is so many bytes at each look.
func made(looks int, at func(look int) bytesOf) measures {
	m := measures{phases: []phase{{"first apply", memory{peak: 50 * mb}}}}
	for look := 1; look <= looks; look++ {
		m.samples = append(m.samples, sample{look, look / 10, memory{resident: at(look), anonymous: 10 * mb, peak: 50 * mb}})
	}
	return m
}

// TestJudge says which memory is refused.
func TestJudge(t *testing.T) {
	limit := goals{resident: 44 * mb, anonymous: 12 * mb, peak: 55 * mb}
	growing := func(from bytesOf, inTenThousand bytesOf) func(int) bytesOf {
		return func(look int) bytesOf { return from + inTenThousand*bytesOf(look)/10000 }
	}
	noise := func(look int) bytesOf { return 40*mb + bytesOf(look%7-3)*mb/2 }
	warm := func(look int) bytesOf { return min(40*mb, 30*mb+bytesOf(look)*mb/500) } // for 5,000 looks
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
		"a peak":               {measures{phases: []phase{{"first apply", memory{peak: 56 * mb}}}, samples: made(100, noise).samples}, "peak of first apply: 56.0 MB"},
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
	for services, want := range map[int]goals{20: {44 * mb, 12 * mb, 55 * mb}, 200: {46 * mb, 14 * mb, 60 * mb}} {
		if got := goalsOf(services); got != want {
			t.Errorf("%d services: %+v", services, got)
		}
	}
}

// TestPlot draws soaks of several lengths: each is an SVG of bounded size with both lines.
func TestPlot(t *testing.T) {
	for _, looks := range []int{2, 31, 10000} {
		var drawn bytes.Buffer
		if err := plot(&drawn, "20 services <&>", made(looks, func(int) bytesOf { return 40 * mb }).samples); err != nil {
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
