package compose_test

import (
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/compose"
)

func TestVariables(t *testing.T) {
	for name, test := range map[string]struct {
		node, image, want string
	}{
		"TAG_ takes TAG":           {"TAG=1.2\n", "$TAG_APP", "1.2"},
		"TAG_ of its own":          {"TAG=1.2\nTAG_APP=3\n", "$TAG_APP", "3"},
		"TAG_ set to nothing":      {"TAG=1.2\nTAG_APP=\n", "$TAG_APP", "1.2"},
		"default before TAG":       {"TAG=1.2\n", "${TAG_APP:-9}", "9"},
		"default after TAG_":       {"TAG=1.2\nTAG_APP=3\n", "${TAG_APP:-9}", "3"},
		"default if unset":         {"TAG=1.2\n", "${TAG_APP-9}", "9"},
		"default if empty":         {"TAG=1.2\nTAG_APP=\n", "${TAG_APP-9}", "9"},
		"default before 0":         {"TAG=1\n", "${SV_x:-3}", "3"},
		"TAG as default":           {"TAG=1.2\n", "${TAG_APP:-$TAG_B}", "1.2"},
		"0 as default":             {"TAG=1\n", "${A:-${SV_x}}", "0"},
		"default in a default":     {"TAG=1\n", "${A:-${SV_x:-${SV_y:-7}}}", "7"},
		"two forms in one text":    {"TAG=1.2\n", "${TAG_APP:-9}-${TAG_APP}-$TAG_APP", "9-1.2-1.2"},
		"alternative of TAG_":      {"TAG=1.2\n", "x${TAG_APP:+y}${SV_x+z}", "x"},
		"required TAG_":            {"TAG=1\nTAG_APP=3\n", "${TAG_APP:?needed}", "3"},
		"braces":                   {"TAG=1.2\n", "${TAG_APP}-${SV_x}", "1.2-0"},
		"SV_ is 0":                 {"TAG=1\n", "$SV_x", "0"},
		"SV_ of its own":           {"SV_x=5\n", "$SV_x", "5"},
		"not exported":             {"X=1\n", "$X", "1"},
		"dash after a variable":    {"TAG=1\n", "$TAG-alpine", "1-alpine"},
		"nested default":           {"B=2\n", "${A:-${B}}", "2"},
		"alternative":              {"A=1\n", "${A:+set}${B:+unset}x", "setx"},
		"the process has no say":   {"TAG=1\n", "${HOME:-none}", "none"},
		"settings name their file": {"TAG=1\n", "x${PROJECT_SETTINGS}", "x.project.tmp.env"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", "/home/of/the/process")
			stack, err := renderFiles(t, map[string]string{
				"node.env":           test.node,
				"docker-compose.yml": "services:\n  app:\n    image: app:" + test.image + "\n",
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := stack.Services["shop_app"].TaskTemplate.ContainerSpec.Image; got != "app:"+test.want {
				t.Errorf("image is %s, want app:%s", got, test.want)
			}
		})
	}
}

// TestUnsetForms checks that a variable that is not set and has no default is an error:
// also behind a default, and in a form that asks for it, which TAG and 0 do not answer.
func TestUnsetForms(t *testing.T) {
	for text, want := range map[string]string{
		"${A:-x}-${UNSET}":   "the variable UNSET is not set and has no default",
		"${SV_x:?set it}":    "required variable SV_x is missing a value: set it",
		"${TAG_APP?set one}": "required variable TAG_APP is missing a value: set one",
	} {
		_, err := renderFiles(t, map[string]string{"docker-compose.yml": "services:\n  app:\n    image: app:" + text + "\n"})
		if err == nil || !strings.Contains(err.Error(), "docker-compose.yml:3: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestLenientWarns(t *testing.T) {
	stack, err := renderFiles(t, map[string]string{
		"/environments/test/config.yml": config + "interpolation: lenient\n",
		"docker-compose.yml":            app + "    hostname: a$HOST\n    user: u${HOST}\n    working_dir: /${HOST:-srv}\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := stack.Services["shop_app"].TaskTemplate.ContainerSpec.Hostname; got != "a" {
		t.Errorf("hostname is %q, want a", got)
	}
	wantWarnings(t, stack,
		"docker-compose.yml:4: the variable HOST is not set: it is treated as empty",
		"docker-compose.yml:5: the variable HOST is not set: it is treated as empty")
}

// TestIgnoredKeys expects a warning for keys of Compose that Swarm does not support.
func TestIgnoredKeys(t *testing.T) {
	stack := mustRender(t, app+`    container_name: one
    depends_on: [other]
    ports: ["127.0.0.1:80:80"]
  other:
    image: nginx:1
    profiles: [debug]
`)
	wantWarnings(t, stack,
		"docker-compose.yml:4: service app: container_name has no effect: Swarm names the containers itself, after service and task",
		"docker-compose.yml:5: service app: depends_on has no effect: Swarm starts services in any order",
		"docker-compose.yml:6: service app: Swarm publishes a port on all addresses of the node, not only on 127.0.0.1:80",
		"docker-compose.yml:9: service other is not deployed: none of its profiles is active")
	if len(stack.Services) != 1 {
		t.Errorf("%d services, want 1", len(stack.Services))
	}
}

func wantWarnings(t *testing.T, stack *compose.Stack, want ...string) {
	t.Helper()
	var got []string
	for _, warning := range stack.Warnings {
		got = append(got, strings.TrimPrefix(warning.Error(), nodeDir))
		if warning.Hint == "" {
			t.Errorf("%v: no hint", warning)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("warnings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestBareNames checks that a name without a value in `environment` gets the value that
// the variable has. An unset name reaches the engine unchanged.
func TestBareNames(t *testing.T) {
	t.Setenv("NOWHERE", "of the process")
	stack, err := renderFiles(t, map[string]string{
		"node.env":           "TAG=1\nSET=set\n",
		"docker-compose.yml": "services:\n  app:\n    image: app:$TAG_APP\n    environment: [SET, TAG_APP, NOWHERE, TAG_OWN]\n    hostname: x${TAG_OWN:-}\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"NOWHERE", "SET=set", "TAG_APP=1", "TAG_OWN"}
	if got := stack.Services["shop_app"].TaskTemplate.ContainerSpec.Env; !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}

func TestVersionOverrides(t *testing.T) {
	stack, err := renderFiles(t, map[string]string{
		"node.env":             "SV_a=1\nSV_b=2\n",
		"secrets.override.env": "SV_b=7\nc_VERSION=8\n",
		"conf":                 "x",
		"docker-compose.yml": app + `configs:
  a: {file: conf, name: "a.$SV_a"}
  b: {file: conf, name: "b.$SV_b"}
  c: {file: conf, name: "c.$SV_c"}
  d: {file: conf, name: "d.$SV_d"}
  e: {file: conf, name: "e_v${SV_e:-3}"}
  f: {file: conf, name: "f_v${SV_b:-3}"}
`,
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range stack.Configs {
		got = append(got, one.Spec.Name+" "+one.Variable)
	}
	if want := []string{"a.1 SV_a", "b.7 SV_b", "c.8 SV_c", "d.0 SV_d", "e_v3 SV_e", "f_v7 SV_b"}; !slices.Equal(got, want) {
		t.Errorf("configs %q, want %q", got, want)
	}
}

// TestBindRoot resolves a relative bind source.
func TestBindRoot(t *testing.T) {
	stack, err := renderFiles(t, map[string]string{
		"/environments/test/config.yml": config + "base: {bind_root: /srv/coin}\n",
		"docker-compose.yml":            app + "    volumes:\n      - ./data:/a\n      - .:/b\n      - ./data/../x:/c\n      - /abs:/d\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, mount := range stack.Services["shop_app"].TaskTemplate.ContainerSpec.Mounts {
		got = append(got, mount.Source)
	}
	if want := []string{"/srv/coin/data", "/srv/coin", "/srv/coin/x", "/abs"}; !slices.Equal(got, want) {
		t.Errorf("sources %q, want %q", got, want)
	}
}
