package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"original.test/jsonschema"

	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/freeaddress"
	"coin.internal/coin-agent/internal/waitfor"
)

const (
	readToken    = "0123456789abcdef0123456789abcdef-read"
	operateToken = "0123456789abcdef0123456789abcdef-operate"
)

// withAPI has the lab's agent serve its API, and gives the flags that ask it by a token.
func (l *lab) withAPI() (read, operate []string) {
	l.t.Helper()
	address := freeaddress.New(l.t)
	l.settings["api_listen"] = address
	reading, operating := l.file("api-read", readToken), l.file("api-operate", operateToken)
	l.mappings += fmt.Sprintf("api_tokens:\n  - {name: ci, file: %q}\n  - {name: ops, file: %q, scope: operate}\n", reading, operating)
	flags := func(token string) []string { return []string{"--host", "http://" + address, "--token-file", token} }
	return flags(reading), flags(operating)
}

// api asks the API.
func (l *lab) api(method, path, token string, header ...string) (int, []byte) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+l.settings["api_listen"]+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return response.StatusCode, body
}

// listen reads events from the one after an ID on, until one is last.
func (l *lab) listen(after string, last func(events.Event) bool) (all []events.Event, missed bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.settings["api_listen"]+"/v1/events", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+readToken)
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		l.t.Fatalf("the stream has the type %s", kind)
	}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		missed = missed || lines.Text() == "event: missed"
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is || data == "{}" {
			continue
		}
		event := decode[events.Event](l.t, data)
		if all = append(all, event); last(event) {
			return all, missed
		}
	}
	l.t.Fatalf("the stream ended after %+v", all)
	return nil, false
}

func ofKind(kind events.Kind, state string) func(events.Event) bool {
	return func(event events.Event) bool { return event.Kind == kind && event.State == state }
}

// each tells the event with which one of each kind was seen.
func each(kinds ...func(events.Event) bool) func(events.Event) bool {
	return func(event events.Event) bool {
		kinds = slices.DeleteFunc(kinds, func(is func(events.Event) bool) bool { return is(event) })
		return len(kinds) == 0
	}
}

// TestAPI asks an agent on a real engine over the network: a rollout is seen live, a reader
// that comes back gets the rest, logs are masked, and answers are as documented.
func TestAPI(t *testing.T) {
	l := newLab(t)
	read, operate := l.withAPI()
	files := l.smallRepo()
	files[node3+"docker-compose.yml"] = strings.Replace(smallCompose, "APP_RELEASE: $TAG_WORKER", `APP_RELEASE: "canary-web-auth-0a4b61dd92"`, 1) // the worker prints it
	first := l.commit("first \x1b[2J", files)
	l.start()
	l.await(first, record.Succeeded)
	l.posts(first, "success")

	l.step("a rollout is seen live", func() {
		seen, missed := l.listen("", each(ofKind(events.Stage, "apply"), ofKind(events.Write, "create"), ofKind(events.Progress, string(deploy.Converged)),
			ofKind(events.Outcome, string(record.Succeeded)), ofKind(events.Delivered, "success"))) // GitLab may have it before the outcome is told
		if missed || seen[0].Kind != events.Restarted {
			t.Errorf("missed %t, begins with %+v", missed, seen[0])
		}
	})
	l.step("a reader comes back", func() {
		before, _ := l.listen("", ofKind(events.Outcome, string(record.Succeeded)))
		cut := before[len(before)-1].ID
		second := l.commit("second", map[string]string{node3 + "node.env": l.nodeEnv("1", "export TAG_WEB=2")})
		after, missed := l.listen(cut, func(event events.Event) bool { return event.Kind == events.Outcome && event.Commit == second })
		if missed || !slices.ContainsFunc(after, ofKind(events.Write, "update")) || slices.ContainsFunc(after, func(e events.Event) bool { return e.ID == cut }) {
			t.Errorf("missed %t: %+v", missed, after)
		}
		l.await(second, record.Succeeded)
		out := l.mustRun(exitDone, []string{"update service " + l.stack + "_web: done"}, append(read, "events", "--after", cut)...)
		if strings.Contains(out, "the agent has started") {
			t.Errorf("it begins at the start: %s", out)
		}
	})
	l.step("logs are masked", func() { l.logsAreMasked(read) })
	l.step("answers are as documented", l.answersAsDocumented)
	l.step("commands ask it", func() { l.remoteCommands(read, operate) })
	l.step("a stopped agent", func() {
		_, missed := l.listen("", ofKind(events.Outcome, string(record.Succeeded)))
		old, _ := l.listen("", ofKind(events.Outcome, string(record.Succeeded)))
		l.stop()
		l.start()
		waitfor.NoError(t, patience, func() error {
			conn, err := net.Dial("tcp", l.settings["api_listen"])
			if err == nil {
				_ = conn.Close()
			}
			return err
		})
		seen, lost := l.listen(old[len(old)-1].ID, func(e events.Event) bool { return e.Kind == events.Look })
		if missed || !lost || seen[0].Kind != events.Restarted {
			t.Errorf("the restart is not told: missed %t, %+v", lost, seen)
		}
	})
	if strings.Contains(l.logText(), readToken) || strings.Contains(l.logText(), operateToken) {
		t.Error("the log has a token")
	}
}

