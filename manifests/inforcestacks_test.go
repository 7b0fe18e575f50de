package manifests_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"coin.internal/coin-agent/manifests"
)

// A commit that ends the wait of a stack for another one loosens it; one that has it wait through a
// third stack, takes the other off the list, adds waits or turns the order round does not.
func TestFreedStacks(t *testing.T) {
	config := func(stacks string) *manifests.Config {
		t.Helper()
		read, err := manifests.LoadConfig(fstest.MapFS{"environments/sandbox/config.yml": {Data: []byte(
			"environment: {name: sandbox, type: non-production}\nnodes: [{name: node4, context: c, stacks: [" + stacks + "]}]\n")}}, "sandbox")
		if err != nil {
			t.Fatal(err)
		}
		return read
	}
	const all = "{name: system}, {name: platform}, {name: business, waits_for: [system, platform]}"
	for commit, want := range map[string]string{
		all: "[]",
		"{name: system}, {name: platform}, {name: business}":                "[]",
		"{name: system}, {name: business}":                                  "[]",
		"{name: system}, {name: platform, waits_for: []}, {name: business}": "[{platform system} {business system}]",
		"{name: system}, {name: platform}, {name: business, waits_for: []}": "[{business system} {business platform}]",
		"{name: business}, {name: system}, {name: platform}":                "[]",
		all + ", {name: more}":                                              "[]",
	} {
		got := manifests.Judges{Good: []*manifests.Config{config(all)}, Node: "node4", At: judgedAt}.InForce(config(commit))
		if text := fmt.Sprint(got.Freed); text != want || len(got.Loosens) < len(got.Freed) {
			t.Errorf("%s: frees %s, want %s; loosens %q", commit, text, want, got.Loosens)
		}
	}
	many, waits := "{name: s0}", "s0" // each waits for all before it
	for n := range 60 {
		many += fmt.Sprintf(", {name: s%d, waits_for: [%s]}", n+1, waits)
		waits += fmt.Sprintf(", s%d", n+1)
	}
	if got := (manifests.Judges{Good: []*manifests.Config{config(many)}, Node: "node4", At: judgedAt}).InForce(config(many)); len(got.Freed) > 0 {
		t.Errorf("the same list frees %v", got.Freed)
	}
	turned := manifests.Judges{Good: []*manifests.Config{config(all)}, Node: "node4", At: judgedAt}.InForce(config("{name: business}, {name: system}, {name: platform}"))
	if want := "[has the stack business go before system has the stack business go before platform]"; fmt.Sprint(turned.Loosens) != want {
		t.Errorf("a list in another order loosens %q", turned.Loosens)
	}
}
