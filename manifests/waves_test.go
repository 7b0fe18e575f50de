package manifests_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/fault"
)

func TestWaveOfService(t *testing.T) {
	config, err := loadConfig("sandbox", rolled("pp", "waves: [[migrate, '*_setup'], ['*_api', test_setup], [admin_api]]"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, service := range []string{"migrate", "test_setup", "other_setup", "client_api", "admin_api", "web"} {
		got[service] = config.Wave(service)
	}
	want := map[string]int{"migrate": 1, "test_setup": 2, "other_setup": 1, "client_api": 2, "admin_api": 3, "web": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var idle []string
	for _, warning := range config.Idle([]string{"migrate", "test_setup", "client_api"}) {
		idle = append(idle, warning.Error())
	}
	if len(idle) != 1 || !strings.Contains(idle[0], `config.yml:6:`) || !strings.Contains(idle[0], `deployment.waves lists "admin_api", which matches no service of this node`) {
		t.Errorf("idle: %v", idle)
	}
}

func TestWavesThatContradict(t *testing.T) {
	for lines, want := range map[string]string{
		"waves: []":                         "deployment.waves is empty",
		"waves: [[a], []]":                  "deployment.waves[1] is empty",
		"waves: [[a, '*b'], ['*b']]":        `deployment.waves lists "*b" twice, first on line 5`,
		"waves: [['[']]":                    "deployment.waves[0][0]: want a service of the compose files, or a pattern such as *_api",
		"waves: [[a b]]":                    "want a service of the compose files",
		"waves: [migrate]":                  "deployment.waves[0]: want a list",
		"waves: [[migrate], {also: [api]}]": "deployment.waves[1]: want a list",
	} {
		_, err := loadConfig("sandbox", rolled("p", lines))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", lines, err, want)
			continue
		}
		var place *fault.Error
		if !errors.As(err, &place) || place.Place.Line != 5 || place.Hint == "" {
			t.Errorf("%s: place %v, hint %q", lines, place.Place, place.Hint)
		}
	}
}
