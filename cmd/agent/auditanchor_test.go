package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/journal"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/store"
)

// TestAuditAnchored anchors the log in GitLab and in a syslog, and then tampers with it as
// root on the node can: with the state file, and with its key.
func TestAuditAnchored(t *testing.T) {
	l := newLab(t)
	first := l.commit("first", l.tinyRepo())
	l.mustRun(exitUsage, []string{"--anchor needs the issue", "set audit_issue"}, "audit", "verify", "--anchor")
	syslog, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "unixgram", filepath.Join(l.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syslog.Close() })
	l.gitlab.AddIssue(17)
	l.settings["audit_issue"], l.settings["audit_syslog"] = "17", "unix://"+filepath.Join(l.dir, "log")

	l.running(first)
	l.anchored()
	l.mustRun(exitDone, []string{"whole", "keyed ", "issue #17 agrees with the log up to entry"}, "audit", "verify", "--anchor")
	l.mustRun(exitDone, []string{"anchors   issue #17: entry ", "syslog "}, "status", "--all")
	l.mustRun(exitDone, []string{"the heads go to issue #17; the heads go to syslog"}, "doctor")
	if found := received(t, syslog); !strings.Contains(found, "coin-agent[") || !strings.Contains(found, "Audit log of sandbox/node3: entry ") {
		t.Errorf("the syslog has %q", found)
	}
	l.stop()
	before := l.stateFiles()

	l.start()
	l.until("there", func(report.Status) bool { return true })
	l.mustRun(exitDone, nil, "pause", "--reason", "to be hidden")
	l.anchored()
	l.stop()
	l.mustRun(exitDone, []string{"whole", "agrees with the log up to entry"}, "audit", "verify", "--anchor")
	after := l.stateFiles()

	l.putStateFiles(before) // as it was: the pause is in neither file
	l.mustRun(exitDone, []string{"whole"}, "audit", "verify")
	l.mustRun(exitDifferent, []string{"whole", "the log differs from entry ", "was anchored: the end is missing"}, "audit", "verify", "--anchor")

	l.putStateFiles(after)
	l.rewriteLog("local:eve")
	l.mustRun(exitDone, []string{"whole"}, "audit", "verify")
	checked := decode[audit.Report](t, l.mustRun(exitDifferent, nil, "audit", "verify", "--anchor", "-o", "json"))
	if d := checked.Anchors.Differs; d == nil || !strings.Contains(d.What, "replaced or rewritten") {
		t.Errorf("%+v", d)
	}

	// With another token, none of the anchors is by the token's user.
	l.gitlab.SetToken(gitlabtest.Secret, gitlabtest.Token{User: gitlabtest.User{ID: 66, Name: "eve", Access: gitlabtest.Maintainer}, Scopes: []string{"api"}})
	l.mustRun(exitDifferent, []string{"has no anchor of this node: nothing was compared", "do not count"}, "audit", "verify", "--anchor")
}

// anchored waits until GitLab and the syslog have the head of the log.
func (l *lab) anchored() {
	l.t.Helper()
	l.until("anchored", func(s report.Status) bool {
		return len(s.Anchors) == 2 && !slices.ContainsFunc(s.Anchors, func(one anchor.Health) bool { return one.Entry == 0 || one.Left > 0 })
	})
}

func received(t *testing.T, listener net.PacketConn) string {
	t.Helper()
	if err := listener.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, _, err := listener.ReadFrom(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

// stateFiles gives the content of log and state file.
func (l *lab) stateFiles() map[string][]byte {
	l.t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{audit.FileName, store.FileName} {
		content, err := os.ReadFile(filepath.Join(l.dir, "state", name))
		if err != nil {
			l.t.Fatal(err)
		}
		files[name] = content
	}
	return files
}

func (l *lab) putStateFiles(files map[string][]byte) {
	l.t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(l.dir, "state", name), content, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
}

// rewriteLog writes the log again with the node's key, with another actor.
func (l *lab) rewriteLog(actor string) {
	l.t.Helper()
	dir := filepath.Join(l.dir, "state")
	var all []audit.Entry
	if _, err := audit.Read(dir, func(entry audit.Entry) { all = append(all, entry) }); err != nil {
		l.t.Fatal(err)
	}
	opened, err := store.Open(dir, "sandbox/node3", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	first := bytes.SplitAfter(l.stateFiles()[audit.FileName], []byte("\n"))[0]
	l.putStateFiles(map[string][]byte{audit.FileName: first})
	if err := opened.FollowAudit(func() audit.Head { return audit.Head{Seq: 1, Hash: all[0].Hash, Keyed: 1} }); err != nil {
		l.t.Fatal(err)
	}
	log, err := journal.Open(dir, opened, audit.Options{Environment: "sandbox", Node: "node3", Version: "test"})
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	for _, entry := range all[1:] {
		entry.Actor.Name = actor
		if err := log.Append(entry); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := opened.SaveAuditHead(); err != nil {
		l.t.Fatal(err)
	}
}
