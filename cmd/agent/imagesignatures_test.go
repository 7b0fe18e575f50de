package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/cosign/cosigntest"
	"coin.internal/coin-agent/deploy/swarmtest"
)

// TestImageSignatures has a node run only images that a key signed, from a real registry with a
// login: what is unsigned, or signed by another key, is held, and what ran still runs.
func TestImageSignatures(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	registry := l.swarm.Registry(t, swarmtest.RegistryOptions{User: "robot", Password: registryPassword})
	registry.Expose(t)
	l.settings["registry_config_file"] = l.file("registry.json", registry.Login(registryPassword))
	key, eve := cosigntest.NewKey(t, "ecdsa"), cosigntest.NewKey(t, "ecdsa")
	l.mappings = fmt.Sprintf("policy:\n  images:\n    signatures:\n      - {images: %q, keys: %s}\n", registry.Address+"/coin/*", key.File)
	in := cosigntest.Open(t, registry.Address+"/coin/core", auth.Credential{Username: "robot", Password: registryPassword})
	image, first := registry.Push(t, "coin/core:1", "1")
	key.Sign(in, digest.Digest(first))
	files := l.registryRepo(registry, "changed")
	files[configFile] += "deployment: {rollback: {soak: 1s}}\n"
	running := l.running(l.commit("first", files))
	l.until("fit to roll back to", func(s report.Status) bool { return s.Applied != nil && s.Applied.Soaking.IsZero() })
	if got := l.service("web").Spec.TaskTemplate.ContainerSpec.Image; got != image+"@"+first {
		t.Errorf("%s runs, want %s", got, first)
	}
	if found := l.examine(t, exitDone)["signatures"]; found.Text != "1 image signed; 1 key may sign" {
		t.Errorf("the doctor says %+v", found)
	}
	before := l.tasks()
	l.recorder.Reset()

	_, second := registry.Push(t, "coin/core:2", "2")
	refused := func(why string) string {
		t.Helper()
		commit := l.commit(why, map[string]string{node3 + "node.env": l.nodeEnv("2", "") + "# " + why + "\n"})
		sync := l.await(commit, record.Failed).Sync
		if sync.Stage != record.StagePlan || sync.Wrote || sync.Transient || !sync.Held() {
			t.Errorf("%s: at %s, wrote %t, transient %t", why, sync.Stage, sync.Wrote, sync.Transient)
		}
		for _, want := range []string{composeFile + ":2", "service web runs the image " + registry.Address + "/coin/core:2@" + second + ", which " + why + ": policy.images.signatures does not allow it"} {
			if !strings.Contains(sync.Error, want) {
				t.Errorf("the refusal does not say %q: %s", want, sync.Error)
			}
		}
		if want := "sign it with the key of " + key.File; !strings.Contains(sync.Hint, want) {
			t.Errorf("the hint does not say %q: %s", want, sync.Hint)
		}
		l.mustRun(exitDifferent, []string{why}, "status")
		l.mustRun(exitDifferent, []string{"the sync will stop here: " + composeFile + ":2", why}, "diff")
		if found := l.examine(t, exitDifferent)["signatures"]; found.Grade != "fail" || !strings.Contains(found.Text, why) {
			t.Errorf("the doctor says %+v", found)
		}
		return commit
	}
	refused("is not signed")
	eve.SignBundle(in, digest.Digest(second))
	held := refused("is signed, and not by a listed key")
	if writes := l.recorder.Writes(); len(writes) > 0 || fmt.Sprint(l.tasks()) != fmt.Sprint(before) {
		t.Errorf("written: %v", writes)
	}
	key.SignBundle(in, digest.Digest(second))
	l.mustRun(exitDone, nil, "retry")
	l.await(held, record.Succeeded)

	public, err := os.ReadFile(eve.File) // of which the second image has a signature, and the first has none
	if err == nil {
		err = os.WriteFile(key.File, public, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.mustRun(exitError, []string{fmt.Sprintf("the good state of sync #%d: service web runs the image", running.Sync.ID), "is signed, and not by a listed key", "roll back to another state"},
		"rollback", "--to", fmt.Sprint(running.Sync.ID), "--yes")

	if err := os.Remove(key.File); err != nil {
		t.Fatal(err)
	}
	gone := l.await(l.commit("key gone", map[string]string{composeFile: "services:\n  web: {image: \"" + registry.Address + "/coin/core:$TAG\", environment: {A: b}}\n"}), record.Failed)
	if !gone.Sync.Transient || !strings.Contains(gone.Sync.Error, "read the keys that sign images") {
		t.Errorf("the key is gone: transient %t: %s", gone.Sync.Transient, gone.Sync.Error)
	}
	if found := l.examine(t, exitDifferent)["signatures"]; found.Grade != "fail" || !strings.Contains(found.Text, key.File) {
		t.Errorf("the doctor says %+v", found)
	}
}
