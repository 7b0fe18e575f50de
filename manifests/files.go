package manifests

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

const mainCompose = "docker-compose.yml"

// composeFiles lists the stack's compose files in merge order.
func (l *loader) composeFiles() {
	if files := l.chosen.stack.Files; len(files) > 0 {
		l.node.ComposeFiles = l.named(l.node.Dir, files, l.chosen.files)
		return
	}
	names, whose := l.names[l.node.Dir], "node's"
	if l.chosen.layered {
		whose = "stack's"
	}
	if !slices.Contains(names, mainCompose) {
		l.faults.add(fault.Place{File: path.Join(l.node.Dir, mainCompose)},
			fmt.Sprintf("add it, or list the %s compose files in %s of config.yml", whose, l.chosen.files), "the %s compose file is missing", whose)
	}
	for _, name := range ComposeOrder(names) {
		l.node.ComposeFiles = append(l.node.ComposeFiles, path.Join(l.node.Dir, name))
	}
}

// ComposeOrder gives the compose files of a folder with these files in their order, if config.yml
// does not list them.
func ComposeOrder(names []string) []string {
	order := []string{mainCompose}
	if slices.Contains(names, "custom.secrets.yml") {
		order = append(order, "custom.secrets.yml")
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		extension := path.Ext(name)
		if strings.HasPrefix(name, "docker-compose-") && (extension == ".yml" || extension == ".yaml") {
			order = append(order, name)
		}
	}
	return order
}

// named resolves the files that config.yml lists under key, relative to dir. Each file must
// exist.
func (l *loader) named(dir string, names []string, key string) []string {
	var files []string
	for i, name := range names {
		place := l.node.Config.Place(fmt.Sprintf("%s[%d]", key, i))
		file, err := Resolve(dir, name, place)
		if err != nil {
			l.faults = append(l.faults, err)
			continue
		}
		info, err := fs.Stat(l.repository, file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			l.faults.add(place, oneOf(name, l.names[dir]), "%s is missing", file)
		case err != nil:
			l.unreadable(file, place, err)
		case !info.Mode().IsRegular():
			l.faults.add(place, "name a regular file", "%s is not a regular file", file)
		default:
			files = append(files, file)
		}
	}
	return files
}

// secretFiles lists the SOPS files of the node, and of the stack's folder.
func (l *loader) secretFiles() {
	for _, dir := range l.node.Folders() {
		l.node.SecretFiles = append(l.node.SecretFiles, l.secretsIn(dir)...)
	}
}

// secretsIn lists the SOPS files of a folder: two fixed names and all files in its secrets/.
func (l *loader) secretsIn(dir string) (files []string) {
	for _, name := range []string{"secrets.enc", "secrets.override.enc"} {
		if slices.Contains(l.names[dir], name) {
			files = append(files, path.Join(dir, name))
		}
	}
	dir = path.Join(dir, secretsFolder)
	for _, name := range regularFiles(l, dir) {
		if !OfGit(name) {
			files = append(files, path.Join(dir, name))
		}
	}
	return files
}

// OfGit reports whether a file in a folder of secrets is one of git, by its base name. Other names
// that begin with .git, such as .gitlab_token, can be those of secrets.
func OfGit(name string) bool {
	return slices.Contains([]string{".git", ".gitignore", ".gitattributes", ".gitkeep"}, name)
}
