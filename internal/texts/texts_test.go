package texts_test

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"coin.internal/coin-agent/internal/texts"
)

// TestTogether moves texts: they say the same, lie in one piece of memory, and equal ones are one.
func TestTogether(t *testing.T) {
	want := []string{"web", "", "registry.example/app:1", "api", strings.Repeat("x", 1000), "registry.example/app:1", "web", ""}
	got := make([]string, len(want))
	var all []*string
	for i, text := range want {
		got[i] = strings.Clone(text)
		all = append(all, &got[i])
	}
	texts.Together(all)
	if !slices.Equal(got, want) {
		t.Errorf("the texts are %q", got)
	}
	at := func(i int) uintptr { return uintptr(unsafe.Pointer(unsafe.StringData(got[i]))) }
	for i, next := range map[int]int{0: 2, 2: 3, 3: 4} {
		if at(next) != at(i)+uintptr(len(got[i])) {
			t.Errorf("%q is not beside %q", got[next], got[i])
		}
	}
	if at(5) != at(2) || at(6) != at(0) {
		t.Error("equal texts are kept twice")
	}
	texts.Together(nil)
}
