package compose_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestProfiles(t *testing.T) {
	files := map[string]string{
		"docker-compose.yml": app + `    depends_on: [debug]
  debug:
    image: nginx:1
    profiles: [debug, ops]
  ops:
    extends: debug
    profiles: [$OPS]
  off:
    image: Not An Image
    profiles: [never]
`,
		"docker-compose-b.yml": "services:\n  debug:\n    labels: {a: b}\n",
	}
	for name, test := range map[string]struct {
		active, want string
		leftOut      int
	}{
		"none":    {"", "app", 3},
		"one":     {"debug", "app debug ops", 1},
		"several": {" x , ops", "app debug ops", 1},
		"another": {"x,OPS", "app", 3},
		"own":     {"more", "app ops", 2},
	} {
		t.Run(name, func(t *testing.T) {
			files["node.env"] = "TAG=1\nOPS=more\nCOMPOSE_PROFILES='" + test.active + "'\n"
			t.Setenv("COMPOSE_PROFILES", "never")
			stack, err := renderFiles(t, files)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(strings.Join(slices.Sorted(maps.Keys(stack.Services)), " "), "shop_", "")
			if got != test.want {
				t.Errorf("services %s, want %s", got, test.want)
			}
			leftOut := 0
			for _, warning := range stack.Warnings {
				if strings.Contains(warning.Message, "is not deployed: none of its profiles is active") {
					leftOut++
				}
			}
			if leftOut != test.leftOut {
				t.Errorf("%d services left out with a warning, want %d: %v", leftOut, test.leftOut, stack.Warnings)
			}
		})
	}
}

// TestAllProfiles deploys all services with the profile *.
func TestAllProfiles(t *testing.T) {
	stack, err := renderFiles(t, map[string]string{
		"node.env":           "TAG=1\nCOMPOSE_PROFILES=*\n",
		"docker-compose.yml": app + "    profiles: [a]\n  other:\n    image: nginx:1\n    profiles: [b]\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(stack.Services) != 2 || len(stack.Warnings) != 0 {
		t.Errorf("%d services, want 2; warnings %v", len(stack.Services), stack.Warnings)
	}
}
