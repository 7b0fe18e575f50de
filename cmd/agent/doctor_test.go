package main

import (
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/policy"
)

// doctorSubjects are what the doctor looks at, in order.
var doctorSubjects = []string{"settings", "state", "socket", "keys", "vault", "engine", "swarm", "signers", "git", "gitlab", "plans", "manifests", "policy", "releases", "registries", "images", "signatures", "disk", "harbor", "database", "migrations", "notices", "audit", "metrics", "api"}

// finding is a line of the doctor as `-o json` gives it.
type finding struct{ Subject, Grade, Text, Hint string }

// examine runs the doctor in both forms and gives its findings by subject.
func (l *lab) examine(t *testing.T, want int) map[string]finding {
	t.Helper()
	code, text, errs := l.command("doctor")
	if code != want || errs != "" {
		t.Errorf("exit %d, want %d: %s%s", code, want, text, errs)
	}
	_, out, _ := l.command("doctor", "-o", "json")
	found := map[string]finding{}
	for i, finding := range decode[[]finding](t, out) {
		if i >= len(doctorSubjects) || finding.Subject != doctorSubjects[i] {
			t.Fatalf("subject %d is %s: %s", i, finding.Subject, out)
		}
		found[finding.Subject] = finding
		if !strings.Contains(text, finding.Subject) || !strings.Contains(text, "hint: "+finding.Hint) && finding.Hint != "" {
			t.Errorf("the text has no line for %+v:\n%s", finding, text)
		}
	}
	return found
}

// TestDoctor breaks one dependency after another: its line says FAIL and what to
// do, what needs it is not looked at, and all else is.
func TestDoctor(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	good := l.tinyRepo()
	l.commit("first", good)
	for _, finding := range l.examine(t, exitDone) {
		switch {
		case finding.Subject == "registries": // a private engine reaches none
			if finding.Grade != "warn" || !strings.Contains(finding.Text, "registry docker.io does not answer") || !strings.Contains(finding.Hint, "can reach it") {
				t.Errorf("in a world without registries: %+v", finding)
			}
		case finding.Subject == "policy": // the node has none
			if finding.Grade != "warn" || finding.Text != policy.Warning || !strings.Contains(finding.Hint, "agent policy suggest") {
				t.Errorf("without a policy: %+v", finding)
			}
		case finding.Grade != "ok" && finding.Subject != "disk":
			t.Errorf("in a good world: %+v", finding)
		}
	}
	expired := gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"api"}, Expires: time.Now().Add(-time.Hour)}
	soon := gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"api"}, Expires: time.Now().Add(72 * time.Hour)}
	readOnly := gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"read_api"}}
	set := func(name, value string) func() { return func() { l.settings[name] = value } }
	const config = "environments/sandbox/config.yml"
	tests := []struct {
		name    string
		spoil   func()
		subject string
		grade   string
		want    said
		depend  string // what is not looked at then
	}{
		{"interval", set("interval", "1ms"), "settings", "fail", said{"under one second", "30s is usual"}, ""},
		{"key file", func() { l.settings["age_key_files"] = l.dir + "/nowhere" }, "keys", "fail", said{"/nowhere", " "}, "manifests registries images migrations"},
		{"open key file", func() { l.chmod(0o644) }, "keys", "fail", said{"age.key", "chmod"}, "manifests registries images migrations"},
		{"no key", set("age_key_files", ""), "keys", "warn", said{"no keys are set", "set age_key_files"}, ""},
		{"vault", inVault(t, l, true), "vault", "ok", said{"by vault_token_file, with a token that does not expire; commits may read below kv/data/coin", ""}, ""},
		{"vault token", inVault(t, l, false), "vault", "fail", said{"does not accept the token in vault_token_file", "check the files of the login"}, ""},
		{"engine", set("engine", "unix:///nowhere/docker.sock"), "engine", "fail", said{"the engine at unix:///nowhere/docker.sock does not answer", "start the engine"}, "swarm registries images"},
		{"swarm", func() { l.settings["engine"] = noManager(t, l) }, "swarm", "fail", said{"is not part of a Swarm", "docker swarm init"}, ""},
		{"git", func() { l.git.Fail(http.StatusUnauthorized) }, "git", "fail", said{"refuses the token", "set a token file"}, "manifests releases registries images harbor database migrations notices"},
		{"branch", set("branch", "nope"), "git", "fail", said{"nope", " "}, "manifests releases registries images harbor database migrations notices"},
		{"gitlab", func() { l.gitlab.SetToken(gitlabtest.Secret, expired) }, "gitlab", "fail", said{"Token is expired", "write a valid token"}, ""},
		{"gitlab soon", func() { l.gitlab.SetToken(gitlabtest.Secret, soon) }, "gitlab", "warn", said{"gitlab_token_file: the token expires ", "create a token with the scope api and the role Developer"}, ""},
		{"gitlab scope", func() { l.gitlab.SetToken(gitlabtest.Secret, readOnly) }, "gitlab", "fail", said{"gitlab_token_file: the token lacks the scope api; it has read_api", "create a token"}, ""},
		{"no gitlab", set("gitlab_url", ""), "gitlab", "ok", said{"not set", ""}, ""},
		{"no mail server", func() {
			l.commit("mail", map[string]string{config: good[config] + "notifications: {email: [ops@example.com]}\n"})
		}, "notices", "warn", said{"no mail server is set", "set smtp_address"}, ""},
		{"no webhook", func() {
			l.commit("slack", map[string]string{config: good[config] + "notifications: {slack: {channel: \"#ops\", webhook_url_variable: HOOK}}\n"})
		}, "notices", "warn", said{`the secret "HOOK" has no value`, "add it with sops"}, ""},
		{"webhook in the clear", func() {
			l.commit("clear", map[string]string{
				config:             good[config] + "notifications: {slack: {channel: \"#ops\", webhook_url_variable: HOOK}}\n",
				node3 + "node.env": l.nodeEnv("1", "HOOK=https://hooks.example.com/x"),
			})
		}, "notices", "warn", said{node3 + "node.env:3:", "make a new webhook"}, ""},
		{"database", func() {
			l.commit("migrations", map[string]string{config: good[config] + "  migration_check: {enabled: true}\ndatabase: {host: 127.0.0.1, port: 1, name: coin, user: coin}\n"})
		}, "migrations", "fail", said{"read the migrations of coin@127.0.0.1:1/coin: got no connection: ", "see that the database is up"}, ""},
		{"production", func() {
			l.commit("production", map[string]string{config: strings.Replace(good[config], "non-production", "production", 1), node3 + "node.env": l.nodeEnv("2025-12-15-11eeef9e99", "")})
		}, "policy", "fail", said{policy.Warning, "agent policy suggest"}, ""},
		{"policy", func() { l.mappings = "policy: {stacks: [other]}\n" }, "policy", "fail", said{config + ":3:", "add " + l.stack + " to policy.stacks"}, ""},
		{"disk", func() {
			l.commit("disk", map[string]string{config: good[config] + "  gates: {disk: {min_free: 999999TB}}\n"})
		}, "disk", "fail", said{"are free under ", "docker image prune"}, ""},
		{"harbor", func() {
			l.commit("harbor", map[string]string{config: good[config] + "  gates: {vulnerabilities: {}}\n"})
		}, "harbor", "fail", said{"is not in a Harbor registry", "vulnerabilities.except"}, ""},
		{"database", func() {
			l.commit("database", map[string]string{config: good[config] + "database: {host: 127.0.0.1, port: 1}\n"})
		}, "database", "warn", said{"the database 127.0.0.1:1 does not answer", "see that it is up"}, ""},
		{"no issue", set("audit_issue", "9"), "audit", "warn", said{"404 Issue Not Found", "set audit_issue to an open issue"}, ""},
		{"no syslog", set("audit_syslog", "unix:///nowhere/log"), "audit", "warn", said{"send to syslog: ", "check that a syslog listens at /nowhere/log"}, ""},
		{"needed database", func() {
			l.commit("needed", map[string]string{config: good[config] + "  gates: {database: true}\ndatabase: {host: 127.0.0.1, port: 1}\n"})
		}, "database", "fail", said{"the database 127.0.0.1:1 does not answer", "see that it is up"}, ""},
		{"manifests", func() { l.commit("bad", map[string]string{composeFile: "services: {web: {image: \"$NOBODY\"}}\n"}) }, "manifests", "fail", said{composeFile + ":1: the variable NOBODY", "set NOBODY"}, "registries images migrations"},
		{"images", func() { l.commit("tag", map[string]string{node3 + "node.env": l.nodeEnv("nowhere", "")}) }, "images", "fail", said{missing, "check TAG"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			defer l.mend(good)()
			test.spoil()
			code := exitDone
			if test.grade == "fail" {
				code = exitDifferent
			}
			found := l.examine(t, code)
			got := found[test.subject]
			if got.Grade != test.grade || !strings.Contains(got.Text, test.want.text) || !strings.Contains(got.Hint, test.want.hint) {
				t.Errorf("got %+v, want %s %+v", got, test.grade, test.want)
			}
			for _, subject := range doctorSubjects {
				if skipped := strings.HasPrefix(found[subject].Text, "not looked at"); skipped != strings.Contains(test.depend, subject) {
					t.Errorf("%+v", found[subject])
				}
			}
		})
	}
}

