package paritytest

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	composetypes "github.com/docker/cli/cli/compose/types"
	"go.yaml.in/yaml/v3"
)

// untried lists the keys of the docker CLI's types that no case has, with the reason.
// The keys below them are excluded as well.
var untried = map[string]string{
	"services.build":             "dropped whole: Swarm builds nothing",
	"services.cgroupns_mode":     "Compose has no such key, so we refuse it; Swarm has no such setting either",
	"services.volumes.cluster":   "it is always empty; Compose has no such key, so we refuse it",
	"services.volumes.image":     "an image as a mount: no engine keeps it for services",
	"volumes.x-cluster-spec":     "no part of what a stack sends",
	"configs.driver":             "the CLI's schema refuses it",
	"configs.driver_opts":        "the CLI's schema refuses it",
	"configs.external.external":  "how the type holds `external: true`",
	"networks.external.external": "how the type holds `external: true`",
	"secrets.external.external":  "how the type holds `external: true`",
	"volumes.external.external":  "how the type holds `external: true`",
}

// TestKeys checks that the cases have every key of the docker CLI's loader. It fails on
// a new key of a newer CLI.
func TestKeys(t *testing.T) {
	known := map[string]bool{}
	typeKeys(known, "", reflect.TypeFor[composetypes.Config]())
	used := caseKeys(t)
	for _, key := range slices.Sorted(maps.Keys(known)) {
		reason := ""
		for above := key; above != "" && reason == ""; above, _, _ = cutLast(above) {
			reason = untried[above]
		}
		if reason == "" && !used[key] {
			t.Errorf("the key %s is not in a case", key)
		}
	}
	t.Logf("%d keys of the docker CLI's types, %d of them out of reach", len(known), len(untried))
}

func cutLast(key string) (before, after string, found bool) {
	if i := strings.LastIndex(key, "."); i >= 0 {
		return key[:i], key[i+1:], true
	}
	return "", key, false
}

// typeKeys lists the keys of a type by their YAML names. It omits the names of objects.
func typeKeys(keys map[string]bool, prefix string, of reflect.Type) {
	switch of.Kind() { //nolint:exhaustive // only kinds with elements
	case reflect.Pointer, reflect.Slice:
		typeKeys(keys, prefix, of.Elem())
	case reflect.Map:
		typeKeys(keys, prefix, of.Elem())
	case reflect.Struct:
		for i := range of.NumField() {
			field := of.Field(i)
			name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			if other, _, _ := strings.Cut(field.Tag.Get("json"), ","); name == "" {
				name = other
			}
			if name == "-" || strings.Contains(options, "inline") || prefix == "services.ulimits" && name == "single" {
				continue
			}
			key := strings.TrimPrefix(prefix+"."+name, ".")
			keys[key] = true
			typeKeys(keys, key, field.Type)
		}
	}
}

// named lists the mappings with names as keys.
var named = map[string]bool{
	"services": true, "networks": true, "volumes": true, "secrets": true, "configs": true,
	"services.networks": true, "services.ulimits": true,
}

func caseKeys(t *testing.T) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	err := fs.WalkDir(os.DirFS("testdata/environments/cases/nodes"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasPrefix(path.Ext(name), ".y") {
			return err
		}
		data, err := os.ReadFile(path.Join("testdata/environments/cases/nodes", name))
		if err != nil {
			return err
		}
		var content any
		if err := yaml.Unmarshal(data, &content); err != nil {
			return err
		}
		valueKeys(used, "", content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func valueKeys(keys map[string]bool, prefix string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, below := range value {
			key := prefix
			if !named[prefix] {
				key = strings.TrimPrefix(prefix+"."+name, ".")
				keys[key] = true
			}
			// The keys below are those of an object.
			if named[prefix] {
				objectKeys(keys, prefix, below)
				continue
			}
			valueKeys(keys, key, below)
		}
	case []any:
		for _, below := range value {
			valueKeys(keys, prefix, below)
		}
	}
}

func objectKeys(keys map[string]bool, prefix string, object any) {
	properties, ok := object.(map[string]any)
	if !ok {
		return
	}
	for name, below := range properties {
		key := prefix + "." + name
		keys[key] = true
		valueKeys(keys, key, below)
	}
}
