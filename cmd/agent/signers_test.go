package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/signtest"
)

// TestSigners has the built agent follow a branch of which only signed commits may run:
// GitLab's key signs with gpg, a user's with ssh. What is not signed by a listed key is
// held, and what ran still runs.
func TestSigners(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	user, eve := signtest.SSH(t, "ed25519"), signtest.SSH(t, "ed25519")
	gitLab := signtest.OpenPGP(t, "GitLab <gitlab@coin.example>", "20d", time.Time{})
	l.mappings = fmt.Sprintf("policy:\n  signers: {openpgp: %s, ssh: %s}\n",
		l.file("signers.asc", gitLab.Public), l.file("allowed_signers", "ada@coin.example "+user.Public+"\n"))
	gitLab.Use(l.repo.Git)
	first := l.commit("first", l.tinyRepo())
	signed := l.running(first)
	if want := "GitLab <gitlab@coin.example> (" + gitLab.ID + ")"; signed.Sync.Signer != want {
		t.Errorf("signed by %q, want %q", signed.Sync.Signer, want)
	}
	l.mustRun(exitDone, []string{"signed by", "GitLab <gitlab@coin.example>"}, "show", "1")
	before := l.versions()

	refused := func(commit, reason string) {
		t.Helper()
		status := l.await(commit, record.Failed)
		if status.Sync.Stage != record.StageSigners || !strings.Contains(status.Sync.Error, reason) || !status.Healthy() {
			t.Errorf("at %s: %s", status.Sync.Stage, status.Sync.Error)
		}
		l.posts(commit, "failed")
		l.mustRun(exitDifferent, []string{reason, "ada@coin.example (" + user.ID + ")"}, "status")
		for _, command := range [][]string{{"diff"}, {"sync", "--dry-run"}, {"render"}} {
			l.mustRun(exitError, []string{reason, "push a commit or tag signed by GitLab"}, command...)
		}
		found := l.examine(t, exitDifferent)
		if git := found["git"]; git.Grade != "fail" || !strings.Contains(git.Text, reason) {
			t.Errorf("the doctor says %+v", git)
		}
		if after := l.versions(); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("the services were written: %v, %v", before, after)
		}
	}
	signtest.Stop(l.repo.Git)
	unsigned := l.commit("unsigned", map[string]string{node3 + "node.env": l.nodeEnv("2", "")})
	refused(unsigned, "commit "+unsigned[:10]+" is not signed")
	eve.Use(l.repo.Git)
	unlisted := l.commit("unlisted", map[string]string{node3 + "node.env": l.nodeEnv("3", "")})
	refused(unlisted, "is signed by the SSH key "+eve.ID+", which policy.signers does not list")

	user.Use(l.repo.Git)
	good := l.commit("good", map[string]string{node3 + "node.env": l.nodeEnv("2", "")})
	if done := l.await(good, record.Succeeded); done.Sync.Signer != "ada@coin.example ("+user.ID+")" {
		t.Errorf("signed by %q", done.Sync.Signer)
	}
	found := l.examine(t, exitDone)
	if git := found["git"]; !strings.Contains(git.Text, "signed by ada@coin.example") {
		t.Errorf("the doctor says %+v", git)
	}
	if keys := found["signers"]; keys.Grade != "warn" || !strings.Contains(keys.Text, "the key of GitLab <gitlab@coin.example>") {
		t.Errorf("the doctor says %+v", keys)
	}
	l.mustRun(exitDone, []string{"rolled back"}, "rollback", "--reason", "signed long ago", "--yes")
	if image := l.service("web").Spec.TaskTemplate.ContainerSpec.Image; !strings.HasPrefix(image, "coin-test/app:1") {
		t.Errorf("after the rollback %s runs", image)
	}
}
