package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy/swarmtest"
)

// registryPassword and what replaces it are found nowhere outside their file.
const (
	registryPassword = "canary-registry-5b1f9c02aa"
	rotatedPassword  = "canary-rotated-77e0d41c3b"
)

// registryRepo is a repository with one service, whose image is in a registry.
func (l *lab) registryRepo(registry *swarmtest.Registry, resolve string) map[string]string {
	return map[string]string{
		"environments/sandbox/config.yml": fmt.Sprintf(`environment: {name: sandbox, type: non-production}
nodes: [{name: node3, context: ctx3, stack: %s}]
images: {resolve: %s}
`, l.stack, resolve),
		node3 + "node.env":    l.nodeEnv("1", ""),
		node3 + "project.env": "A=1\n",
		composeFile:           "services:\n  web: {image: \"" + registry.Address + "/coin/core:$TAG\", environment: {SERVICE_NAME: web, LISTEN_PORTS: 0}, " + quickly + "}\n" + onHost,
	}
}

// missingImages commits images that the node does not have and that its registry does not
// have, or that cannot be asked for: nothing is written, and the old task runs on.
func (l *lab) missingImages(registry *swarmtest.Registry, runs string) {
	l.t.Helper()
	next, digest := registry.Push(l.t, "coin/core:next", "3")
	l.swarm.Forget(l.t, next, registry.Address+"/coin/core@"+digest)
	before := len(l.recorder.Writes())
	untouched := func() {
		l.t.Helper()
		service := l.service("web")
		tasks := l.swarm.Tasks(l.t, service.Spec.Name)
		running := slices.ContainsFunc(tasks, func(task swarm.Task) bool { return task.Status.State == swarm.TaskStateRunning })
		if writes := l.recorder.Writes()[before:]; len(writes) > 0 || !running || !strings.HasSuffix(service.Spec.TaskTemplate.ContainerSpec.Image, runs) {
			l.t.Errorf("writes %v, a task runs: %v", writes, running)
		}
	}
	typo := l.commit("typo", map[string]string{node3 + "node.env": l.nodeEnv("typo", "")})
	sync := l.await(typo, record.Failed).Sync
	if sync.Transient || sync.Stage != record.StagePlan || !strings.Contains(sync.Error, "does not have the image") || !strings.HasPrefix(sync.Hint, "check the tag, or push") {
		l.t.Errorf("the tag does not exist: %+v", sync)
	}
	untouched()
	l.mustRun(exitDifferent, []string{"warning: the sync will stop here: image " + registry.Address + "/coin/core:typo of " + l.stack + "_web is not on this node"}, "diff")

	registry.Stop()
	away := l.commit("next", map[string]string{node3 + "node.env": l.nodeEnv("next", "")})
	sync = l.await(away, record.Failed).Sync
	if !sync.Transient || sync.Stage != record.StagePlan || !strings.Contains(sync.Error, "does not answer") {
		l.t.Errorf("the registry is down: %+v", sync)
	}
	untouched()
	registry.Start(l.t)
	l.mustRun(exitDone, nil, "sync", "--wait")
	l.await(away, record.Succeeded)
	registry.Stop() // and the image is on the node
	l.await(l.commit("local", map[string]string{composeFile: "services:\n  web: {image: \"" + registry.Address + "/coin/core:$TAG\", environment: {A: b, LISTEN_PORTS: 0}, " + quickly + "}\n" + onHost}), record.Succeeded)
	registry.Start(l.t)
	back := l.commit("back", map[string]string{node3 + "node.env": l.nodeEnv("1", "")})
	l.await(back, record.Succeeded)
}

// TestImagesFromARegistry follows a tag of a registry that requires a login,
// through a wrong password, a moved tag and an outage.
func TestImagesFromARegistry(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	registry := l.swarm.Registry(t, swarmtest.RegistryOptions{User: "robot", Password: registryPassword})
	image, digest := registry.Push(t, "coin/core:1", "1")
	l.swarm.Forget(t, image) // so that it has to be pulled
	login := l.file("registry.json", registry.Login(rotatedPassword))
	l.settings["registry_config_file"] = login
	seen := witness{}
	first := l.commit("first", l.registryRepo(registry, "always"))
	refused := "registry " + registry.Address + " refuses the login of " + login
	l.mustRun(exitDifferent, []string{"warning: image " + image + ": " + refused}, "diff")
	l.mustRun(exitDifferent, []string{"warning: image " + image + ": " + refused}, "sync", "--dry-run")
	seen.commands(l, "wrong", "diff -o json", "doctor")

	l.file("registry.json", registry.Login(registryPassword))
	l.start()
	l.await(first, record.Succeeded)
	runs := func(digest string) {
		t.Helper()
		if got := l.service("web").Spec.TaskTemplate.ContainerSpec.Image; got != image+"@"+digest {
			t.Errorf("%s runs, want %s", got, digest)
		}
	}
	runs(digest)
	l.mustRun(exitDone, []string{registry.Address + " (logged in)"}, "doctor")
	seen.everything(l, "first")

	_, moved := registry.Push(t, "coin/core:1", "2")
	l.mustRun(exitDifferent, []string{moved[7:17]}, "diff")
	l.mustRun(exitDone, []string{"1 service updated"}, "sync", "--wait")
	runs(moved)
	l.mustRun(exitDone, []string{"no difference"}, "diff")

	l.missingImages(registry, moved)

	registry.SetPassword(t, rotatedPassword)
	before := len(l.recorder.Writes())
	l.mustRun(exitDone, nil, "sync", "--wait")
	status := l.until("warned", func(s report.Status) bool { return s.Sync != nil && len(s.Sync.Warnings) > 0 })
	if text := strings.Join(status.Sync.Warnings, "\n"); !strings.Contains(text, refused) || !strings.Contains(text, "the running digest is kept") {
		t.Errorf("warnings: %s", text)
	}
	l.mustRun(exitDone, []string{"warning", ": agent show "}, "status")
	l.mustRun(exitDone, []string{"warning   image " + registry.Address, "the running digest is kept"}, "show", "latest")
	registry.Stop()
	l.mustRun(exitDone, []string{"does not answer"}, "diff")
	l.mustRun(exitDone, nil, "sync", "--wait")
	runs(moved)
	if after := l.recorder.Writes(); len(after) != before {
		t.Errorf("a registry that tells nothing made the agent write %v", after[before:])
	}
	seen.everything(l, "down")
	if err := os.Chmod(login, 0o644); err != nil {
		t.Fatal(err)
	}
	l.mustRun(exitError, []string{"chmod 600 " + login}, "diff")
	seen.commands(l, "open", "sync --wait", "doctor")
	l.stop()
	seen.files(l, "stopped")

	hunted := needlesOf(registryPassword, rotatedPassword, "robot:"+registryPassword)
	for place, text := range seen {
		if found := hunted.in(text); len(found) > 0 && !strings.HasSuffix(place, login) {
			t.Errorf("%s shows %q", place, found)
		}
	}
}
