package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// platforms are the ones that packages are made for.
var platforms = []string{"amd64", "arm64"}

const standardLibrary = "Go's standard library"

// module is one whose packages are in the agent.
type module struct {
	path, version string
	licences      []string // sorted, by their SPDX names
	files         []file   // of licences and notices
}

type file struct{ name, text string }

func (m module) licence() string { return strings.Join(m.licences, " and ") }

// read reads the texts in the folders of the module's packages and above them.
func (m *module) read(root string, folders []string) error {
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if entry.IsDir() || !isLegal(entry.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, filepath.Join(folder, entry.Name()))
			if err != nil {
				return err
			}
			m.files = append(m.files, file{name, string(text)})
			found, err := classify(string(text))
			if err != nil {
				return fmt.Errorf("%s of %s: %w", name, m.path, err)
			}
			m.licences = append(m.licences, found...)
		}
	}
	slices.Sort(m.licences)
	m.licences = slices.Compact(m.licences)
	if len(m.licences) == 0 {
		return fmt.Errorf("%s: %w", m.path, errNoLicence)
	}
	return nil
}

var errNoLicence = errors.New("no file of it is a known licence; read its terms, and use another module if they are not as free as Apache-2.0")

// used is a module with the folders of its packages in the agent.
type used struct {
	version, root string
	folders       map[string]bool
}

// inBinary gives the modules of other authors in the agent, sorted, with their licences. A module
// that a folder of this project replaces is not one of them.
func inBinary(project string) ([]module, error) {
	found := map[string]used{}
	for _, platform := range platforms {
		if err := packagesOf(project, platform, found); err != nil {
			return nil, err
		}
	}
	goRoot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	root := strings.TrimSpace(string(goRoot))
	found[standardLibrary] = used{runtime.Version(), root, map[string]bool{root: true}}
	var modules []module
	for _, path := range sortedKeys(found) {
		one := module{path: path, version: found[path].version}
		if err := one.read(found[path].root, slices.Sorted(maps.Keys(found[path].folders))); err != nil {
			return nil, err
		}
		modules = append(modules, one)
	}
	return modules, nil
}

// packagesOf adds what the agent contains on a platform.
func packagesOf(project, platform string, found map[string]used) error {
	const form = "{{$dir := .Dir}}{{with .Module}}{{.Path}}\t{{.Dir}}\t{{$dir}}\t" +
		"{{with .Replace}}{{.Path}}\t{{.Version}}{{else}}{{.Path}}\t{{.Version}}{{end}}\t{{.Version}}{{end}}"
	list := exec.Command("go", "list", "-deps", "-tags=grpcnotrace", "-f", form, "./cmd/agent")
	list.Dir, list.Stderr = project, os.Stderr
	list.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+platform, "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("go list -deps ./cmd/agent: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 6 { // the standard library
			continue
		}
		if fields[4] == "" { // a folder of this project, which may have parts of the module that it replaces
			if _, err := os.Stat(filepath.Join(fields[1], "LICENSE")); err != nil || fields[3] == fields[0] {
				continue
			}
			fields[3], fields[4] = fields[0], fields[5]
		}
		path, root, folder, version := fields[3], fields[1], fields[2], fields[4]
		one, known := found[path]
		if !known {
			one = used{version, root, map[string]bool{}}
			found[path] = one
		}
		for ; ; folder = filepath.Dir(folder) { // texts of a part are beside it or above it
			one.folders[folder] = true
			if folder == root || len(folder) < len(root) {
				break
			}
		}
	}
	return nil
}
