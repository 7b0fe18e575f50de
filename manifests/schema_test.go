package manifests_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"original.test/jsonschema"

	"coin.internal/coin-agent/manifests"
)

const schemaFile = "../docs/config.schema.json"

func TestSchemaFile(t *testing.T) {
	if *update {
		if err := os.MkdirAll(filepath.Dir(schemaFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(schemaFile, manifests.Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatalf("%v (run go test ./manifests -update)", err)
	}
	if diff := cmp.Diff(string(manifests.Schema()), string(got)); diff != "" {
		t.Errorf("docs/config.schema.json is stale, run go test ./manifests -update (-want +got):\n%s", diff)
	}
}

// TestSchemaAgrees checks that the schema and the decoder accept the same files.
func TestSchemaAgrees(t *testing.T) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(manifests.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("config.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		production:  "",
		plainConfig: "",
		plainConfig + "deployment: {strategy: rolling}\n":             "strategy",
		plainConfig + "deployment: {health_check: {timeout: 300}}\n":  "timeout",
		plainConfig + "deployment: {health_check: {timeout: 5}}\n":    "timeout",
		plainConfig + "deployment: {health_check: {timeout: 1.5h}}\n": "",
		plainConfig + "deployment: {migration_check: {}}\n":           "enabled",
		plainConfig + "unknown: 1\n":                                  "unknown",
		plainConfig + "database: {port: 0}\n":                         "port",
		plainConfig + "notifications: {email: [ops]}\n":               "email",
		plainConfig + "drift: correct\ninterpolation: lenient\n":      "",
		strings.Replace(plainConfig, "stack:", "stak:", 1):            "stak",
		strings.Replace(plainConfig, "stack: sbxapp3", "", 1):         "",
		plainConfig + "deployment: {feature_flags: {a: 1}}\n":         "a",
	}
	for config, want := range tests {
		_, decoding := loadConfig(strings.Fields(config)[2], config)
		var value any
		if err := yaml.Unmarshal([]byte(config), &value); err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		if err != nil {
			t.Fatal(err)
		}
		verdict := schema.Validate(instance)
		if (verdict == nil) != (want == "") || (decoding == nil) != (want == "") {
			t.Errorf("want a fault over %q; schema: %v; decoder: %v; of\n%s", want, verdict, decoding, config)
		}
		if verdict != nil && !strings.Contains(verdict.Error(), want) {
			t.Errorf("the schema does not report %q: %v", want, verdict)
		}
	}
}
