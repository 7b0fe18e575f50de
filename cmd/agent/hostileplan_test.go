package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lmittmann/tint"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// TestPlanCannotLie plays the attack by which a label erased the line about the mount above
// it, and asks the built agent for the plan: with the mount, what it grants, and a created
// service in full.
func TestPlanCannotLie(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	files := l.smallRepo()
	l.commit("first", files)
	l.applied()
	l.commit("tidy up", map[string]string{node3 + "docker-compose-evil.yml": `
services:
  web:
    volumes: ["/:/host"]
  worker:
    deploy: {labels: {note: "harmless\e[3A\e[0J\u202e"}}
  spy:
    image: coin-test/app:$TAG
    user: "0:0"
    command: [listen, --password, hunter2]
    cap_add: [SYS_ADMIN]
    environment: {PARTNER: x7Gp2qLw9Zk4}
    ports: ["8443:443"]
`})
	out := l.agent("diff")
	noRaw(t, "diff", out)
	want := []string{
		"+ mount /host: bind /", `+ label note: harmless\x1b[3A\x1b[0J\u202e`, "create     service " + l.stack + "_spy",
		`+ command: ["listen","--password","***"]`, "+ user: 0:0", "+ cap_add: CAP_SYS_ADMIN", "+ port 8443:443/tcp: ingress",
		"Grants: ", "+ " + l.stack + "_spy: capability SYS_ADMIN: can become root on the node",
		"+ " + l.stack + "_web: mount / at /host: controls the engine, also if it is read-only: can become root on the node",
	}
	for _, line := range want {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	for _, secret := range []string{"hunter2", "x7Gp2qLw9Zk4"} {
		if strings.Contains(out, secret) {
			t.Errorf("the plan shows %s", secret)
		}
	}
	document := l.agent("diff", "-o", "json")
	noRaw(t, "diff -o json", document)
	if plan := decode[report.PlanDocument](t, document); len(slices.DeleteFunc(plan.Grants, func(one compose.Grant) bool { return one.Kept })) != 2 {
		t.Errorf("grants: %+v", plan.Grants)
	}
	l.applied() // from here on the grants are those of unchanged services
	if out := l.agent("diff"); strings.Contains(out, "Grants") || !strings.Contains(out, "no difference") {
		t.Error(out)
	}
	if out := l.agent("diff", "--grants"); !strings.Contains(out, "="+want[8][1:]) || !strings.Contains(out, "="+want[9][1:]) {
		t.Error(out)
	}
}

// agent gives what the built agent prints.
func (l *lab) agent(args ...string) string {
	l.t.Helper()
	command := exec.CommandContext(l.t.Context(), binary, append(args, "--config", l.config())...)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := command.CombinedOutput()
	if code := command.ProcessState.ExitCode(); code != exitDone && code != exitDifferent {
		l.t.Fatalf("agent %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestDaemonCannotBeMadeToLie lets the daemon sync a hostile commit, and prints everything
// about it by the built agent, the log, the metrics and GitLab.
func TestDaemonCannotBeMadeToLie(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	files := l.smallRepo()
	files[node3+"docker-compose-evil.yml"] = "services:\n  web:\n    labels: {note: \"x\\e[2A\\e[2K\\u202e\"}\n    deploy: {labels: {note: \"x\\e[2A\\e[2K\\u202e\"}}\n"
	l.repo.Write(files)
	l.repo.Git("add", "--all")
	l.repo.Git("commit", "--quiet", "--message", "Start "+hostile, "--author", "Ada \x1b[2A\u202e <ada@coin.example>")
	first := l.repo.Head()
	l.gitlab.AddCommit(first, "master")
	l.start()
	l.await(first, record.Succeeded)
	for _, args := range []string{
		"status", "status -o json", "history", "history -o json", "show latest", "show latest -o json", "show latest -o manifest",
		"audit log", "audit log -o json", "audit verify", "secrets list", "secrets list -o json", "secrets gc --dry-run", "policy show", "policy suggest", "doctor", "doctor -o json",
		"diff --grants", "diff -o json", "sync --dry-run", "sync --wait",
	} {
		noRaw(t, args, l.agent(strings.Fields(args)...))
	}
	shows(t, "status", l.agent("status"))
	shows(t, "show latest", l.agent("show", "latest"))
	shows(t, "audit log", l.agent("audit", "log"))
	noRaw(t, "pause", l.agent("pause", "--reason", hostile)+l.agent("status")+l.agent("status", "-o", "json"))
	noRaw(t, "resume", l.agent("resume"))
	noRaw(t, "log", l.logText())
	for _, post := range l.gitlab.Statuses(first).Posts {
		noRaw(t, "GitLab", post.Description)
	}
	address := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(l.logText())
	if address == nil {
		t.Fatal("the log does not name the address of the metrics")
	}
	response, err := http.Get("http://" + address[1] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	metrics, err := io.ReadAll(response.Body)
	if err != nil || len(metrics) == 0 {
		t.Fatal(err)
	}
	noRaw(t, "metrics", string(metrics))
}

// TestColoursAreTheAgentsOwn prints hostile texts with colours: no other escape is left.
func TestColoursAreTheAgentsOwn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	colourful := printer{Writer: &out, colour: true}
	plan := deploy.RecordedPlan{Stack: hostile, Warnings: []string{hostile}, Steps: []deploy.Step{
		{Action: deploy.Update, Kind: deploy.Service, Name: hostile, Changes: []deploy.Change{{Path: "Labels[" + hostile + "]", New: hostile}}},
		{Action: deploy.Remove, Kind: deploy.Service, Name: "\x1b[31mred\x1b[0m"},
	}}
	if err := printPage(colourful, planScreen, plan); err != nil {
		t.Fatal(err)
	}
	if err := printPage(colourful, statusScreen, statusView{status: report.Status{Environment: hostile, PollError: hostile, Running: true, Next: hostile}}); err != nil {
		t.Fatal(err)
	}
	colours := regexp.MustCompile(`\x1b\[(?:0|2|31|32|33)m`)
	shows(t, "screens", colours.ReplaceAllString(out.String(), ""))
	painted := colours.FindAllString(out.String(), -1)
	for i, code := range painted {
		if (i%2 == 1) != (code == "\x1b[0m") {
			t.Fatalf("the colours are %q", painted)
		}
	}
	if len(painted) < 4 || slices.Contains(painted[len(painted)-1:], "\x1b[31m") {
		t.Errorf("the colours are %q", painted)
	}
}

// TestColouredLogs logs hostile texts, and texts that a handler turns into escapes, as on a
// terminal.
func TestColouredLogs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(tint.NewTextHandler(&out, &tint.Options{ReplaceAttr: visibleAttr}))
	log.Warn("look", "subject", hostile, "written", `a \x1b[2A b`, "error", errDifferent, "any", []string{hostile})
	log.With("author", hostile).WithGroup("g").Info("look", "subject", hostile)
	shows(t, "log", regexp.MustCompile(`\x1b\[\d+(?:;\d+)*m`).ReplaceAllString(out.String(), ""))
}
