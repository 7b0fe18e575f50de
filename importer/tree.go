package importer

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"strings"
	"testing/fstest" // the standard library's file system in memory

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// tree is the repository as it will be: the node's folder is in memory, and files that are read
// there and are not of the import come from the release directory, and become part of it. What
// neither has stays as the repository has it.
type tree struct {
	under  fs.FS
	limits limits.Limits
	folder string
	memory fstest.MapFS // the folder's files, and config.yml
	take   func(name string) ([]byte, error)
	taken  map[string][]byte // by their paths in the folder
	stays  map[string]bool   // files of the folder that only the repository has, by their paths in it
	failed []error
}

// Limits gives the limits for what is read.
func (t *tree) Limits() limits.Limits { return t.limits }

// Open opens a file.
func (t *tree) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if t.memory[name] != nil {
		return t.memory.Open(name)
	}
	inside, found := strings.CutPrefix(name, t.folder+"/")
	if !found && name != t.folder {
		return t.under.Open(name)
	}
	file, err := t.listed(name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || !found {
		return file, err
	}
	data, taken := t.taken[inside]
	if !taken {
		if data, err = t.take(inside); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return t.present(name, inside)
			}
			t.failed = append(t.failed, err)
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		t.taken[inside] = data
	}
	return fstest.MapFS{path.Base(name): {Data: data, Mode: 0o444}}.Open(path.Base(name))
}

// listed opens a folder, with what the repository has in it.
func (t *tree) listed(name string) (fs.File, error) {
	info, err := fs.Stat(t.under, name)
	if err != nil || !info.IsDir() {
		return t.memory.Open(name)
	}
	entries, err := fs.ReadDir(t.under, name)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(t.memory)
	for _, entry := range entries {
		if file := path.Join(name, entry.Name()); all[file] == nil {
			all[file] = &fstest.MapFile{Mode: entry.Type() | 0o444}
		}
	}
	return all.Open(name)
}

// present opens a file that only the repository has.
func (t *tree) present(name, inside string) (fs.File, error) {
	file, err := t.under.Open(name)
	if err == nil {
		t.stays[inside] = true
	}
	return file, err
}

// referenced reads a file that the compose files name, such as a config. It is written as it is,
// so it must not be a secret.
func (r *run) referenced(name string) ([]byte, error) {
	base := path.Base(name)
	switch {
	case strings.HasPrefix(base, ".project") && strings.HasSuffix(base, ".tmp.env"), strings.HasPrefix(base, "project_") && path.Dir(name) == ".",
		base == overrideSealed, base == keysFile, base == overridePlain, strings.HasSuffix(name, ".enc"):
		return nil, fs.ErrNotExist // the agent looks for these; they are not of the directory
	case strings.HasPrefix(name, secretsFolder+"/"):
		return nil, fault.New(fault.Place{File: name}, "have the compose file use it as a secret", "the compose files read it as a plain file, and it is encrypted in the repository")
	}
	if len(r.present(name)) == 0 {
		return nil, fs.ErrNotExist
	}
	for _, secret := range r.read.Stack.Secrets {
		if used, inside := r.treeName(secret.File); inside && used == name {
			return nil, fault.New(fault.Place{File: name}, "use it as a secret only", "the compose files read the secret %s as a plain file, too", secret.Key)
		}
	}
	return r.file(name)
}
