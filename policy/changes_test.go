package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/policy"
)

func TestChanged(t *testing.T) {
	read := func(text string) *policy.Policy {
		t.Helper()
		rules, err := policy.ReadFile("agent.yml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return rules
	}
	floor := "  floor: {approval: {required: true, minimum: 2, approvers: [ada, bob]}}\n"
	all := read(everything + floor)
	for name, test := range map[string]struct {
		before, after *policy.Policy
		want          []string
	}{
		"the same":         {all, read(everything + floor), nil},
		"none":             {nil, nil, nil},
		"another value":    {all, read(strings.Replace(everything, "replicas: 5", "replicas: 6", 1) + floor), []string{"limits"}},
		"a lower floor":    {all, read(everything + strings.Replace(floor, "2", "1", 1)), []string{"floor"}},
		"without a floor":  {all, read(everything), []string{"floor"}},
		"an empty list":    {read("policy: {host_network: []}\n"), read("policy: {strict: true}\n"), []string{"host_network", "strict"}},
		"the first policy": {nil, read("policy: {strict: true}\n"), []string{"strict"}},
	} {
		got := policy.Changed(test.before, test.after)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if same := test.before.Digest() == test.after.Digest(); same != (len(test.want) == 0) {
			t.Errorf("%s: %s and %s", name, test.before.Digest(), test.after.Digest())
		}
		if back := policy.Changed(test.after, test.before); !slices.Equal(back, got) {
			t.Errorf("%s, back: %v", name, back)
		}
	}
}
