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

// composeFiles lists the node's compose files in merge order.
func (l *loader) composeFiles(entry NodeConfig, key string) {
	if len(entry.ComposeFiles) > 0 {
		l.node.ComposeFiles = l.named(entry.ComposeFiles, key+".compose_files")
		return
	}
	if !slices.Contains(l.names, mainCompose) {
		l.faults.add(fault.Place{File: path.Join(l.node.Dir, mainCompose)},
			fmt.Sprintf("add it, or list the node's compose files in %s.compose_files of config.yml", key), "the node's compose file is missing")
	}
	var more []string
	for _, name := range l.names {
		extension := path.Ext(name)
		if strings.HasPrefix(name, "docker-compose-") && (extension == ".yml" || extension == ".yaml") {
			more = append(more, name)
		}
	}
	order := []string{mainCompose}
	if slices.Contains(l.names, "custom.secrets.yml") {
		order = append(order, "custom.secrets.yml")
	}
	for _, name := range append(order, more...) {
		l.node.ComposeFiles = append(l.node.ComposeFiles, path.Join(l.node.Dir, name))
	}
}

// named resolves the files that config.yml lists under key. Each file must exist.
func (l *loader) named(names []string, key string) []string {
	var files []string
	for i, name := range names {
		place := l.node.Config.Place(fmt.Sprintf("%s[%d]", key, i))
		file, err := Resolve(l.node.Dir, name, place)
		if err != nil {
			l.faults = append(l.faults, err)
			continue
		}
		info, err := fs.Stat(l.repository, file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			l.faults.add(place, oneOf(name, l.names), "%s is missing", file)
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

// secretFiles lists the node's SOPS files: two fixed names and all files in secrets/.
func (l *loader) secretFiles() {
	for _, name := range []string{"secrets.enc", "secrets.override.enc"} {
		if slices.Contains(l.names, name) {
			l.node.SecretFiles = append(l.node.SecretFiles, path.Join(l.node.Dir, name))
		}
	}
	dir := path.Join(l.node.Dir, "secrets")
	for _, name := range l.regularFiles(dir) {
		if !strings.HasPrefix(name, ".git") { // .gitkeep, .gitignore, .gitattributes
			l.node.SecretFiles = append(l.node.SecretFiles, path.Join(dir, name))
		}
	}
}
