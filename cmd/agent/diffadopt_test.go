package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"coin.internal/coin-agent/manifests"
)

var tagVariable = regexp.MustCompile(`\$\{?(TAG_\w+)`)

// deployedByDocker has the docker command deploy what is committed, as people did
// before there was an agent: from the files of the node's folder, with node.env
// and the versions of the secrets in the environment. docker does not read what
// is encrypted, so the contents of the secrets are others.
func (l *lab) deployedByDocker() {
	l.t.Helper()
	node, err := manifests.Load(os.DirFS(l.repo.Dir), "sandbox", "node3")
	if err != nil {
		l.t.Fatal(err)
	}
	dir := l.t.TempDir()
	script := []string{"set -ae", ". ./node.env", "PROJECT_SETTINGS=.project.tmp.env"}
	deploy := "exec docker stack deploy --prune --resolve-image never"
	for _, name := range node.ComposeFiles {
		text := l.layOut(node.FS, name, dir)
		for _, match := range tagVariable.FindAllStringSubmatch(text, -1) {
			script = append(script, `: "${`+match[1]+`:=$TAG}"`)
		}
		deploy += " --compose-file " + path.Base(name)
	}
	for _, kind := range []string{"", ".client", ".admin", ".i_client", ".renderer"} {
		l.layOut(node.FS, path.Join(node.Dir, ".project"+kind+".tmp.env"), dir)
	}
	l.layOut(node.FS, path.Join(node.Dir, "node.env"), dir)
	for _, secret := range l.rendered().Secrets {
		script = append(script, secret.Variable+"="+strings.TrimPrefix(path.Ext(secret.Spec.Name), "."))
	}
	command := exec.CommandContext(l.t.Context(), "sh", "-c", strings.Join(append(script, deploy+" "+l.stack), "\n"))
	command.Dir = dir
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "DOCKER_HOST=" + l.swarm.Host, "DOCKER_CONFIG=" + dir}
	if output, err := command.CombinedOutput(); err != nil {
		l.t.Fatalf("docker stack deploy: %v\n%s", err, output)
	}
}

var secretFile = regexp.MustCompile(`file: \./(secrets/\S+)`)

// layOut copies a file of the node into dir, with a file for each secret that it
// names, and gives its text.
func (l *lab) layOut(from fs.FS, name, dir string) string {
	l.t.Helper()
	data, err := fs.ReadFile(from, name)
	if err != nil {
		l.t.Fatal(err)
	}
	files := map[string]string{path.Base(name): string(data)}
	for _, match := range secretFile.FindAllSubmatch(data, -1) {
		files[string(match[1])] = "any content"
	}
	for file, text := range files {
		target := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			l.t.Fatal(err)
		}
		if err := os.WriteFile(target, []byte(text), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	return string(data)
}
