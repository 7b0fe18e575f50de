package control_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"original.test/jsonschema"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// endpoint describes an endpoint for openapi.json.
type endpoint struct {
	summary string
	query   string // its parameters, each with what it is
	body    reflect.Type
	answer  reflect.Type
	stream  string       // the media type of its stream; "" for none
	each    reflect.Type // one message of the stream
}

const (
	sse    = "text/event-stream"
	ndjson = "application/x-ndjson"
	stack  = "stack: the stack, by its key; the only one without it"
)

func typed[T any]() reflect.Type { return reflect.TypeFor[T]() }

// endpoints describe all endpoints, by pattern.
var endpoints = map[string]endpoint{
	"GET /v1/status": {summary: "What is known of the node", query: stack, answer: typed[report.Status]()},
	"GET /v1/plan":   {summary: "The present plan, or what has drifted", query: stack, answer: typed[control.Plan]()},
	"GET /v1/syncs": {
		summary: "A page of the history, the newest first", answer: typed[record.Page](),
		query: stack + "\nlimit: how many, up to 200\nbefore: the next of the page before\nstate: of the sync\nfailed: true for those that failed or were rolled back\n" +
			"service: those whose plan changes it\nauthor: part of the name of the author or actor\nsince: a time in RFC 3339",
	},
	"GET /v1/syncs/{id}": {summary: "One sync in full: its number, or latest", answer: typed[control.Detail]()},
	"GET /v1/secrets":    {summary: "Names, versions and ages of secrets and configs", query: stack, answer: typed[inventory.Survey]()},
	"GET /v1/services/{name}/logs": {
		summary: "Log lines of a service, with secrets masked", answer: typed[control.Lines](), stream: sse, each: typed[deploy.LogLine](),
		query: stack + "\nlines: how many, up to 1000\nfollow: true for a stream of those that come\nfailed: true for those of failed tasks",
	},
	"GET /v1/events": {
		summary: "What happens, as a stream of server-sent events", answer: typed[events.Batch](), stream: sse, each: typed[events.Event](),
		query: "after: the ID of the last event that is known; the header Last-Event-ID says the same\nfollow: false for the events on record, without a stream",
	},
	"GET /v1/openapi.json":     {summary: "This document"},
	"GET /v1/adopted":          {summary: "What is on record of the stack that the node keeps", query: stack, answer: typed[consent.Record]()},
	"GET /v1/adopt":            {summary: "What waits for adoption", query: stack, answer: typed[request.AdoptionPlan]()},
	"GET /v1/audit/verify":     {summary: "The check of the audit log", answer: typed[audit.Report]()},
	"POST /v1/sync":            {summary: "Sync now", query: stack + "\ndetach: answer at once", body: typed[request.Sync](), stream: ndjson, each: typed[control.Event]()},
	"POST /v1/retry":           {summary: "Try the held revision again", query: stack + "\ndetach: answer at once", body: typed[request.Retry](), stream: ndjson, each: typed[control.Event]()},
	"POST /v1/rollback":        {summary: "Roll back", query: stack + "\ndetach: answer at once", body: typed[request.Rollback](), stream: ndjson, each: typed[control.Event]()},
	"POST /v1/rollback/plan":   {summary: "What a rollback would do", query: stack, body: typed[request.Rollback](), answer: typed[request.RollbackPlan]()},
	"POST /v1/pause":           {summary: "Begin no rollouts", query: stack, body: typed[request.Pause](), answer: typed[record.Pause]()},
	"POST /v1/resume":          {summary: "End a pause, or what a rollback has pinned", query: stack, body: typed[request.Resume](), answer: typed[request.Resumed]()},
	"POST /v1/approve":         {summary: "Approve the plan that waits", query: stack, body: typed[request.Approve](), answer: typed[record.Approval]()},
	"POST /v1/adopt":           {summary: "Adopt what waits for that", query: stack, body: typed[request.Adopt](), answer: typed[record.Consent]()},
	"POST /v1/secrets/collect": {summary: "Remove old versions of secrets and configs", query: stack, answer: typed[inventory.Survey]()},
}

