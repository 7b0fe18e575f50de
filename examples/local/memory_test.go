package local_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"coin.internal/coin-agent/examples/local"
)

// TestMemoryOf reads the memory of this process, before and after it has more.
func TestMemoryOf(t *testing.T) {
	before, err := local.MemoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	more := bytes.Repeat([]byte{1}, 32<<20)
	after, err := local.MemoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after.Anonymous < before.Anonymous+30*local.MB || after.Resident < after.Anonymous || after.Peak+2*local.MB < after.Resident {
		t.Errorf("before %+v, after %d more bytes %+v", before, len(more), after)
	}
}

func TestMemoryIn(t *testing.T) {
	const status = "Name:\tagent\nVmHWM:\t   50 kB\nVmRSS:\t   40 kB\nRssAnon:\t   10 kB\n"
	got, err := local.MemoryIn([]byte(status))
	if want := (local.Memory{Resident: 40960, Anonymous: 10240, Peak: 51200}); got != want || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "VmRSS: 40 kB\n", strings.Replace(status, "50 kB", "50 MB", 1), strings.Replace(status, "50", "many", 1)} {
		if got, err := local.MemoryIn([]byte(bad)); err == nil {
			t.Errorf("%q gives %+v", bad, got)
		}
	}
}
