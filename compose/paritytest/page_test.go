package paritytest

import (
	"maps"
	"os"
	"strings"
	"testing"
)

// TestPage checks that docs/parity-tests.md names every case that is not deployed in both
// orders without differences.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/parity-tests.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for name := range intended {
		names[name] = "it has intended differences"
	}
	for name := range newer {
		names[name] = "docker 20.10 differs"
	}
	for name, version := range needs {
		names[name] = "it needs API " + version
	}
	maps.Copy(names, unready)
	for name, reason := range names {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("the page does not name `%s`: %s", name, reason)
		}
	}
}