// parameters describes the parameters of an endpoint.
func parameters(pattern string, of endpoint) []any {
	list := []any{}
	for part := range strings.SplitSeq(pattern, "/") {
		if name, is := strings.CutPrefix(part, "{"); is {
			list = append(list, map[string]any{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
	}
	for line := range strings.Lines(of.query) {
		name, what, _ := strings.Cut(strings.TrimSpace(line), ": ")
		list = append(list, map[string]any{"name": name, "in": "query", "description": what, "schema": map[string]any{"type": "string"}})
	}
	return list
}

// openAPI makes the document.
func openAPI(t *testing.T) []byte {
	t.Helper()
	named, paths := schemas{}, map[string]map[string]any{}
	failed := map[string]any{
		"description": "the request fails, or is refused",
		"content":     map[string]any{"application/json": map[string]any{"schema": named.of(typed[control.Refusal]())}},
	}
	routes := control.Routes()
	for pattern, scope := range routes {
		of, has := endpoints[pattern]
		if !has {
			t.Fatalf("openapi_test.go does not describe %s", pattern)
		}
		content := map[string]any{}
		if of.answer != nil {
			content["application/json"] = map[string]any{"schema": named.of(of.answer)}
		}
		if of.stream != "" {
			content[of.stream] = map[string]any{"schema": named.of(of.each)}
		}
		operation := map[string]any{
			"summary": of.summary, "description": "Needs a token with the scope " + string(scope) + ".", "parameters": parameters(pattern, of),
			"responses": map[string]any{"200": map[string]any{"description": "the answer", "content": content}, "default": failed},
		}
		if of.body != nil {
			operation["requestBody"] = map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": named.of(of.body)}}}
		}
		method, path, _ := strings.Cut(pattern, " ")
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(method)] = operation
	}
	if len(routes) != len(endpoints) {
		t.Errorf("%d endpoints are described, there are %d", len(endpoints), len(routes))
	}
	document, err := json.MarshalIndent(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "coin-agent", "version": "1",
			"description": "The API of the agent of one node, on its control socket and, with api_listen, on the network. docs/api.md explains it.",
		},
		"paths": paths, "security": []any{map[string]any{"token": []any{}}},
		"components": map[string]any{
			"schemas":         named,
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}},
		},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(document, '\n')
}

// The document that the agent serves is made from the types.
func TestOpenAPI(t *testing.T) {
	made := openAPI(t)
	if *update {
		if err := os.WriteFile("openapi.json", made, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if code, body := get(t, &double{}, "/v1/openapi.json"); code != http.StatusOK || !bytes.Equal(body, made) {
		t.Error("openapi.json is stale: make docs")
	}
}

// get asks a server of a double.
func get(t *testing.T, d *double, path string) (code int, body []byte) {
	t.Helper()
	handler, wait := server(d).Handler(t.Context())
	over := httptest.NewServer(as(control.Caller{Scope: control.ScopeRead}, handler))
	defer wait()
	defer over.Close()
	response, err := http.Get(over.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// Answers are as the document says; what it does not say is an error.
func TestAnswersAreAsDocumented(t *testing.T) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI(t)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	refusal := compile(t, compiler, typed[control.Refusal]())
	for _, pattern := range slices.Sorted(maps.Keys(endpoints)) {
		of := endpoints[pattern]
		path, is := strings.CutPrefix(pattern, "GET ")
		if !is || of.answer == nil {
			continue
		}
		schema := compile(t, compiler, of.answer)
		path = strings.NewReplacer("{id}", "2", "{name}", "web").Replace(path) + "?follow=false"
		for name, d := range map[string]*double{"answer": {}, "refusal": {err: request.Refuse(request.Conflict, "do", "no")}} {
			code, body := get(t, d, path)
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
			if err == nil && code == http.StatusOK {
				err = schema.Validate(value)
			} else if err == nil {
				err = refusal.Validate(value)
			}
			if err != nil {
				t.Errorf("%s, %s: %v in %s", pattern, name, err, body)
			}
		}
	}
	wrong := map[string]any{"in_sync": "yes"}
	if compile(t, compiler, typed[report.Status]()).Validate(wrong) == nil {
		t.Error("a wrong answer is accepted")
	}
}

func compile(t *testing.T, compiler *jsonschema.Compiler, of reflect.Type) *jsonschema.Schema {
	t.Helper()
	schema, err := compiler.Compile("openapi.json" + schemas{}.of(of)["$ref"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// A caller with the scope read has nothing done by the agent.
func TestScopes(t *testing.T) {
	for pattern, scope := range control.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		if (method == http.MethodGet) != (scope == control.ScopeRead) {
			t.Errorf("%s needs the scope %s", pattern, scope)
		}
		for caller, want := range map[control.Scope]bool{control.ScopeRead: scope == control.ScopeRead, "": false} {
			handler, _ := server(&double{}).Handler(t.Context())
			r := httptest.NewRequestWithContext(t.Context(), method, strings.NewReplacer("{id}", "2", "{name}", "web").Replace(path)+"?follow=false", nil)
			w := httptest.NewRecorder()
			as(control.Caller{Actor: audit.Token("ci"), Scope: caller}, handler).ServeHTTP(w, r)
			if got := w.Code != http.StatusForbidden; got != want {
				t.Errorf("%s with the scope %q: %d", pattern, caller, w.Code)
			}
		}
	}
}

// What a request asks of the history is read as a client writes it, and wrong values are
// refused.
func TestQueries(t *testing.T) {
	asked := record.Query{
		Stack: "s", State: record.Failed, Failed: true, Service: "api", Author: "Anna & co", Limit: 7, Before: 12,
		Since: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC),
	}
	if got, err := control.ReadQuery(control.Values(asked)); err != nil || !reflect.DeepEqual(got, asked) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, query := range []string{"limit=0", "limit=201", "limit=many", "before=-1", "since=yesterday", "state=broken"} {
		if code, body := get(t, &double{}, "/v1/syncs?"+query); code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
}
