package manifests_test

import (
	"fmt"
	"strings"
	"testing"

	"coin.internal/coin-agent/manifests"
)

// TestOrderInForce gives what each of the nodes waits for, where a commit changes the order:
// no two nodes wait for each other.
func TestOrderInForce(t *testing.T) {
	const roles = "nodes: [{name: %s, context: a, stack: s, role: secondary}, {name: %s, context: b, stack: s, role: primary}]\ndeployment: {strategy: blue-green}"
	nodes := func(names ...string) string {
		var list []string
		for _, name := range names {
			list = append(list, fmt.Sprintf("{name: %s, context: %s, stack: s}", name, name))
		}
		return "nodes: [" + strings.Join(list, ", ") + "]"
	}
	tests := map[string]struct{ good, commit, want string }{
		"reversed":        {nodes("a", "b", "c"), nodes("c", "b", "a"), "a: , b: a, c: a b"},
		"one more":        {nodes("a", "c"), nodes("a", "b", "c"), "a: , b: a, c: a b"},
		"one more, mixed": {nodes("b", "a"), nodes("a", "c", "b"), "a: b, b: , c: a"},
		"one less":        {nodes("a", "b", "c"), nodes("a", "c"), "a: , b: a, c: a b"},
		"first one gone":  {nodes("a", "b", "c"), nodes("b", "c"), "a: , b: a, c: a b"},
		"from parallel":   {nodes("a", "b", "c") + "\ndeployment: {strategy: parallel}", nodes("c", "b", "a"), "a: c b, b: c, c: "},
		"to parallel":     {nodes("a", "b", "c"), nodes("a", "b", "c") + "\ndeployment: {strategy: replace}", "a: , b: a, c: a b"},
		"roles swapped":   {fmt.Sprintf(roles, "a", "b"), fmt.Sprintf(roles, "b", "a"), "a: , b: a"},
		"from blue-green": {fmt.Sprintf(roles, "b", "a"), nodes("a", "b"), "a: b, b: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			good, commit := judged(t, test.good), judged(t, test.commit)
			var got []string
			for _, node := range []string{"a", "b", "c"} {
				_, before := good.Node(node)
				_, after := commit.Node(node)
				if before || after {
					config := manifests.Judges{Good: []*manifests.Config{good}, Node: node, At: judgedAt}.InForce(commit)
					got = append(got, node+": "+strings.Join(config.Before(node), " "))
				}
			}
			if text := strings.Join(got, ", "); text != test.want {
				t.Errorf("got %s, want %s", text, test.want)
			}
		})
	}
}

// TestLifted names the nodes that only a person lets a commit pass without.
func TestLifted(t *testing.T) {
	good, commit := judged(t, ""), judged(t, "nodes: [{name: node4, context: b, stack: s}]")
	judges := manifests.Judges{Good: []*manifests.Config{good}, Node: "node4", At: judgedAt}
	if got := judges.InForce(commit).Lifted; strings.Join(got, " ") != "node3" {
		t.Errorf("lifted %q", got)
	}
	floor, err := readFloor(t, "deployment: {order: [node3, node4]}")
	if err != nil {
		t.Fatal(err)
	}
	judges.Floor = floor
	if got := judges.InForce(commit); len(got.Lifted) > 0 || strings.Join(got.Before("node4"), " ") != "node3" {
		t.Errorf("the floor has it in front, and lifted is %q of %q", got.Lifted, got.Before("node4"))
	}
}

// Freezes that are over, or of other nodes, and other keys than those of gates are the
// commit's affair.
func TestNotLoosened(t *testing.T) {
	for good, commit := range map[string]string{
		"freeze: [{name: f, from: 2026-01-01T00:00:00Z, to: 2026-01-02T00:00:00Z}]": "",
		`freeze: [{name: f, schedule: "0 0 * * 6", duration: 24h, nodes: [node3]}]`: "",
		weekend: strings.NewReplacer("weekend", "longer", "62h", "63h").Replace(weekend),
		"approval: {required: true, approvers: [ada, bob]}":                          "approval: {required: true, approvers: [bob]}",
		"deployment: {checks: [{name: c, tcp: {address: 'a:1'}}], log_level: debug}": "",
		"drift: correct": "drift: report",
	} {
		config := manifests.Judges{Good: []*manifests.Config{judged(t, good)}, Node: "node4", At: judgedAt}.InForce(judged(t, commit))
		if len(config.Loosens) > 0 {
			t.Errorf("%s: loosens %q", good, config.Loosens)
		}
	}
}

// TestSeveralJudges has a rollback leave two configurations, one of which cannot be read.
func TestSeveralJudges(t *testing.T) {
	first, second := judged(t, "approval: {required: true, minimum: 2}"), judged(t, "deployment: {auto_deploy: false, rollback: {soak: 1h}}")
	judges := manifests.Judges{Good: []*manifests.Config{first, second}, Lost: true, Node: "node4", At: judgedAt}
	got := judges.InForce(judged(t, "deployment: {rollback: {soak: 2m}}"))
	want := "is judged without the config.yml of the last good revision, which cannot be read, lowers approvals from 2 to 0, " +
		"shortens the soak time from 10m0s to 2m0s, turns auto_deploy on, shortens the soak time from 1h0m0s to 2m0s"
	if text := strings.Join(got.Loosens, ", "); text != want {
		t.Errorf("loosens %s", text)
	}
	if said := inForce(got); said["approvals"] != "2 of , 1 of " || said["auto"] != "false" || !strings.HasSuffix(said["rollback"], "1h0m0s") {
		t.Errorf("in force is %q", said)
	}
}
