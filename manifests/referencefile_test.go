package manifests_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/manifests"
)

const referenceFile = "../docs/config-reference.md"

// TestReferenceFile holds docs/config-reference.md to the tags of Config. Each key has an effect in its
// tag `doc`, and an example of its type.
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
	if *update {
		if err := os.WriteFile(referenceFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatalf("%v (run make docs)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is stale, run make docs (-want +got):\n%s", referenceFile, diff)
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
