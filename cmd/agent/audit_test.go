package main

import (
	"bytes"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/internal/sopstest"
)

// audited checks that the audit log is whole, and has each step of a sync's plan
// as done, once, between its start and its end.
func (l *lab) audited(commit string) {
	l.t.Helper()
	l.mustRun(exitDone, []string{"whole: "}, "audit", "verify")
	var done []string
	var last audit.Entry
	for _, entry := range decode[[]audit.Entry](l.t, l.mustRun(exitDone, nil, "audit", "log", "-o", "json")) {
		if entry.Revision != commit {
			continue
		}
		last = entry
		if entry.Outcome == audit.Succeeded && entry.Action != audit.Use && entry.Kind != audit.Stack {
			done = append(done, string(entry.Action)+" "+entry.Name)
		}
	}
	if last.Kind != audit.Stack || last.Outcome != audit.Succeeded {
		l.t.Errorf("the last entry is %+v", last)
	}
	for _, sync := range decode[[]record.Sync](l.t, l.mustRun(exitDone, nil, "history", "-o", "json")) {
		if sync.Commit != commit {
			continue
		}
		var want []string
		for _, step := range decode[struct {
			Steps []struct{ Action, Name string } `json:"steps"`
		}](l.t, string(l.show(sync.ID).Plan)).Steps {
			want = append(want, step.Action+" "+step.Name)
		}
		slices.Sort(done)
		slices.Sort(want)
		if diff := cmp.Diff(slices.Compact(want), slices.Compact(done)); diff != "" {
			l.t.Errorf("planned and noted as done: %s", diff)
		}
	}
}

// TestAuditLog raises a secret by a person's word and reads in the log who had it
// done and which service got it; cuts the log, under the daemon and without it.
func TestAuditLog(t *testing.T) {
	l, first := newSmallLab(t)
	l.settings["interval"] = "1h"
	l.running(first)
	l.audited(first)
	path := filepath.Join(l.dir, "state", audit.FileName)
	before := l.size(path)
	raised := l.commit("raise db_access", map[string]string{
		node3 + "secrets.enc":          sopstest.YAML(t, l.key, map[string]string{"db_access": canaries["db_next"], "web_auth": canaries["web_auth"]}),
		node3 + "secrets.override.enc": sopstest.YAML(t, l.key, map[string]string{"SV_db_access": "2"}),
	})
	l.mustRun(exitDone, nil, "sync", "--wait")
	l.audited(raised)
	t.Logf("the first sync took %d bytes, that of one secret %d", before, l.size(path)-before)

	uid := strconv.Itoa(os.Getuid())
	name := uid
	if me, err := user.Current(); err == nil {
		name = me.Username
	}
	name = "local:" + name
	var told []string
	var head string
	secret := l.stack + "_db_access.2"
	for _, entry := range decode[[]audit.Entry](t, l.mustRun(exitDone, nil, "audit", "log", "--since", "1h", "--object", secret, "-o", "json")) {
		if entry.Actor.By != audit.ByUser || entry.Actor.UID != uid || entry.Actor.Name != name || entry.Revision != raised || entry.Environment != "sandbox" || entry.Node != "node3" {
			t.Errorf("%+v", entry)
		}
		told = append(told, string(entry.Action)+" "+entry.Service)
	}
	slices.Sort(told)
	if diff := cmp.Diff([]string{"create ", "use " + l.stack + "_migrate", "use " + l.stack + "_web"}, told); diff != "" {
		t.Error(diff)
	}
	if all := decode[[]audit.Entry](t, l.mustRun(exitDone, nil, "audit", "log", "-o", "json")); len(all) > 0 {
		head = all[len(all)-1].Hash
		if all[1].Actor != audit.Author(l.status1(first).Author) {
			t.Errorf("the first sync was had done by %+v", all[1].Actor)
		}
	}
	l.mustRun(exitDone, []string{"NO", "WHO", name, "secret " + secret, "by " + l.stack + "_web", raised[:10]}, "audit", "log", "--since", "2d")
	if !strings.Contains(l.logText(), `"head":"`+head+`"`) {
		t.Error("the journal does not have the head")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range canaries {
		if found := needlesOf(value).in(string(data)); len(found) > 0 {
			t.Errorf("the audit log holds %q", found)
		}
	}
	l.cutLog(path, data)
}

// cutLog takes lines away and looks whether that is seen.
func (l *lab) cutLog(path string, data []byte) {
	l.t.Helper()
	lines := slices.Collect(bytes.Lines(data))
	cut := bytes.Join(lines[:len(lines)-2], nil)
	seen := "entries " + strconv.Itoa(len(lines)-1) + " to " + strconv.Itoa(len(lines)) + " are missing"
	write := func(content []byte) {
		l.t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	write(cut)
	l.mustRun(exitDifferent, []string{"broken", seen}, "audit", "verify")
	write(data)
	l.mustRun(exitDone, []string{"whole"}, "audit", "verify")
	l.stop()
	l.mustRun(exitDone, []string{"whole"}, "audit", "verify")
	write(cut)
	l.mustRun(exitDifferent, []string{"broken", seen}, "audit", "verify")
	if report := decode[audit.Report](l.t, l.mustRun(exitDifferent, nil, "audit", "verify", "-o", "json")); len(report.Problems) != 1 {
		l.t.Errorf("%+v", report)
	}
	l.start()
	l.until("there", func(report.Status) bool { return true })
	l.mustRun(exitDifferent, []string{"broken", "are missing", "note", "but the state file has entry"}, "audit", "verify")
	l.stop()
	if err := os.Remove(filepath.Join(l.dir, "state", "state.db")); err != nil {
		l.t.Fatal(err)
	}
	write(data)
	l.mustRun(exitDone, []string{"whole", "the state file does not record the head"}, "audit", "verify")
	write(append(bytes.Clone(data), `{"seq":`...))
	l.mustRun(exitDone, []string{"whole", "an unfinished line of 7 bytes"}, "audit", "verify")
	l.mustRun(exitUsage, nil, "audit", "log", "--since", "-1h")
	l.mustRun(exitUsage, nil, "audit", "log", "-o", "yaml")
	if err := os.Remove(path); err != nil {
		l.t.Fatal(err)
	}
	l.mustRun(exitError, nil, "audit", "verify")
	l.mustRun(exitError, nil, "audit", "log")
}

func (l *lab) size(path string) int64 {
	l.t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		l.t.Fatal(err)
	}
	return info.Size()
}

// status1 gives the first sync of a commit.
func (l *lab) status1(commit string) record.Sync {
	l.t.Helper()
	var first record.Sync
	for _, sync := range decode[[]record.Sync](l.t, l.mustRun(exitDone, nil, "history", "-o", "json")) {
		if sync.Commit == commit {
			first = sync
		}
	}
	return first
}

// show gives a sync in full.
func (l *lab) show(id uint64) record.Sync {
	l.t.Helper()
	return decode[record.Sync](l.t, l.mustRun(exitDone, nil, "show", strconv.FormatUint(id, 10), "-o", "json"))
}
