package policy_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/policy"
)

const (
	configFile  = "environments/sandbox/config.yml"
	composeFile = "environments/sandbox/nodes/node3/docker-compose.yml"
	nodeEnv     = "environments/sandbox/nodes/node3/node.env"
)

// read reads a policy that a test writes.
func read(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.ReadFile("policy.yml", []byte("policy:\n"+indented(text)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

// rendered renders sandbox/node3 of a repository that has these files too.
func rendered(t *testing.T, files map[string]string) policy.Subject {
	t.Helper()
	all := map[string]string{
		configFile: "environment: {name: sandbox, type: non-production}\nnodes: [{name: node3, context: c, stack: app, public_ip: 10.1.2.3}]\n",
		nodeEnv:    "TAG=v1\n",
	}
	maps.Copy(all, files)
	repository := fstest.MapFS{}
	for name, content := range all {
		repository[name] = &fstest.MapFile{Data: []byte(content)}
	}
	state, err := desired.Open(t.Context(), repository, desired.Options{Environment: "sandbox", Node: "node3", Sealed: true})
	if err != nil {
		t.Fatal(err)
	}
	stack, err := state.Render(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return policy.Subject{Stack: stack, Node: state.Node, Engine: "unix:///opt/engine/own.sock"}
}

// service is a compose file with a service web, whose keys start in line 3.
func service(keys string) map[string]string {
	return map[string]string{composeFile: "services:\n  web: {image: nginx,\n" + keys + "}\n"}
}

// verdicts gives refusals as rule, service, line of the compose file and message.
func verdicts(refusals []policy.Refusal) []string {
	var all []string
	for _, one := range refusals {
		place := strings.TrimPrefix(strings.TrimPrefix(one.Place.String(), "environments/sandbox/"), "nodes/node3/docker-compose.yml:")
		message := strings.TrimSuffix(one.Message, ": policy."+one.Rule+" does not allow it")
		if one.Service != "" {
			message = strings.TrimPrefix(message, "service "+one.Service+" ")
		}
		all = append(all, strings.Join([]string{one.Rule, one.Service, place, message}, "|"))
	}
	return all
}

// judged compares what a policy refuses, and that what it suggests for the same subject
// refuses nothing.
func judged(t *testing.T, rules string, of policy.Subject, want ...string) {
	t.Helper()
	refusals := read(t, rules).Judge(of)
	if diff := cmp.Diff(want, verdicts(refusals)); diff != "" {
		t.Errorf("policy {%s}: %s", rules, diff)
	}
	if i := slices.IndexFunc(refusals, func(r policy.Refusal) bool { return r.Hint == "" || r.Fault().Error() == "" }); i >= 0 {
		t.Errorf("no hint: %+v", refusals[i])
	}
	least, err := policy.Suggest(of).YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := policy.ReadFile("suggested.yml", []byte(least))
	if err != nil {
		t.Fatalf("%v of\n%s", err, least)
	}
	if refused := again.Judge(of); len(refused) > 0 {
		t.Errorf("the suggested policy refuses %v\n%s", verdicts(refused), least)
	}
}
