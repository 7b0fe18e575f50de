package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/harbor/harbortest"
)

const (
	release1 = "2025-12-15-11eeef9e99"
	release2 = "2025-12-16-0a1b2c3d4e"
	release3 = "2025-12-17-5f6a7b8c9d"
)

// gatedRepo is a repository of type production with one service, whose image is in a
// registry that a Harbor scans.
func (l *lab) gatedRepo(registry *swarmtest.Registry, h *harbortest.Harbor, tag, disk string) map[string]string {
	return map[string]string{
		"environments/sandbox/config.yml": fmt.Sprintf(`environment: {name: sandbox, type: production}
nodes: [{name: node3, context: ctx3, stack: %s}]
deployment:
  gates:
    vulnerabilities: {registry: "%s", user_file: harbor.user, token_file: harbor.token, ca_file: harbor.pem}
    disk: {min_free: %s}
`, l.stack, h.URL, disk),
		node3 + "node.env":    l.nodeEnv(tag, ""),
		node3 + "project.env": "A=1\n",
		composeFile:           "services:\n  web: {image: \"" + registry.Address + "/coin/core:$TAG\", environment: {SERVICE_NAME: web, LISTEN_PORTS: 0}, " + quickly + "}\n" + onHost,
	}
}

// TestReleaseGates has a release for production come to nothing by its tag, by an
// image that was not pushed, by what Harbor's scanner found, and by the disk, with
// nothing written; then all is well.
func TestReleaseGates(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	h := harbortest.New(t)
	registry := l.swarm.Registry(t, swarmtest.RegistryOptions{})
	push := func(tag, severity string) {
		_, digest := registry.Push(t, "coin/core:"+tag, tag)
		h.Put("coin/core@"+digest, harbortest.Scan{Severity: severity, Counts: map[string]int{severity: 3}, Private: true})
	}
	push("v1", "None")
	push(release2, "Critical")
	push(release3, "High")
	l.file("harbor.user", harbortest.User+"\n")
	l.file("harbor.token", harbortest.Password+"\n")
	l.file("harbor.pem", string(h.CA))
	l.settings["check_dir"] = l.dir
	l.mappings = "policy: {environment: {type: production}}\n" // the doctor wants one in production
	l.commit("first", l.gatedRepo(registry, h, "v1", "1MB"))
	l.start()
	tests := []struct{ name, tag, disk, want, hint string }{
		{"tag", "v1", "1MB", `node3/node.env:2:8: TAG is "v1", which does not match`, "set TAG"},
		{"not pushed", release1, "1MB", "image " + registry.Address + "/coin/core:" + release1 + " of " + l.stack + "_web is not on this node, and registry " + registry.Address + " does not have the image", "check the tag"},
		{"critical", release2, "1MB", "has vulnerabilities of severity Critical or worse (3 Critical", "rebuild the image"},
		{"disk", release3, "999999TB", "are free under ", "docker image prune"},
	}
	for _, test := range tests {
		commit := l.commit(test.name, l.gatedRepo(registry, h, test.tag, test.disk))
		status := l.await(commit, record.Failed)
		if !strings.Contains(status.Sync.Error, test.want) || !strings.Contains(status.Sync.Hint, test.hint) || status.Sync.Transient != (test.name == "disk") {
			t.Errorf("%s: %q, %q, again %t", test.name, status.Sync.Error, status.Sync.Hint, status.Sync.Transient)
		}
		if test.name == "disk" { // it is tried again: its entry stays open
			l.posts(commit, "pending")
			continue
		}
		l.posts(commit, "failed")
	}
	if writes := l.recorder.Writes(); len(writes) != 0 {
		t.Errorf("written: %v", writes)
	}
	seen := witness{}
	seen.everything(l, "refused")

	good := l.commit("good", l.gatedRepo(registry, h, release3, "1MB"))
	status := l.await(good, record.Succeeded)
	i := slices.IndexFunc(status.Sync.Gates, func(g record.Gate) bool { return g.Name == "release" })
	if i < 0 {
		t.Fatalf("gates: %+v", status.Sync.Gates)
	}
	for _, want := range []string{"TAG is as it should be", "1 image in the registry", "1 image scanned, at worst High", " GB free under /", "4 probes of the doctor passed"} {
		if passed := status.Sync.Gates[i].Passed; !strings.Contains(passed, want) {
			t.Errorf("it passed with %q, want %s", passed, want)
		}
	}
	l.mustRun(exitDone, []string{"1 image scanned, at worst High"}, "doctor")
	before := len(h.Requests())
	l.mustRun(exitDone, nil, "sync", "--wait")
	l.until("idle", func(s report.Status) bool { return s.InSync })
	if asked := h.Requests(); len(asked) != before {
		t.Errorf("a sync that writes nothing asked for %v", asked[before:])
	}
	seen.everything(l, "good")
	l.stop()
	seen.files(l, "stopped")
	hunted := needlesOf(harbortest.Password)
	for place, text := range seen {
		if found := hunted.in(text); len(found) > 0 && !strings.HasSuffix(place, "harbor.token") {
			t.Errorf("%s shows %q", place, found)
		}
	}
}
