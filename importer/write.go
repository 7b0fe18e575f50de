package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// The states of a file.
const (
	stateNew       = "new"
	stateUnchanged = "unchanged"
	stateReplaced  = "replaced"
)

// existing compares the folder's files with those of the repository. What is unchanged is not
// written again: a new encryption would be a change in git without a reason.
func (r *run) existing(context.Context) error {
	var differ, unknown []string
	for _, name := range slices.Sorted(maps.Keys(r.data)) {
		file := File{Path: path.Join(r.folder, name), State: stateNew}
		_, plain := r.plain[name]
		file.Encrypted = !plain
		present, err := r.root.ReadFile(file.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fault.New(fault.Place{File: file.Path}, "check that it is a readable regular file", "read the file of the repository: %w", err)
		default:
			same, known := bytes.Equal(present, r.data[name]), true
			if !same && !plain {
				same, known = sameFile(r, name, present)
			}
			switch file.State = stateReplaced; {
			case same:
				file.State = stateUnchanged
				delete(r.data, name)
			case !known:
				unknown = append(unknown, file.Path)
			default:
				differ = append(differ, file.Path)
			}
		}
		r.result.Files = append(r.result.Files, file)
	}
	r.left()
	if r.request.Overwrite || len(differ)+len(unknown) == 0 {
		return nil
	}
	text, hint := "", "compare them; `agent import --overwrite` replaces them"
	if len(differ) > 0 {
		text = plural.Of(len(differ), "file of the node differs", "files of the node differ") + " from the directory: " + strings.Join(differ, ", ")
	}
	if len(unknown) > 0 {
		text = strings.TrimPrefix(text+"; "+plural.Of(len(unknown), "encrypted file cannot be compared without a key that opens it: ", "encrypted files cannot be compared without a key that opens them: ")+strings.Join(unknown, ", "), "; ")
		hint = "name a key with --age-key-files or --pgp-key-files; `agent import --overwrite` replaces them"
	}
	return fault.New(fault.Place{File: r.folder}, hint, "the repository has the node already: %s", text)
}

// sameFile reports whether an encrypted file of the repository has the values of the directory. It is not
// known without a key that opens the file.
func sameFile(r *run, name string, present []byte) (same, known bool) {
	if r.request.Keys == nil {
		return false, false
	}
	file := path.Join(r.folder, name)
	set, err := r.request.Keys.Open([]secrets.File{{Path: file, Data: present}}, secrets.Options{})
	if err != nil {
		return false, false
	}
	defer set.Wipe()
	if name != keysFile {
		value, found := set.Lookup("", strings.TrimSuffix(file, ".enc"))
		return found && value.Equal(r.sealed[name]), true
	}
	for key, want := range r.keyed {
		if value, found := set.Lookup(key, ""); !found || !value.Equal(want) {
			return false, true
		}
	}
	return true, true
}

// left lists what stays in the directory only.
func (r *run) left() {
	entries, _ := os.ReadDir(r.request.Dir) // it was read before
	for _, entry := range entries {
		name := entry.Name()
		taken := name == secretsFolder || name == r.request.Flags.Secrets
		for file := range r.plain {
			taken = taken || file == name || strings.HasPrefix(file, name+"/")
		}
		if !taken {
			r.result.Left = append(r.result.Left, name)
		}
	}
	slices.Sort(r.result.Left)
}

// refusalOf says why nothing may be written.
func refusalOf(r *run) string {
	switch {
	case r.result.Leaks:
		return "readable files have the values of secrets, and git keeps them for good"
	case len(r.result.Plaintext) > 0 && !r.request.Plaintext:
		return "settings look like secrets in plaintext, and git keeps them for good"
	case len(r.result.Changes) > 0 && !r.request.Changes:
		return "the node would not run what the directory describes"
	}
	return ""
}

// write writes the folder. It is made beside its place first; config.yml is written before it
// is moved there, so that a folder in its place is a finished import.
func (r *run) write(ctx context.Context) error {
	if r.result.Refused = refusalOf(r); r.result.Refused != "" || r.request.DryRun {
		return nil
	}
	r.result.Finished = true
	if len(r.data) == 0 && r.config == nil {
		return nil
	}
	stage := path.Join(path.Dir(r.folder), "."+r.request.Node+".import")
	if err := r.root.RemoveAll(stage); err != nil {
		return fmt.Errorf("remove what an earlier import left: %w", err)
	}
	defer func() { _ = r.root.RemoveAll(stage) }()
	for _, name := range slices.Sorted(maps.Keys(r.data)) {
		if ctx.Err() != nil {
			return fault.WithHint(ctx.Err(), "run the same command again")
		}
		if err := r.put(path.Join(stage, name), r.data[name]); err != nil {
			return err
		}
	}
	if r.config != nil {
		file := manifests.ConfigFile(r.request.Environment)
		if err := r.put(file+".import", r.config); err != nil {
			return err
		}
		if err := r.root.Rename(file+".import", file); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	r.result.Written = true
	return r.move(stage)
}

// move moves the made files to their place: the folder as a whole if there is none.
func (r *run) move(stage string) error {
	if len(r.data) == 0 {
		return nil
	}
	if _, err := r.root.Lstat(r.folder); errors.Is(err, fs.ErrNotExist) {
		if err := r.root.Rename(stage, r.folder); err != nil {
			return fmt.Errorf("write %s: %w", r.folder, err)
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(r.data)) {
		to := path.Join(r.folder, name)
		if err := r.root.MkdirAll(path.Dir(to), 0o755); err != nil {
			return fmt.Errorf("write %s: %w", to, err)
		}
		if err := r.root.Rename(path.Join(stage, name), to); err != nil {
			return fault.WithHint(fmt.Errorf("write %s: %w", to, err), "run the same command again")
		}
	}
	return nil
}

// put writes a file of the repository to the disk.
func (r *run) put(name string, data []byte) error {
	if err := r.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	file, err := r.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
