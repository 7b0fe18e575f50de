// Package layers_test tests the example of a node with several stacks. Its images are the real ones,
// so the test looks at the files, and at the plans for an engine without any object.
package layers_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/secrets"
)

func TestCheck(t *testing.T) {
	results := desired.Check(os.DirFS("."), "sandbox", "node1", desired.Judged{})
	desired.Dispute(os.DirFS("."), "sandbox", results)
	var names []string
	for _, one := range append(results, desired.Scan(os.DirFS("."), "", "")) {
		names = append(names, one.Name())
		for _, problem := range append(one.Problems, one.Warnings...) {
			t.Errorf("%s: %s: %s (hint: %s)", one.Name(), problem.Place, problem.Message, problem.Hint)
		}
	}
	if diff := cmp.Diff([]string{"sandbox/node1/system", "sandbox/node1/platform", "sandbox/node1/business", ""}, names); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// TestPlans plans each stack for an empty engine. The later ones use what the earlier ones make.
func TestPlans(t *testing.T) {
	all, err := desired.RenderAll(t.Context(), os.DirFS("."), desired.Options{
		Environment: "sandbox", Node: "node1",
		Keys: func() (*secrets.Keyring, error) {
			return secrets.LoadKeys(secrets.KeyFiles{Age: []string{private(t, "../keys/sandbox.agekey")}})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"system":   "network front, service system_router",
		"platform": "network data, secret postgres_password.1, service platform_postgres",
		"business": "service business_gateway, service business_pages",
	}
	for _, one := range all {
		plan, err := deploy.Diff(&deploy.Live{}, one.Stack)
		if err != nil {
			t.Errorf("plan of %s: %v", one.Stack.Name, err)
			continue
		}
		var made []string
		for _, step := range plan.Recorded().Steps {
			made = append(made, string(step.Kind)+" "+step.Name)
		}
		if diff := cmp.Diff(want[one.Stack.Name], strings.Join(made, ", ")); diff != "" {
			t.Errorf("plan of %s (-want +got):\n%s", one.Stack.Name, diff)
		}
	}
	business := all[2].Stack
	business.Given.Networks = nil
	if _, err := deploy.Diff(&deploy.Live{}, business); err == nil || !strings.Contains(err.Error(), "external network front does not exist") {
		t.Errorf("without the earlier stacks: %v", err)
	}
	for name, paths := range map[string][]string{"gateway": {"/api"}, "pages": {"/issuer", "/investor", "/admin"}} {
		labels := business.Services["business_"+name].Labels
		for _, path := range paths {
			if rule := labels["traefik.http.routers."+map[string]string{"gateway": "api", "pages": "pages"}[name]+".rule"]; !strings.Contains(rule, "Host(`cfa.capital`)") || !strings.Contains(rule, "PathPrefix(`"+path+"`)") {
				t.Errorf("%s is routed by %q", path, rule)
			}
		}
	}
	if port := all[0].Stack.Services["system_router"].EndpointSpec.Ports[0]; port.PublishedPort != 80 || port.PublishMode != "host" {
		t.Errorf("the router publishes %+v", port)
	}
}

// private copies a key to a file that only its owner can read.
func private(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
