package setup

import (
	"fmt"
	"os"
	"path/filepath"

	"coin.internal/coin-agent/internal/fault"
)

// Working reports whether a repository's address is a folder on this machine that is not a bare
// repository: a working copy, or a folder that does not exist yet.
func Working(address string) bool {
	if !filepath.IsAbs(address) && address != "." && address != ".." && !hasPrefix(address, "./", "../") {
		return false
	}
	return !exists(filepath.Join(address, "HEAD"))
}

// Skeleton writes the smallest repository with a node that works, and gives the files that it
// wrote. Files that exist stay as they are.
func Skeleton(dir, environment, node string) (wrote []string, err error) {
	for _, name := range []string{environment, node} {
		if !folderName().MatchString(name) {
			return nil, fault.New(fault.Place{}, "use letters, digits, '.', '_' and '-'", "%q cannot be the name of a folder", name)
		}
	}
	base := "environments/" + environment
	for _, file := range []struct{ name, content string }{
		{base + "/config.yml", fmt.Sprintf("environment: {name: %s, type: non-production}\nnodes:\n  - {name: %s, context: %[2]s, stack: %[2]s}\n", environment, node)},
		{base + "/common/project.env", "LOG_LEVEL=info\n"},
		{base + "/nodes/" + node + "/node.env", "TAG=1.27\n"},
		{base + "/nodes/" + node + "/docker-compose.yml", "services:\n  web:\n    image: docker.io/library/nginx:$TAG\n    env_file: $PROJECT_SETTINGS\n"},
	} {
		path := filepath.Join(dir, filepath.FromSlash(file.name))
		made, err := Write(path, []byte(file.content), 0o644)
		if err != nil {
			return wrote, err
		}
		if made {
			wrote = append(wrote, path)
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return wrote, fmt.Errorf("look at the new repository: %w", err)
	}
	return wrote, nil
}