// logsAreMasked reads what the worker prints, which has a secret's value in it.
func (l *lab) logsAreMasked(flags []string) {
	var text string
	waitfor.NoError(l.t, patience, func() error { // the engine may have it a moment later
		code, out, errs := l.command(append(flags, "logs", "worker")...)
		if text = out; code != exitDone || !strings.Contains(out, "release=***") {
			return fmt.Errorf("exit %d: %s%s", code, out, errs)
		}
		return nil
	})
	if found := needlesOf(canaries["web_auth"]).in(text); len(found) > 0 {
		l.t.Errorf("the logs show %q", found)
	}
	l.mustRun(exitError, []string{"has no service", "hint"}, append(flags, "logs", "nowhere")...)
	l.mustRun(exitDone, nil, append(flags, "logs", "worker", "--failed")...)

	_, output := l.watch(append(flags, "logs", "web", "-f")...)
	l.swarm.Docker(l.t, "", "service", "update", "--detach", "--force", l.stack+"_web")
	waitfor.NoError(l.t, patience, func() error { // of the task that came later
		tasks := map[string]bool{}
		for _, match := range regexp.MustCompile(` (\d+\.\w{12})  .*msg=serving`).FindAllStringSubmatch(output(), -1) {
			tasks[match[1]] = true
		}
		if len(tasks) < 2 {
			return fmt.Errorf("the lines are of %d tasks: %s", len(tasks), output())
		}
		return nil
	})
}

// answersAsDocumented validates all answers by the document that the agent serves.
func (l *lab) answersAsDocumented() {
	_, data := l.api(http.MethodGet, "/v1/openapi.json", readToken)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		l.t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		l.t.Fatal(err)
	}
	hunted := needlesOf(slices.Collect(func(yield func(string) bool) {
		for _, value := range canaries {
			yield(value)
		}
	})...)
	for path, name := range map[string]string{
		"/v1/status": "report.Status", "/v1/plan": "control.Plan", "/v1/syncs?limit=5&service=web": "record.Page", "/v1/syncs/latest": "control.Detail",
		"/v1/secrets": "inventory.Survey", "/v1/services/worker/logs": "control.Lines", "/v1/events?follow=false": "events.Batch",
		"/v1/adopted": "consent.Record", "/v1/audit/verify": "audit.Report", "/v1/syncs/99": "control.refusal",
	} {
		schema, err := compiler.Compile("openapi.json#/components/schemas/" + name)
		if err != nil {
			l.t.Fatal(err)
		}
		code, body := l.api(http.MethodGet, path, readToken)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			l.t.Errorf("%s: %d, %v in %s", path, code, err, body)
		}
		if found := hunted.in(string(body)); len(found) > 0 {
			l.t.Errorf("%s shows %q", path, found)
		}
	}
}

