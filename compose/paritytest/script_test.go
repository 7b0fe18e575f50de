package paritytest

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/memoryfolder"
	"coin.internal/coin-agent/manifests"
)

// layOut writes a node's folder as deployment.sh used it: compose files, settings,
// derived settings, and a file for each secret. The content of a secret that is
// encrypted in the repository does not matter.
func layOut(t *testing.T, node *manifests.Node) string {
	t.Helper()
	dir := memoryfolder.New(t)
	err := fs.WalkDir(node.FS, node.Dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return write(node, dir, name)
	})
	if err != nil {
		t.Fatal(err)
	}
	writeSettings(t, node, dir)
	for _, compose := range node.ComposeFiles {
		for _, file := range secretFiles(t, node.FS, compose) {
			target := filepath.Join(dir, file)
			if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(target, []byte("any content"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// writeSettings makes the project settings as deployment.sh did: the files one after the
// other, and their lines with a prefix. What a user made of a template is the agent's.
func writeSettings(t *testing.T, node *manifests.Node, dir string) {
	t.Helper()
	read := func(name string) string {
		data, err := fs.ReadFile(node.FS, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return string(data)
	}
	settings := read(path.Join("environments", node.Environment, "common/project.env")) +
		read(path.Join(node.Dir, "project.env")) + read(path.Join(node.Dir, "project_"+node.Name+".env"))
	if _, err := fs.Stat(node.FS, "templates/project.env.template"); err == nil {
		settings = read(path.Join(node.Dir, ".project.tmp.env"))
	}
	files := map[string]string{"": settings}
	for kind, names := range map[string][2]string{
		".client": {"CLIENT_API", "CLIENT_"}, ".admin": {"ADMIN_API", "ADMIN_"},
		".i_client": {"I_CLIENT_API", "I_CLIENT_"}, ".renderer": {"REPORT_GENERATOR_", "REPORT_GENERATOR_"},
	} {
		for line := range strings.Lines(settings) {
			if strings.HasPrefix(line, names[0]) {
				files[kind] += strings.TrimPrefix(line, names[1])
			}
		}
	}
	for _, kind := range []string{"", ".client", ".admin", ".i_client", ".renderer"} {
		if err := os.WriteFile(filepath.Join(dir, ".project"+kind+".tmp.env"), []byte(files[kind]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func write(node *manifests.Node, dir, name string) error {
	data, err := fs.ReadFile(node.FS, name)
	if err != nil {
		return err
	}
	target := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(name, node.Dir+"/")))
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	return os.WriteFile(target, data, 0o600)
}

// secretFiles lists the `file:` paths of a compose file's secrets.
func secretFiles(t *testing.T, fsys fs.FS, name string) []string {
	t.Helper()
	var file struct {
		Secrets map[string]struct {
			File string `yaml:"file"`
		} `yaml:"secrets"`
	}
	data, err := fs.ReadFile(fsys, name)
	if err == nil {
		err = yaml.Unmarshal(data, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, key := range slices.Sorted(maps.Keys(file.Secrets)) {
		if one := file.Secrets[key].File; one != "" {
			files = append(files, one)
		}
	}
	return files
}

// exported returns the environment in which deployment.sh ran docker. A shell reads
// node.env. The rest repeats the script, so that the test shares no code with Render.
func exported(t *testing.T, node *manifests.Node, dir string) map[string]string {
	t.Helper()
	environment := source(t, filepath.Join(dir, "node.env"))
	environment["PROJECT_SETTINGS"] = ".project.tmp.env"
	overrides := versions(t, filepath.Join(dir, "secrets.override.enc"))
	if file := filepath.Join(dir, "secrets.override.env"); exists(file) {
		maps.Copy(overrides, source(t, file))
	}
	var files []string
	for _, name := range node.ComposeFiles {
		data, err := fs.ReadFile(node.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(data))
	}
	for line := range strings.SplitSeq(strings.Join(files, "\n"), "\n") {
		setDefault(environment, greppedTag, line, environment["TAG"])
		setDefault(environment, greppedVersion, line, "0")
	}
	maps.Copy(environment, overrides)
	return environment
}

// The result of `grep TAG_ | sed 's/.*\$TAG_/TAG_/'`, and of the same for SV_: the
// line from the last $. A text that is not a name was never a variable.
var (
	greppedTag     = regexp.MustCompile(`^.*\$(TAG_\w*)$`)
	greppedVersion = regexp.MustCompile(`^.*\.\$(SV_\w*)$`)
)

func setDefault(environment map[string]string, grepped *regexp.Regexp, line, value string) {
	if match := grepped.FindStringSubmatch(line); match != nil && environment[match[1]] == "" {
		environment[match[1]] = value
	}
}

// source reads a file with a shell, and returns the variables that it sets.
func source(t *testing.T, file string) map[string]string {
	t.Helper()
	command := exec.Command("bash", "-c", `set -a; . "$1"; exec env -0`, "bash", file)
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	output, err := command.Output()
	if err != nil {
		t.Fatalf("source %s: %v", file, err)
	}
	environment := map[string]string{}
	for one := range strings.SplitSeq(string(output), "\x00") {
		if name, value, ok := strings.Cut(one, "="); ok {
			environment[name] = value
		}
	}
	for _, own := range []string{"PATH", "PWD", "OLDPWD", "SHLVL", "_"} {
		delete(environment, own)
	}
	return environment
}

// versions reads the SV_ keys of a SOPS file, which are not encrypted.
func versions(t *testing.T, file string) map[string]string {
	t.Helper()
	found := map[string]string{}
	if !exists(file) {
		return found
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]yaml.Node{}
	if err := yaml.Unmarshal(data, &keys); err != nil {
		t.Fatal(err)
	}
	for name, value := range keys {
		if strings.HasPrefix(name, "SV_") {
			found[name] = value.Value
		}
	}
	return found
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
