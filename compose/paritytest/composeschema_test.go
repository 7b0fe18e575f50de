package paritytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/docker/cli/cli/compose/loader"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	original "original.test/jsonschema"
)

// TestComposeSchemaErrors compares the replacement of jsonschema (internal/third_party) with the original,
// on the schema of the Compose specification and on docker's and compose-go's own examples with random
// defects.
func TestComposeSchemaErrors(t *testing.T) {
	judge, judges := compiled(t, schema.Schema)
	valid, refused := 0, 0
	for i, example := range examples(t) {
		random := rand.New(rand.NewPCG(2, uint64(i)))
		whole, err := loader.ParseYAML(example)
		if err != nil {
			t.Fatal(err)
		}
		for defects := range 500 {
			read, _ := copied(whole).(map[string]any)
			for range defects % 4 {
				damage(random, read)
			}
			document := asJSON(t, read)
			want, got := causes(judge.Validate(document)), causes(judges.Validate(document))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("the original, and the replacement: %s", diff)
			}
			if got == nil {
				valid++
			} else {
				refused++
			}
		}
	}
	if valid < 100 || refused < 400 {
		t.Errorf("%d documents are valid, %d are not: the comparison says little", valid, refused)
	}
}

// TestComposeSchemaKeywords compares both by small schemas with each keyword that is implemented.
func TestComposeSchemaKeywords(t *testing.T) {
	documents := []any{nil, true, "", "abc", "2s", -2.0, 0.0, 2.0, 2.5, 70000.0, []any{}, []any{1.0, 1.0}, []any{"a", "b", "a"}, []any{map[string]any{"a": 1.0}, map[string]any{"a": 1.0}, nil}}
	for _, value := range slices.Clone(documents) {
		documents = append(documents, map[string]any{"a": value}, map[string]any{"a": value, "b": "x", "x-c": 1.0}, map[string]any{"a": map[string]any{"b": value}})
	}
	for _, text := range []string{
		`{}`, `{"type": ["integer", "string"]}`, `{"enum": ["abc", "x"]}`, `{"pattern": "^a"}`, `{"minimum": 0, "maximum": 2.5}`, `{"uniqueItems": true}`,
		`{"format": "duration", "type": "string"}`, `{"items": {"type": "integer"}}`, `{"required": ["a", "b"]}`, `{"additionalProperties": {"type": "string"}}`,
		`{"properties": {"a": {"type": "object"}}, "additionalProperties": false}`, `{"patternProperties": {"^x-": {}, "^a": {"type": "null"}}, "additionalProperties": true}`,
		`{"anyOf": [{"type": "string"}, {"required": ["a"]}]}`, `{"oneOf": [{"type": "string"}, {"pattern": "^a"}, {"type": "integer"}]}`,
		`{"allOf": [{"properties": {"a": {"type": "string"}}}, {"$ref": "#/$defs/b"}], "unevaluatedProperties": false, "$defs": {"b": {"properties": {"b": {}}}}}`,
		`{"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {}}}], "unevaluatedProperties": false}`,
		`{"oneOf": [{"required": ["a"], "properties": {"a": {}}}, {"required": ["b"], "properties": {"b": {}}}], "unevaluatedProperties": false}`,
		`{"$ref": "#/$defs/o", "properties": {"b": {"type": "integer"}}, "unevaluatedProperties": false, "$defs": {"o": {"properties": {"a": {"$ref": "#/$defs/o"}}, "additionalProperties": {"type": ["null", "number"]}}}}`,
	} {
		judge, judges := compiled(t, text)
		for _, document := range documents {
			if diff := cmp.Diff(causes(judge.Validate(document)), causes(judges.Validate(document))); diff != "" {
				t.Errorf("%s, %v: the original, and the replacement: %s", text, document, diff)
			}
		}
	}
	for _, text := range []string{`{"maxLength": 3}`, `{"properties": {"a": {"not": {}}}}`, `{"type": 3}`, `{"type": "text"}`, `{"enum": [1]}`, `{"$ref": "#/$defs/a"}`, `{"$ref": "other.json"}`, `{"format": "ports"}`, `{"unevaluatedProperties": {}}`, `[]`} {
		compiler := jsonschema.NewCompiler()
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("s", document); err != nil {
			t.Fatal(err)
		}
		if _, err := compiler.Compile("s"); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

// examples are compose files with many keys: docker's example, and what only the specification has.
func examples(t *testing.T) [][]byte {
	t.Helper()
	data, err := os.ReadFile(dockerPackage(t, "loader") + "/full-example.yml")
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{data, []byte(specification)}
}

const specification = `name: example
include: [other.yml, {path: [a.yml, b.yml], project_directory: ., env_file: .env}]
services:
  web:
    image: web
    build: {context: ., additional_contexts: {base: "docker-image://b"}, args: [A=1], ssh: [default], cache_from: [c], platforms: [linux/amd64], secrets: [s, {source: s, mode: 0400}], ulimits: {nofile: {soft: 1, hard: 2}}, pull: true}
    develop: {watch: [{path: ./src, action: sync, target: /app, ignore: [node_modules/]}]}
    depends_on: {db: {condition: service_healthy, restart: true, required: false}}
    env_file: [{path: a.env, required: false, format: raw}, b.env]
    gpus: [{driver: nvidia, count: 1, capabilities: [gpu]}]
    extends: {service: base, file: base.yml}
    ports: ["80:80", 8080, {target: 80, published: "8080-8090", protocol: tcp, mode: host, app_protocol: http}]
    volumes: [{type: bind, source: ., target: /a, bind: {propagation: shared, create_host_path: true}}, {type: tmpfs, target: /t, tmpfs: {size: 10, mode: 700}}, "v:/v:ro"]
    networks: {front: {aliases: [w], ipv4_address: 10.0.0.2, priority: 3, driver_opts: {a: 1}}, back: }
    healthcheck: {test: [CMD, "true"], interval: 3s, retries: 3, start_period: 1m, disable: false}
    deploy: {mode: replicated, replicas: 2, update_config: {parallelism: 2, order: start-first, max_failure_ratio: 0.5}, resources: {limits: {cpus: "0.5", memory: 64M, pids: 5}, reservations: {devices: [{capabilities: [gpu], count: all}]}}, restart_policy: {condition: on-failure, max_attempts: 3}, placement: {constraints: [a], preferences: [{spread: b}], max_replicas_per_node: 3}, labels: {a: b}}
    post_start: [{command: [a], user: root, privileged: true, environment: [A=1]}]
    credential_spec: {config: c}
    blkio_config: {weight: 300, device_read_bps: [{path: /dev/a, rate: 12mb}]}
    ulimits: {nproc: 5, nofile: {soft: 20000, hard: 40000}}
    sysctls: [a=1]
    cgroup: host
    oom_score_adj: -500
    mem_swappiness: 60
    pull_policy: every_12h
    logging: {driver: json-file, options: {max-size: 10m, max-file: 3, none: null}}
    profiles: [a, b]
    models: {llm: {endpoint_var: URL, model_var: MODEL}}
    provider: {type: p, options: {a: [1, b]}}
    x-more: {a: 1}
networks:
  front: {driver: overlay, ipam: {driver: d, config: [{subnet: 10.0.0.0/16, aux_addresses: {a: 10.0.0.3}}]}, internal: true, attachable: true, labels: [a=b]}
  back: {external: true, name: b}
volumes: {v: {driver: d, driver_opts: {a: 1}, external: false}, w: }
secrets: {s: {file: ./s}, e: {environment: E}, x: {external: {name: x}}}
configs: {c: {content: text}, d: {file: ./d, labels: {a: b}, template_driver: golang}}
models: {llm: {model: m, context_size: 1024, runtime_flags: [a]}}
x-all: [1]
`

// asJSON gives a document as compose-go judges it: with the values of JSON.
func asJSON(t *testing.T, read any) (document any) {
	t.Helper()
	data, err := json.Marshal(read)
	if err == nil {
		err = json.Unmarshal(data, &document)
	}
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// compiled compiles a schema with the original and with the replacement, as compose-go does it.
func compiled(t *testing.T, text string) (*original.Schema, *jsonschema.Schema) {
	t.Helper()
	duration := func(input any) error {
		value, ok := input.(string)
		if !ok {
			return errors.New("expected string")
		}
		_, err := time.ParseDuration(value)
		return err
	}
	first, second := original.NewCompiler(), jsonschema.NewCompiler()
	first.RegisterFormat(&original.Format{Name: "duration", Validate: duration})
	first.AssertFormat()
	second.RegisterFormat(&jsonschema.Format{Name: "duration", Validate: duration})
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err == nil {
		err = errors.Join(first.AddResource("s.json", document), second.AddResource("s.json", document))
	}
	if err != nil {
		t.Fatal(err)
	}
	judge, err := first.Compile("s.json")
	judges, ownErr := second.Compile("s.json")
	if err != nil || ownErr != nil {
		t.Fatalf("%s: %v, %v", text, err, ownErr)
	}
	return judge, judges
}

// causes gives an error and those below it as texts, sorted: the original gives them in a random order.
func causes(err error) (texts []string) {
	printer := message.NewPrinter(language.English)
	list := func(depth int, at []string, kind interface{ LocalizedString(*message.Printer) string }) {
		words := strings.Fields(kind.LocalizedString(printer)) // names are in a random order, too
		for i := range words {
			words[i] = strings.TrimSuffix(words[i], ",")
		}
		slices.Sort(words)
		texts = append(texts, fmt.Sprintf("%d %T %v: %s", depth, kind, at, strings.Join(words, " ")))
	}
	var first *original.ValidationError
	var second *jsonschema.ValidationError
	switch {
	case errors.As(err, &first):
		walk(first, func(e *original.ValidationError) []*original.ValidationError { return e.Causes }, 0, func(depth int, e *original.ValidationError) {
			if depth > 0 {
				list(depth, e.InstanceLocation, e.ErrorKind)
			}
		})
	case errors.As(err, &second):
		walk(second, func(e *jsonschema.ValidationError) []*jsonschema.ValidationError { return e.Causes }, 0, func(depth int, e *jsonschema.ValidationError) {
			if depth > 0 {
				list(depth, e.InstanceLocation, e.ErrorKind)
			}
		})
	}
	slices.Sort(texts)
	return texts
}

// walk visits an error and those below it.
func walk[E any](err E, below func(E) []E, depth int, visit func(depth int, err E)) {
	visit(depth, err)
	for _, cause := range below(err) {
		walk(cause, below, depth+1, visit)
	}
}