// mend gives a function that makes the world good again.
func (l *lab) mend(good map[string]string) func() {
	before := map[string]string{}
	maps.Copy(before, l.settings)
	return func() {
		l.settings, l.mappings = before, ""
		l.chmod(0o600)
		l.git.Fail(0)
		l.gitlab.SetToken(gitlabtest.Secret, gitlabtest.Token{User: gitlabtest.Agent(), Scopes: []string{"api"}})
		good["README.md"] += "mended\n"
		l.commit("mend", good)
	}
}

func (l *lab) chmod(mode os.FileMode) {
	l.t.Helper()
	if err := os.Chmod(l.dir+"/age.key", mode); err != nil {
		l.t.Fatal(err)
	}
}

// TestBranchInProduction has the doctor doubt a production node that follows a branch.
func TestBranchInProduction(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	files := l.tinyRepo()
	const config = "environments/sandbox/config.yml"
	files[config] = strings.Replace(files[config], "non-production", "production", 1)
	l.commit("first", files)
	releases := func() []finding {
		_, out, _ := l.command("doctor", "-o", "json")
		return slices.DeleteFunc(decode[[]finding](t, out), func(f finding) bool { return f.Subject != "releases" })
	}
	found := releases()
	if len(found) != 1 || found[0].Grade != "warn" || !strings.Contains(found[0].Text, "follows the branch master") || !strings.Contains(found[0].Hint, "tag_pattern") {
		t.Errorf("following a branch: %+v", found)
	}
	l.repo.Tag("2025-12-15-11eeef9e99")
	l.settings["tag_pattern"] = `^\d{4}-\d{2}-\d{2}`
	if found := releases(); len(found) != 1 || found[0].Grade != "ok" || !strings.Contains(found[0].Text, "follows the tags") {
		t.Errorf("following tags: %+v", found)
	}
}
