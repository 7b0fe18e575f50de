package paritytest

import (
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/cli/cli/compose/loader"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"
	"github.com/xeipuuv/gojsonschema"
	original "original.test/gojsonschema"
)

// TestSchemaErrors compares the replacement of gojsonschema (internal/third_party) with the
// original, on docker's schemas and on docker's own example with random defects.
func TestSchemaErrors(t *testing.T) {
	original.FormatCheckers.Add("ports", format(func(text string) error { _, err := nat.ParsePortSpec(text); return err }))
	original.FormatCheckers.Add("duration", format(func(text string) error { _, err := time.ParseDuration(text); return err }))
	example := filepath.Join(dockerPackage(t, "loader"), "full-example.yml")
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := loader.ParseYAML(data)
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := filepath.Glob(filepath.Join(dockerPackage(t, "schema"), "data", "*.json"))
	if err != nil || len(schemas) < 14 {
		t.Fatalf("%d schemas, %v", len(schemas), err)
	}
	valid, refused := 0, 0
	for i, name := range schemas {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		judge, err := original.NewSchema(original.NewStringLoader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, uint64(i)))
		for defects := range 300 {
			document, _ := copied(whole).(map[string]any)
			for range defects % 4 {
				damage(random, document)
			}
			want, err := judge.Validate(original.NewGoLoader(document))
			if err != nil {
				t.Fatal(err)
			}
			got, err := gojsonschema.Validate(gojsonschema.NewStringLoader(string(text)), gojsonschema.NewGoLoader(document))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(listed(want.Errors()), listed(got.Errors())); diff != "" {
				t.Fatalf("%s: the original, and the replacement: %s", filepath.Base(name), diff)
			}
			if got.Valid() {
				valid++
			} else {
				refused++
			}
		}
	}
	if valid < 100 || refused < 1000 {
		t.Errorf("%d documents are valid, %d are not: the comparison says little", valid, refused)
	}
}

// copied gives a copy of a document, which is damaged then.
func copied(value any) any {
	switch value := value.(type) {
	case map[string]any:
		made := map[string]any{}
		for key, inner := range value {
			made[key] = copied(inner)
		}
		return made
	case []any:
		made := make([]any, len(value))
		for i, inner := range value {
			made[i] = copied(inner)
		}
		return made
	}
	return value
}

// TestSchemaRefusesUnknownKeywords: a newer docker/cli may have schemas with more keywords.
func TestSchemaRefusesUnknownKeywords(t *testing.T) {
	for _, text := range []string{`{"maxLength": 3}`, `{"properties": {"a": {"not": {}}}}`, `{"type": 3}`, `{"enum": [1]}`, `{"$ref": "#/definitions/a"}`, `[`} {
		if _, err := gojsonschema.Validate(gojsonschema.NewStringLoader(text), gojsonschema.NewGoLoader(map[string]any{})); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

// format judges texts and numbers as docker/cli's package schema does.
type format func(text string) error

func (f format) IsFormat(input any) bool {
	text := fmt.Sprint(input)
	if number, ok := input.(*big.Rat); ok {
		text, _, _ = strings.Cut(number.String(), "/")
	}
	return f(text) == nil
}

// dockerPackage gives the folder of a package of docker's compose files.
func dockerPackage(t *testing.T, name string) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/docker/cli/cli/compose/"+name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(dir))
}

// damage changes one random value of a document.
func damage(random *rand.Rand, document map[string]any) {
	values := []any{
		nil, true, 0, -1, 3, 0.5, int64(70000), "", "text", "10s", "80:80", "start-first",
		[]any{},
		[]any{"a", "a"},
		[]any{1, 1.0, "1"},
		[]any{map[string]any{"target": 1}, nil},
		map[string]any{},
		map[string]any{"x-a": 1, "b": nil},
		[]string{"a"},
		map[string]string{"a": "b"},
	}
	var at any = document
	for {
		switch here := at.(type) {
		case map[string]any:
			keys := slices.Sorted(maps.Keys(here))
			if len(keys) == 0 || random.IntN(6) == 0 {
				here[[]string{"unknown", "x-known", "soft", "file"}[random.IntN(4)]] = values[random.IntN(len(values))]
				return
			}
			key := keys[random.IntN(len(keys))]
			if !isNested(here[key]) || random.IntN(5) == 0 {
				here[key] = values[random.IntN(len(values))]
				return
			}
			at = here[key]
		case []any:
			i := random.IntN(len(here))
			if !isNested(here[i]) || random.IntN(5) == 0 {
				here[i] = values[random.IntN(len(values))]
				return
			}
			at = here[i]
		}
	}
}

// isNested reports whether a value has values in it.
func isNested(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		return true
	case []any:
		return len(value) > 0
	}
	return false
}

// listed gives errors as texts, sorted: the original gives them in a random order.
func listed[E interface {
	Type() string
	Field() string
	Description() string
}](errors []E) []string {
	texts := []string{}
	for _, one := range errors {
		texts = append(texts, one.Type()+" | "+one.Field()+" | "+one.Description())
	}
	slices.Sort(texts)
	return texts
}
