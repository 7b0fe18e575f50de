package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPeerScript runs a script with a daemon, and sees what it gets.
func TestPeerScript(t *testing.T) {
	script := filepath.Join(t.TempDir(), "tool.sh")
	text := `#!/bin/sh
echo "$@ $DOCKER_HOST $COMPARE_REPOSITORY $COMPARE_BRANCH" >>"$COMPARE_DIR/../calls"
case $1 in
start) sleep 1000 >/dev/null 2>&1 & echo $! | tee pid ;;
deploy) [ "$3" = two ] || i=0; while [ "${i=20000}" -lt 20000 ]; do i=$((i + 1)); done ;;
stop) kill "$(cat pid)" ;;
esac
`
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	p := &peer{proxy: &proxy{host: "unix:///proxy"}, dir: filepath.Join(root, "peer"), script: script, repository: "http://git"}
	if err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	both := []place{{"one", "/dir/one"}, {"two", "/dir/two"}}
	cpu, err := p.deploy(t.Context(), change{commit: "abc", stacks: both, all: both})
	if err != nil || cpu <= 0 {
		t.Errorf("the deployment took %s of CPU, %v", cpu, err)
	}
	used, err := p.stop(t.Context())
	if err != nil || used == nil || used.Resident <= 0 || used.Peak < used.Resident {
		t.Errorf("memory %+v, %v", used, err)
	}
	got, err := os.ReadFile(filepath.Join(root, "calls"))
	want := "start X\ndeploy /dir/one one X\ndeploy /dir/two two X\nstop X\nremove one X\nremove two X\n"
	if want = strings.ReplaceAll(want, "X", "unix:///proxy http://git master"); string(got) != want || err != nil {
		t.Errorf("the script was called with\n%s%v, want\n%s", got, err, want)
	}
	if p.name() != "tool" {
		t.Errorf("its name is %q", p.name())
	}
}

func TestPeerFailures(t *testing.T) {
	for name, text := range map[string]string{
		"exit status 3\nout of order": "#!/bin/sh\necho out of order >&2; exit 3\n",
		"is not the process ID":       "#!/bin/sh\necho started\n",
		"read the clock of process":   "#!/bin/sh\necho 4194305\n", // above the highest ID
	} {
		script := filepath.Join(t.TempDir(), "tool.sh")
		if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		p := &peer{proxy: &proxy{}, dir: filepath.Join(t.TempDir(), "peer"), script: script}
		if err := p.start(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestExamplePeer compares the example's script with the docker CLI, which it runs, on a real
// engine.
func TestExamplePeer(t *testing.T) {
	script, err := filepath.Abs("peers/docker-stack.sh")
	if err != nil {
		t.Fatal(err)
	}
	asked, err := readOptions([]string{"-loads", "2x2", "-rounds", "1", "-peers", script}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{}
	defer func() {
		if err := w.cleanUp.Run(); err != nil {
			t.Error(err)
		}
	}()
	if err := w.open(t.Context(), asked.loads[0].images()); err != nil {
		t.Fatal(err)
	}
	var progress bytes.Buffer
	b := &bench{world: w, tools: toolsOf(w, asked)[1:], load: asked.loads[0], rounds: asked.rounds, out: &progress} // without the agent, which is not built
	got, err := b.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		one, other := got.of(step, cliName), got.of(step, "docker-stack")
		if one.writes != other.writes || one.writes == 0 || one.classes["GET /distribution/{}/json"] == 0 || other.cpu <= 0 || other.elapsed <= 0 {
			t.Errorf("%s: the CLI %+v, the script %+v", step, one, other)
		}
	}
	if live, err := w.proxy.tally(), w.verify(t.Context(), newEstate(b.load, w.registry, 1)); live.writes == 0 || err == nil {
		t.Errorf("the stacks of the last tool are still there: %d writes, %v", live.writes, err)
	}
}
