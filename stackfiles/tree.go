package stackfiles

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing/fstest" // the standard library's file system in memory

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// tree is the file system of this machine as an fs.FS whose top is /. It follows symbolic
// links as the user's shell does. Files that were read before come from memory: a file that
// the user names may be a pipe, as in -s <(sops -d FILE).
type tree struct {
	read   fstest.MapFS
	limits limits.Limits
}

// Limits gives the limits for what is read.
func (t *tree) Limits() limits.Limits { return t.limits }

// Open opens a file by its absolute path without the slash at its start.
func (t *tree) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if t.read[name] != nil {
		return t.read.Open(name)
	}
	return os.Open("/" + name)
}

// keep reads a file once, and gives its path in the tree.
func (t *tree) keep(absolute string) (string, error) {
	name := strings.TrimPrefix(filepath.Clean(absolute), "/")
	if t.read[name] != nil {
		return name, nil
	}
	content, err := readFile(absolute, t.limits.FileBytes)
	if err != nil {
		return name, err
	}
	t.read[name] = &fstest.MapFile{Data: content, Mode: 0o400}
	return name, nil
}

// wipe forgets the content of the files that were read.
func (t *tree) wipe() {
	for _, file := range t.read {
		clear(file.Data)
	}
}

// names gives texts about files with the paths that the user knows: relative to the current
// folder, or absolute.
type names struct {
	dir  string // the current folder in the tree
	form *regexp.Regexp
}

func newNames(dir string) names {
	inTree := strings.TrimPrefix(dir, "/")
	return names{dir: inTree, form: regexp.MustCompile(`(^|[^\w./-])/?` + regexp.QuoteMeta(inTree) + `/`)}
}

func (n names) text(text string) string {
	text = words.Replace(text)
	if n.dir == "" {
		return text
	}
	return n.form.ReplaceAllString(text, "$1")
}

// words replaces what other packages say of the repository and its config.yml, which do not
// count here.
var words = strings.NewReplacer(
	" in secrets.override.enc and secrets.enc", " in the file of -s",
	"add it with sops to one of these places", "write it to one of these places, encrypted with SOPS or plain",
	" has no value in the repository", " has no value in these files",
	"in node.env", "in a file of -N",
	"move it to a separate file: nodes[].compose_files in config.yml lists the files", "move it to a separate file, and name both with -f",
	"name a file in the repository, relative to", "name the file relative to",
	"use a path in base.bind_root", "write the full path",
	"which the agent does not have", "which docker stack deploy takes from the user's environment",
)

func (n names) file(file string) string {
	if inside, found := strings.CutPrefix(file, n.dir+"/"); found || file == "" {
		return inside
	}
	return path.Join("/", file)
}

// fault gives a copy of a fault.
func (n names) fault(one *fault.Error) *fault.Error {
	shown := *one
	shown.Place.File = n.file(one.Place.File)
	shown.Message, shown.Hint = n.text(one.Message), n.text(one.Hint)
	return &shown
}
