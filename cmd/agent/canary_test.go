package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/sopstest"
)

// needles are the forms in which a secret could be found in a text.
type needles map[string]string // form to what it is

// needlesOf gives the forms of secrets: plain, hexadecimal, base64 at each
// alignment, the decimal bytes that %v prints; of each line and each half of it.
func needlesOf(secrets ...string) needles {
	all := needles{}
	for _, secret := range secrets {
		for line := range strings.Lines(secret) {
			line = strings.TrimSpace(line)
			if len(line) < 12 { // "version: 1" is no secret
				continue
			}
			for _, part := range []string{line, line[:len(line)/2], line[len(line)/2:]} {
				all.add(part)
			}
		}
	}
	return all
}

func (n needles) add(part string) {
	n[hex.EncodeToString([]byte(part))] = "hex of " + part
	n[strings.ToUpper(hex.EncodeToString([]byte(part)))] = "upper hex of " + part
	n[strings.Trim(fmt.Sprintf("%d", []byte(part)), "[]")] = "bytes of " + part
	for shift := range 3 { // where in a longer text the part may stand
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + part))
		inner := encoded[(shift*8+5)/6 : len(encoded)-2]
		n[inner] = "base64 of " + part
		n[strings.NewReplacer("+", "-", "/", "_").Replace(inner)] = "base64 of " + part
	}
	n[url.QueryEscape(part)] = "query form of " + part
	n[part] = part
}

// in lists what of the secrets stands in a text.
func (n needles) in(text string) []string {
	var found []string
	for form, what := range n {
		if strings.Contains(text, form) {
			found = append(found, what)
		}
	}
	slices.Sort(found)
	return found
}

// TestNeedles proves that the search of TestCanary finds what it is to find.
func TestNeedles(t *testing.T) {
	t.Parallel()
	secret := canaries["db_access"]
	hunted := needlesOf(secret)
	whole := []byte("some text before " + secret + " and after")
	quoted, err := json.Marshal(map[string]any{"Data": whole, "text": string(whole)})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"plain": string(whole), "a fragment": "..." + secret[len(secret)-20:], "JSON": string(quoted),
		"hex": hex.EncodeToString(whole), "upper hex": fmt.Sprintf("%X", whole), "bytes": fmt.Sprintf("%d", whole),
		"base64": base64.StdEncoding.EncodeToString(whole), "shifted": base64.StdEncoding.EncodeToString(whole[1:]),
		"shifted twice": base64.URLEncoding.EncodeToString(whole[2:]), "Go syntax": fmt.Sprintf("%q", whole),
	} {
		if len(hunted.in(text)) == 0 {
			t.Errorf("%s: nothing is found in %s", name, text)
		}
	}
	if found := hunted.in("version: 1 db_access web-auth canary"); len(found) > 0 {
		t.Errorf("found without need: %v", found)
	}
}

// echo stands before an engine and, when told to, refuses to create secrets and
// quotes what it was sent.
type echo struct {
	proxy    http.Handler
	refusing atomic.Bool
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.refusing.Load() || !strings.HasSuffix(r.URL.Path, "/secrets/create") {
		e.proxy.ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var sent struct{ Data []byte }
	_ = json.Unmarshal(body, &sent)
	w.WriteHeader(http.StatusInternalServerError)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": fmt.Sprintf("no room for %s, that is %s or %x", body, sent.Data, sent.Data)})
}

// dialling is a transport to a unix socket.
func dialling(socket string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
}

// echoing puts an echo before the lab's engine.
func (l *lab) echoing() *echo {
	l.t.Helper()
	socket := strings.TrimPrefix(l.recorder.Host, "unix://")
	transport := dialling(socket)
	e := &echo{proxy: &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine" },
		Transport: transport, FlushInterval: -1,
	}}
	listener, err := net.Listen("unix", l.dir+"/engine")
	if err != nil {
		l.t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: e}}
	server.Start()
	l.t.Cleanup(func() {
		l.stop() // its event stream would hold the server up
		transport.CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
	})
	l.settings["engine"] = "unix://" + l.dir + "/engine"
	return e
}

// witness gathers all that can be seen of the agent, by place.
type witness map[string]string

// commands notes what command lines print.
func (w witness) commands(l *lab, when string, lines ...string) {
	for _, line := range lines {
		code, out, errs := l.command(strings.Fields(line)...)
		w[when+": agent "+line] = fmt.Sprintf("exit %d\n%s%s", code, out, errs)
	}
}

