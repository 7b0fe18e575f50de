package provenance_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/provenance"
	"coin.internal/coin-agent/secrets"
)

// applied gives, for each entry, the source that says it was applied, and the commit.
func applied(secret *provenance.Secret) []string {
	all := []string{}
	for _, entry := range secret.Entries {
		text := "unknown"
		if entry.Applied != nil {
			text = entry.Applied.Source + " " + entry.Applied.Commit[:8]
		}
		all = append(all, text)
	}
	return all
}

// A sync shows when this node applied a version: by its commit, or by the secret that it
// created.
func TestAppliedSyncs(t *testing.T) {
	l := newLab(t)
	first := l.Head()
	l.by("Bob", date(2, 1), "Rotate", rotated(2, l.edit("canary-2")))
	later := l.by("Dan", date(2, 2), "Release", map[string]string{node3 + "node.env": "TAG=2\n"})
	failed := l.by("Bob", date(2, 3), "Rotate", rotated(3, l.edit("canary-3")))
	back := l.by("Eve", date(2, 4), "Back", rotated(1, l.edit("canary-1")))
	l.by("Bob", date(2, 5), "Rotate", rotated(9, l.edit("canary-9")))
	gone := "0123456789012345678901234567890123456789"
	report := l.trace(l.keys)
	report.AddSyncs("node3", []provenance.Sync{
		{Commit: back, Succeeded: true, Finished: date(2, 4).Add(time.Hour)},
		{Commit: gone, Succeeded: true, Finished: date(2, 6), Created: map[string]time.Time{"db_access.9": date(2, 5)}},
		{Commit: failed, Finished: date(2, 3), Created: map[string]time.Time{"db_access.3": date(2, 3), "other.1": date(1, 1)}},
		{Commit: later, Succeeded: true, Finished: date(2, 2)},
		{Commit: later, Succeeded: true, Finished: date(2, 20)},
		{Commit: first, Succeeded: true, Finished: date(1, 1)},
	})
	secret := find(t, report, "db_access")
	want := []string{"agent " + first[:8], "agent " + later[:8], "unknown", "agent " + back[:8], "agent " + gone[:8]}
	if diff := cmp.Diff(want, applied(secret)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if at := secret.Entries[1].Applied.At; !at.Equal(date(2, 2)) {
		t.Errorf("applied %s", at)
	}
	if !secret.Entries[2].Created.Equal(date(2, 3)) || !secret.Entries[0].Created.IsZero() {
		t.Errorf("created %v", secret.Entries[2].Created)
	}
}

// Commit statuses in GitLab show when other nodes applied a version: that of its commit,
// or of the first later one with the same version.
func TestAppliedStatuses(t *testing.T) {
	l, hub := newLab(t), gitlabtest.New(t)
	first := l.Head()
	second := l.by("Bob", date(2, 1), "Rotate", rotated(2, l.edit("canary-2")))
	later := l.by("Dan", date(2, 2), "Release", map[string]string{node3 + "node.env": "TAG=2\n"})
	l.Tag("2025-02-02-aaaaaaaaaa")
	l.by("Bob", date(2, 3), "Rotate, not pushed", rotated(3, l.edit("canary-3")))
	client, err := gitlab.New(gitlab.Options{URL: hub.URL, Project: "coin/coin-gitops", TokenFile: hub.TokenFile})
	if err != nil {
		t.Fatal(err)
	}
	post := func(commit, node string, states ...gitlab.State) {
		for _, one := range states {
			report := gitlab.Report{Commit: commit, Ref: "master", Name: "coin-agent/sandbox/" + node, State: one}
			if _, err := client.Post(t.Context(), report, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, commit := range []string{first, second, later} {
		hub.AddCommit(commit, "master")
	}
	post(first, "node3", gitlab.Running, gitlab.Success)
	post(second, "node3", gitlab.Running, gitlab.Failed)
	post(second, "node4", gitlab.Success)
	post(later, "node3", gitlab.Success)
	report := l.trace(nil)
	if err := report.AddStatuses(t.Context(), client, nil); err != nil {
		t.Fatal(err)
	}
	secret := find(t, report, "db_access")
	if diff := cmp.Diff([]string{"gitlab " + first[:8], "gitlab " + later[:8], "unknown"}, applied(secret)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if at := secret.Entries[0].Applied.At; time.Since(at) > time.Hour {
		t.Errorf("finished %s", at)
	}
	asked := 0
	for _, request := range hub.Requests() {
		if request.Method == "GET" && strings.Contains(request.Path, "/commits/") {
			asked++
		}
	}
	if asked != 4 { // each commit once, for all secrets
		t.Errorf("GitLab was asked %d times", asked)
	}
	tagged := l.trace(nil)
	commits, err := tagged.Tagged(func(name string) bool { return name == "2025-02-02-aaaaaaaaaa" })
	if err != nil {
		t.Fatal(err)
	}
	if err := tagged.AddStatuses(t.Context(), client, commits); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"unknown", "gitlab " + later[:8], "unknown"}, applied(find(t, tagged, "db_access"))); diff != "" {
		t.Errorf("by tags (-want +got):\n%s", diff)
	}
	hub.SetToken("glpat-eve", gitlabtest.Token{User: gitlabtest.User{ID: 8, Name: "eve", Access: gitlabtest.Maintainer}, Scopes: []string{"api"}})
	eve, err := gitlab.New(gitlab.Options{URL: hub.URL, Project: "coin/coin-gitops", TokenFile: gitlabtest.TokenFile(t, "glpat-eve"), Agents: []string{"Coin-Agent"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eve.Post(t.Context(), gitlab.Report{Commit: second, Ref: "master", Name: "coin-agent/sandbox/node3", State: gitlab.Success}, 0); err != nil {
		t.Fatal(err)
	}
	forged := l.trace(nil)
	if err := forged.AddStatuses(t.Context(), eve, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"gitlab " + first[:8], "gitlab " + later[:8], "unknown"}, applied(find(t, forged, "db_access"))); diff != "" {
		t.Errorf("with a status of another user (-want +got):\n%s", diff)
	}
	hub.Inject(gitlabtest.Fault{Status: 502, Times: -1})
	if err := l.trace(nil).AddStatuses(t.Context(), client, nil); err == nil {
		t.Error("an error of GitLab is not returned")
	}
}

// The history gives the same names and variables as a sync renders from the same files.
func TestReadingsEqualRender(t *testing.T) {
	l := newLab(t)
	example := "../examples/coin-gitops"
	l.Write(map[string]string{"environments": ""})
	copyFolder(t, example, l.Dir)
	l.by("Ada", date(3, 1), "The example", nil)
	fsys := os.DirFS(l.Dir)
	for _, environment := range []string{"sandbox", "development", "production"} {
		report, err := provenance.Trace(t.Context(), provenance.Request{Dir: l.Dir, Environment: environment, Now: l.now})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, secret := range report.Secrets {
			if secret.Rotated == nil {
				t.Errorf("%s of %s has no value", secret.Name, secret.Node)
			}
			got[secret.Node+" "+secret.Name] = secret.Variable + " " + secret.Object
		}
		if diff := cmp.Diff(rendered(t, fsys, environment), got); diff != "" || len(got) < 3 {
			t.Errorf("%s (-rendered +read):\n%s", environment, diff)
		}
	}
}

func rendered(t *testing.T, fsys fs.FS, environment string) map[string]string {
	t.Helper()
	names, err := manifests.Nodes(fsys, environment)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, name := range names {
		node, err := manifests.Load(fsys, environment, name)
		if err != nil {
			t.Fatal(err)
		}
		var files []secrets.File
		for _, path := range node.SecretFiles {
			data, err := fs.ReadFile(node.FS, path)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, secrets.File{Path: path, Data: data})
		}
		set, err := secrets.Seal(files, secrets.Options{})
		if err != nil {
			t.Fatal(err)
		}
		stack, err := compose.Render(node, set, compose.Options{AllowSealed: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range stack.Secrets {
			all[name+" "+secret.Key] = secret.Variable + " " + secret.Spec.Name
		}
	}
	return all
}
