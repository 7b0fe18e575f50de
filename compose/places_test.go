package compose_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
)

// TestPlaces finds keys and items of a stack in the files that set them: through anchors,
// merge keys, extends, includes and later files.
func TestPlaces(t *testing.T) {
	stack, err := renderFiles(t, map[string]string{
		"docker-compose.yml": `x-all: &all
  cap_add:
    - CHOWN
include: [more.yml]
services:
  web:
    <<: *all
    image: $IMAGE
    ports:
      - "$PORT:80"
    volumes:
      - data:/data
      - {type: bind, source: /srv, target: /srv/in}
  api:
    extends: {file: base.yml, service: base}
volumes:
  data: {name: named}
`,
		"docker-compose-late.yml": "services:\n  web:\n    image: late\n    environment: {A: b}\n",
		"base.yml":                "services:\n  base:\n    image: base\n    sysctls:\n      - a.b=1\n",
		"more.yml":                "services:\n  extra:\n    image: extra\n",
		"node.env":                "TAG=1\nIMAGE=nginx\nPORT=8080\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	item := func(text string, keys ...string) string {
		return stack.ItemPlace([]string{text}, keys...).String()
	}
	for got, want := range map[string]string{
		stack.Place("services", "web", "image").String():              "docker-compose-late.yml:3",
		stack.Place("services", "web", "deploy", "replicas").String(): "docker-compose-late.yml:2",
		stack.Place("services", "extra", "image").String():            "more.yml:3",
		stack.Place("services", "nowhere").String():                   "docker-compose-late.yml:1",
		item("CHOWN", "services", "web", "cap_add"):                   "docker-compose.yml:3",
		item("8080", "services", "web", "ports"):                      "docker-compose.yml:10",
		item("/data", "services", "web", "volumes"):                   "docker-compose.yml:12",
		item("/srv/in", "services", "web", "volumes"):                 "docker-compose.yml:13",
		item("A", "services", "web", "environment"):                   "docker-compose-late.yml:4",
		item("a.b", "services", "api", "sysctls"):                     "base.yml:5",
		item("other", "services", "api", "sysctls"):                   "base.yml:4",
	} {
		if got = strings.TrimPrefix(got, nodeDir); got != want {
			t.Errorf("found at %s, want %s", got, want)
		}
	}
	if key := stack.Key("volumes", "named"); key != "data" {
		t.Errorf("the volume named is %q", key)
	}
	if key := stack.Key("networks", "nowhere"); key != "" {
		t.Errorf("a network that is not defined is %q", key)
	}
	names, places := stack.Sources("services", "web", "ports")
	if len(names)+len(places) != 0 {
		t.Errorf("a list mentions %v", names)
	}
	names, places = mustRender(t, "services: {web: {image: \"app:$TAG\"}}").Sources("services", "web", "image")
	if diff := cmp.Diff([]string{"TAG"}, names); diff != "" || len(places) != 1 || places[0].Line != 1 {
		t.Errorf("%s, at %v", diff, places)
	}
	recorded := compose.Stack{Name: "s"} // not rendered
	if place := recorded.Place("services", "web"); place.File != "" || recorded.Key("volumes", "s_data") != "" {
		t.Errorf("a stack without files has a place: %v", place)
	}
}