// remoteCommands runs commands against the API, as one would from another machine.
func (l *lab) remoteCommands(read, operate []string) {
	on := func(flags []string, args ...string) []string { return append(slices.Clone(flags), args...) }
	l.mustRun(exitDone, []string{"in sync"}, on(read, "status")...)
	l.mustRun(exitDone, []string{"second", "git:", "+00:00", "1 service updated"}, on(read, "history", "-n", "1")...)
	l.mustRun(exitDone, []string{`first \x1b[2J`}, on(read, "history", "--service", "worker", "--since", "1d")...)
	l.mustRun(exitDone, []string{"sandbox"}, on(read, "show", "latest", "-o", "manifest")...)
	l.mustRun(exitDone, []string{"web_auth"}, on(read, "secrets", "list")...)
	l.mustRun(exitDone, []string{"no difference"}, on(read, "diff")...)
	l.mustRun(exitError, []string{"it needs the scope operate", "token:ci"}, on(read, "pause", "--reason", "why")...)
	l.mustRun(exitUsage, []string{"works on this machine only"}, on(read, "doctor")...)
	l.mustRun(exitUsage, []string{"works on this machine only"}, on(operate, "sync", "--once")...)
	l.mustRun(exitDone, []string{"paused"}, on(operate, "pause", "--reason", "the fair", "--for", "1h")...)
	l.mustRun(exitDone, []string{"token:ops", "the fair"}, "audit", "log")
	l.mustRun(exitDone, nil, on(operate, "resume")...)
	wrong := l.file("wrong", strings.Repeat("x", 40))
	l.mustRun(exitError, []string{"a valid token is needed"}, "status", "--host", read[1], "--token-file", wrong)
	l.mustRun(exitError, []string{"does not use TLS"}, "status", "--host", "http://192.0.2.1:9181", "--token-file", wrong)
	if code, body := l.api(http.MethodGet, "/v1/status", readToken, "Origin", "http://evil.example"); code != http.StatusForbidden {
		l.t.Errorf("another site's page gets %d: %s", code, body)
	}

	valid := l.mappings
	l.mappings += "policy: {strict: maybe}\n"
	l.config()
	l.file("api-read", strings.Repeat("y", 40)) // a rotated token holds from the signal on, whatever else is wrong
	if err := l.process.Process.Signal(syscall.SIGHUP); err != nil {
		l.t.Fatal(err)
	}
	waitfor.NoError(l.t, patience, func() error {
		if code, _ := l.api(http.MethodGet, "/v1/status", strings.Repeat("y", 40)); code != http.StatusOK {
			return fmt.Errorf("the new token gets %d", code)
		}
		return nil
	})
	if code, _ := l.api(http.MethodGet, "/v1/status", readToken); code != http.StatusUnauthorized {
		l.t.Errorf("the old token gets %d", code)
	}
	l.mappings = valid
	l.config()
	l.file("api-read", readToken)
	if err := l.process.Process.Signal(syscall.SIGHUP); err != nil {
		l.t.Fatal(err)
	}
	waitfor.NoError(l.t, patience, func() error {
		if code, _ := l.api(http.MethodGet, "/v1/status", readToken); code != http.StatusOK {
			return errors.New("it is not read again")
		}
		return nil
	})
	waitfor.NoError(l.t, patience, func() error { // the entry follows the reload
		logged := l.mustRun(exitDone, nil, "audit", "log")
		if got := strings.Count(logged, "accepted since SIGHUP: "); got != 2 || strings.Contains(logged, readToken) {
			return fmt.Errorf("the audit log has %d reloads of the tokens:\n%s", got, logged)
		}
		return nil
	})
}

// Answers about 1,000 services stay small.
func TestAnswersOfALargeStack(t *testing.T) {
	status := report.Status{Environment: "sandbox", Node: "node3"}
	for i := range 1000 {
		name := fmt.Sprintf("a-stack-of-some-length_service-number-%d", i)
		status.Services = append(status.Services, deploy.ServiceStatus{Name: name, Image: "registry.example.com/coin/" + name + ":2026-01-31-0123456789", Mode: "replicated", Running: 2, Desired: 2})
	}
	data, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a status of 1,000 services has %d kB", len(data)>>10)
	if len(data) > 400<<10 {
		t.Errorf("a status of 1,000 services has %d bytes", len(data))
	}
}