// files notes all files below the lab's folder but the keys that it was given.
func (w witness) files(l *lab, when string) {
	err := filepath.WalkDir(l.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || entry.Name() == "age.key" {
			return err
		}
		content, err := os.ReadFile(path)
		w[when+": "+path] = string(content)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// everything notes what a running agent shows of itself.
func (w witness) everything(l *lab, when string) {
	w.commands(l, when, "status", "status -o json", "history", "history -o json", "show latest", "show latest -o json", "show latest -o manifest", "show latest -o report", "diff", "diff -o json",
		"render -o yaml", "render -o specs", "sync --dry-run", "doctor", "secrets list", "secrets list -o json", "secrets gc --dry-run", "secrets gc -o json", "audit log", "audit log -o json", "audit verify", "events", "events -o json", "logs web", "logs worker -o json")
	w.files(l, when)
	w[when+": log"] = l.logText()
	client := &http.Client{Transport: dialling(l.settings["socket"])}
	for _, path := range []string{"/v1/status", "/v1/plan", "/v1/syncs?limit=100", "/v1/events?follow=false", "/v1/services/web/logs", "/v1/syncs/latest", "/v1/secrets", "/v1/audit/verify", "/v1/nowhere"} {
		response, err := client.Get("http://agent" + path)
		if err != nil {
			l.t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		w[when+": socket "+path] = string(body)
	}
	_, w[when+": metrics"] = l.get("/metrics")
	for _, file := range []string{"environ", "cmdline", "limits"} {
		content, err := os.ReadFile("/proc/" + strconv.Itoa(l.process.Process.Pid) + "/" + file)
		if err != nil {
			l.t.Fatal(err)
		}
		w[when+": "+file] = string(content)
	}
	for _, kind := range []string{"service", "secret"} {
		names := strings.Fields(l.swarm.Docker(l.t, "", kind, "ls", "-q", "--filter", "label=com.docker.stack.namespace="+l.stack))
		if len(names) == 0 {
			continue
		}
		w[when+": docker "+kind+" inspect"] = l.swarm.Docker(l.t, "", append([]string{kind, "inspect"}, names...)...)
	}
	gitlab, err := json.Marshal(l.gitlab.Requests())
	if err != nil {
		l.t.Fatal(err)
	}
	w[when+": GitLab"] = string(gitlab)
}

// TestCanary rolls secrets out, lets the engine refuse one and quote it, changes
// one without its version, and looks for their content in every place.
func TestCanary(t *testing.T) {
	l, first := newSmallLab(t)
	engine := l.echoing()
	const changed = "version: 9\ncanary-web-auth-rewritten-8d6e"
	hunted := needlesOf(append(slices.Sorted(maps.Values(canaries)), changed)...)
	seen := witness{}
	seen.commands(l, "before", "diff", "diff -o json", "render", "check "+l.repo.Dir)
	l.running(first)
	seen.everything(l, "first")

	engine.refusing.Store(true)
	raised := l.commit("raise db_access", map[string]string{
		node3 + "secrets.enc":          sopstest.YAML(t, l.key, map[string]string{"db_access": canaries["db_next"], "web_auth": canaries["web_auth"]}),
		node3 + "secrets.override.enc": sopstest.YAML(t, l.key, map[string]string{"SV_db_access": "2"}),
	})
	l.await(raised, record.Failed)
	l.posts(raised, "failed")
	seen.commands(l, "refused", "sync --wait", "diff", "diff -o json")
	seen.everything(l, "refused")
	if log := seen["refused: log"]; !strings.Contains(log, "message is withheld") {
		t.Error("the log does not tell that the engine quoted a secret")
	}
	engine.refusing.Store(false)
	seen.commands(l, "retried", "sync --wait")
	l.await(raised, record.Succeeded)

	rewritten := l.commit("rewrite web_auth", map[string]string{
		node3 + "secrets.enc": sopstest.YAML(t, l.key, map[string]string{"db_access": canaries["db_next"], "web_auth": changed}),
	})
	status := l.await(rewritten, record.Failed)
	if !strings.Contains(status.Sync.Error+status.Sync.Hint, "SV_web_auth") {
		t.Errorf("the error does not name the version to raise: %s (%s)", status.Sync.Error, status.Sync.Hint)
	}
	l.posts(rewritten, "failed")
	if text := l.described(rewritten); !strings.Contains(text, "SV_web_auth") {
		t.Errorf("described as %q", text)
	}
	seen.commands(l, "rewritten", "sync --wait")
	seen.everything(l, "rewritten")
	l.stop()
	seen.files(l, "stopped")
	seen["stopped: log"] = l.logText()
	seen.commands(l, "stopped", "status -o json", "history -o json", "sync --once")

	for place, text := range seen {
		if found := hunted.in(text); len(found) > 0 {
			t.Errorf("%s shows %q", place, found)
		}
	}
	if limits := seen["first: limits"]; !bytes.Contains([]byte(limits), []byte("Max core file size        0                    0")) {
		t.Errorf("core files are allowed:\n%s", limits)
	}
}
