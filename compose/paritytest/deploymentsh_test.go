package paritytest

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/stackdeploy"
	"coin.internal/coin-agent/stackfiles"
)

// wrapper is the docker command for the script: the real one, without the lookups of images,
// and without services to wait for, because the engine schedules none.
const wrapper = `#!/bin/bash
case "$1 $2" in
"service ls") ;;
"stack deploy") shift 2; exec %s stack deploy --resolve-image never "$@" ;;
*) exit 9 ;;
esac
`

// TestDeploymentScript deploys a node of the example by the old script and the real docker
// command. Then `agent stack deploy` has nothing to change, with the same flags.
func TestDeploymentScript(t *testing.T) {
	unscheduled(t)
	trial := newTrial(t, os.DirFS("../../examples/coin-gitops"), "sandbox", "node3")
	flags := stackfiles.Flags{
		Node: "none", Stack: trial.node.Stack, Nodes: []string{"node.env"}, Project: []string{"settings.env"}, Secrets: "versions.env",
	}
	settings, err := os.ReadFile(filepath.Join(trial.dir, ".project.tmp.env")) // which the template of the repository gives
	if err != nil {
		t.Fatal(err)
	}
	var overrides strings.Builder
	known := versions(t, filepath.Join(trial.dir, "secrets.override.enc"))
	for _, name := range slices.Sorted(maps.Keys(known)) {
		fmt.Fprintf(&overrides, "%s=%s\n", name, known[name])
	}
	for name, content := range map[string]string{"settings.env": string(settings), "versions.env": overrides.String()} {
		if err := os.WriteFile(filepath.Join(trial.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The files that the repository encrypts are plain for the script.
	for _, file := range []string{"secrets/scheme.p12.enc", "secrets/dhparam.pem.enc", "secrets.enc", "secrets.override.enc"} {
		_ = os.Remove(filepath.Join(trial.dir, file)) // not each node has each
	}
	for _, name := range trial.node.ComposeFiles {
		flags.Compose = append(flags.Compose, filepath.Base(name))
	}
	// The script takes the quote behind a variable as a part of its name.
	unquote(t, filepath.Join(trial.dir, "docker-compose.yml"), `"APP_RELEASE=$TAG_CRON_SERVICE"`, "APP_RELEASE=$TAG_CRON_SERVICE")
	runScript(t, trial, flags)

	files, err := stackfiles.Read(t.Context(), flags, stackfiles.Options{Dir: trial.dir})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Wipe()
	engine, err := deploy.Connect(trial.engine.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	deployment, err := stackdeploy.New(t.Context(), stackdeploy.Options{Engine: engine, Stack: files.Stack})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]deploy.Step{}, deployment.Plan.Steps, cmp.AllowUnexported(deploy.Step{})); diff != "" {
		t.Errorf("agent stack deploy would change what the script has deployed:\n%s", diff)
	}
	if got := len(files.Stack.Services); got < 15 {
		t.Errorf("only %d services", got)
	}
}

// unquote replaces a text of a file.
func unquote(t *testing.T, file, before, after string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil && !strings.Contains(string(data), before) {
		err = fmt.Errorf("%s is not in %s", before, file)
	}
	if err == nil {
		err = os.WriteFile(file, []byte(strings.ReplaceAll(string(data), before, after)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// runScript runs the old script in the folder of a trial, with the real docker command.
func runScript(t *testing.T, trial *trial, flags stackfiles.Flags) {
	t.Helper()
	script, err := filepath.Abs("../../stackfiles/testdata/deployment.sh")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker"), fmt.Appendf(nil, wrapper, docker(t).program), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	arguments := []string{script, "deploy", "-n", flags.Node, "-w", flags.Stack, "-N", flags.Nodes[0], "-P", flags.Project[0], "-s", flags.Secrets}
	for _, name := range flags.Compose {
		arguments = append(arguments, "-f", name)
	}
	command := exec.CommandContext(t.Context(), "bash", arguments...)
	command.Dir = trial.dir
	command.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "DOCKER_HOST=" + trial.engine.Host, "DOCKER_CONFIG=" + t.TempDir()}
	output, err := command.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(output), "Done.\n") {
		t.Fatalf("the script: %v\n%s", err, output)
	}
}
