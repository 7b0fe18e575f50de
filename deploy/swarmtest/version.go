package swarmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"coin.internal/coin-agent/internal/fault"
)

// VersionVariable names the engine that private engines are: none for the installed one
// (Debian 12: 20.10), or 26.1, 28.5, or 28.5-containerd, which keeps images in containerd.
const VersionVariable = "SWARM_TEST_ENGINE"

// version is a version of the engine.
type version struct {
	program string // dockerd
	folder  string // of its programs; "" for the installed ones
	config  string // the content of daemon.json
}

// chosenVersion gives the version that VersionVariable names.
func chosenVersion() (version, error) {
	name := os.Getenv(VersionVariable)
	chosen := version{config: "{}\n"}
	switch name {
	case "":
		program, err := exec.LookPath("dockerd")
		chosen.program = program
		return chosen, fault.WithHint(err,
			"`make test` installs it; by hand: apt-get install docker.io; or set SWARM_TEST_HOST to an engine that is a Swarm manager")
	case "28.5-containerd":
		name, chosen.config = "28.5", `{"features":{"containerd-snapshotter":true}}`+"\n"
	}
	module, err := exec.Command("go", "env", "GOMOD").Output() // paths in the binary may be trimmed
	if err != nil {
		return chosen, fmt.Errorf("find the module's folder: go env GOMOD: %w", err)
	}
	chosen.folder = filepath.Join(filepath.Dir(string(module)), ".cache", "engines", name, "bin")
	chosen.program = filepath.Join(chosen.folder, "dockerd")
	if _, err := os.Stat(chosen.program); err != nil {
		return chosen, fault.WithHint(fmt.Errorf("use the engine %s of %s: %w", name, VersionVariable, err), "run scripts/engine "+name)
	}
	return chosen, nil
}

// environment gives the environment of the engine's process, which finds its programs.
func (v version) environment() []string {
	if v.folder == "" {
		return nil // that of this process
	}
	return append(os.Environ(), "PATH="+v.folder+string(os.PathListSeparator)+os.Getenv("PATH"))
}
