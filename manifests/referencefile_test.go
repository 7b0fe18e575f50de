package manifests_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"original.test/jsonschema"

	"coin.internal/coin-agent/manifests"
)

const documents = "../docs/"

// TestReferenceFile holds docs/config-reference.md and the pages in docs/config to the tags of Config. Each
// key has an effect in its tag `doc`, and an example of its type.
func TestReferenceFile(t *testing.T) {
	want, keys := manifests.Reference()
	for _, key := range keys {
		if !strings.HasSuffix(key.Effect, ".") {
			t.Errorf("%s has the effect %q: write a sentence into its tag doc", key.Path, key.Effect)
		}
		if key.Schema == nil {
			continue
		}
		if key.Example == "" {
			t.Errorf("%s has no example: add the tag example", key.Path)
		} else if err := validExample(t, key); err != nil {
			t.Errorf("the example %s of %s: %v", key.Example, key.Path, err)
		}
	}
	if len(keys) < 120 {
		t.Errorf("only %d keys were found", len(keys))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		checkPage(t, documents+name, want[name])
	}
	there, err := filepath.Glob(documents + "config/*")
	if err != nil || len(there) != len(want)-1 {
		t.Errorf("docs/config has %v (%v): remove what is not generated", there, err)
	}
}

func checkPage(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (run make docs)", err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale, run make docs (-want +got):\n%s", file, diff)
	}
}

func validExample(t *testing.T, key manifests.Key) error {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(key.Example), &value); err != nil {
		return err
	}
	schema, example := throughJSON(t, key.Schema), throughJSON(t, value)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("key.json", schema); err != nil {
		return err
	}
	compiled, err := compiler.Compile("key.json")
	if err != nil {
		return err
	}
	return compiled.Validate(example)
}

func throughJSON(t *testing.T, value any) any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	value, err = jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return value
}
