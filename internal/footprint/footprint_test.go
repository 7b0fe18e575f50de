package footprint_test

import (
	"fmt"
	"os"
	"regexp"
	"runtime/metrics"
	"strconv"
	"testing"

	"coin.internal/coin-agent/internal/footprint"
)

var kept []byte //nolint:gochecknoglobals // on the heap until the test drops it

// figure gives a figure of /proc/self/status in bytes.
func figure(t *testing.T, name string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no %s in\n%s", name, status)
	}
	kib, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// forced counts the collections that were asked for.
func forced() uint64 {
	read := []metrics.Sample{{Name: "/gc/cycles/forced:gc-cycles"}}
	metrics.Read(read)
	return read[0].Value.Uint64()
}

// fill allocates so many bytes, and writes to all of them.
func fill(n int) {
	kept = make([]byte, n)
	for i := range kept {
		kept[i] = 1
	}
}

// TestRelease gives back what the heap has free, the pages of the program, and what others hold,
// and the program still works.
func TestRelease(t *testing.T) {
	others := 0
	memory := footprint.New(func() { others++ })
	fill(64 << 20)
	full, file := figure(t, "RssAnon"), figure(t, "RssFile")
	kept = nil
	memory.Release()
	if now := figure(t, "RssAnon"); now > full-60<<20 {
		t.Errorf("%d bytes of the heap are in memory, before it were %d", now, full)
	}
	if now := figure(t, "RssFile"); now >= file {
		t.Errorf("%d bytes of the program are in memory, before it were %d", now, file)
	}
	if others != 1 {
		t.Errorf("others gave memory back %d times", others)
	}
	if text := fmt.Sprintf("%05.1f %q", 3.14159, "text"); text != `003.1 "text"` {
		t.Errorf("afterwards it prints %s", text)
	}
}

// TestRest does not collect the garbage of a little work.
func TestRest(t *testing.T) {
	memory := footprint.New()
	memory.Release()
	before := forced()
	for range 10 {
		fill(footprint.Step / 100)
		memory.Rest()
	}
	if now := forced(); now != before {
		t.Errorf("%d collections after little work", now-before)
	}
	for range 3 {
		fill(footprint.Step)
		memory.Rest()
		memory.Rest()
	}
	if now := forced(); now != before+6 {
		t.Errorf("%d collections after much work three times, want two each", now-before)
	}
}

// TestRestAfterOthers gives back what others have allocated while memory was given back.
func TestRestAfterOthers(t *testing.T) {
	others := 0
	memory := footprint.New(func() {
		if others++; others == 1 {
			fill(footprint.Step)
		}
	})
	memory.Release()
	before := forced()
	memory.Rest()
	memory.Rest()
	if now := forced(); now != before+2 {
		t.Errorf("%d collections, want two", now-before)
	}
}
