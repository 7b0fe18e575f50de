// Package stackfiles reads the files of a stack that a user names one by one, with the flags
// of deployment.sh: from the flags, the current folder and the user's keys it makes the
// settings, the secrets and the rendered stack. The stack is rendered by the same code as a
// node of a repository. Nothing is written, and no file is run.
package stackfiles

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing/fstest" // the standard library's file system in memory

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Options say how the files are read.
type Options struct {
	Dir    string           // the current folder, absolute
	Keys   *secrets.Keyring // nil: nothing is decrypted
	Limits limits.Limits    // zero: the default ones
	Strict bool             // a variable that is not set is an error; otherwise it is empty, as in docker stack deploy
}

// Files are what the flags name.
type Files struct {
	Node    *manifests.Node
	Secrets *secrets.Set
	Stack   *compose.Stack

	// Warnings do not stop a deployment. They are in the order of the files.
	Warnings []*fault.Error

	tree *tree
}

// Wipe forgets the values of the secrets. A nil Files has none.
func (f *Files) Wipe() {
	if f == nil {
		return
	}
	f.Secrets.Wipe()
	f.tree.wipe()
}

// Read reads and renders the files. Wipe must be called after the use of their secrets. A
// secret without a value is accepted: deploy.Diff checks that Swarm has it.
func Read(ctx context.Context, flags Flags, options Options) (*Files, error) {
	return apart.Do(ctx, func() (*Files, error) {
		r, err := open(flags, options)
		if err == nil {
			err = r.decrypt()
		}
		if err != nil {
			return nil, r.shown(err)
		}
		stack, err := compose.Render(r.node, r.set, compose.Options{AllowLive: true})
		if err != nil {
			r.wipe()
			return nil, r.shown(err)
		}
		return r.files(stack), nil
	}, (*Files).Wipe)
}

// Check reads the files as Read does, without keys, and gives all their problems: those that
// Read would stop at, and those behind them. What it gives beside them is for showing.
func Check(ctx context.Context, flags Flags, options Options) (*Files, error) {
	options.Keys = nil
	flags.Stack = cmp.Or(flags.Stack, "stack") // without it, each service's name would be a problem
	return apart.Do(ctx, func() (*Files, error) {
		r, err := open(flags, options)
		if r.node == nil {
			return nil, r.shown(err)
		}
		faults := []error{err, r.decrypt()}
		stack, err := compose.Inspect(r.node, r.set, err == nil)
		return r.files(stack), r.shown(errors.Join(append(faults, err)...))
	}, (*Files).Wipe)
}

// reading is one call of Read or Check.
type reading struct {
	flags   Flags
	options Options
	names   names
	tree    *tree
	node    *manifests.Node

	overrides []secrets.File // -s, as far as it has secrets
	set       *secrets.Set
	warnings  []*fault.Error
}

// open reads the files that the flags name.
func open(flags Flags, options Options) (*reading, error) {
	options.Limits = options.Limits.OrDefault()
	r := &reading{
		flags: flags, options: options, names: newNames(options.Dir), set: &secrets.Set{},
		tree: &tree{read: fstest.MapFS{}, limits: options.Limits},
	}
	named, err := r.named()
	if err != nil {
		return r, err
	}
	node, values, err := manifests.LoadNamed(r.tree, named)
	r.node = node
	r.warnOfLeftovers()
	r.plain(named.Overrides, values)
	return r, err
}

// named gives the files of the flags by their paths in the tree.
func (r *reading) named() (manifests.Named, error) {
	named := manifests.Named{
		Stack: r.flags.Stack, Node: r.flags.Node, Lenient: !r.options.Strict, Resolve: string(compose.ResolveChanged),
	}
	if r.flags.Update {
		named.Resolve = string(compose.ResolveAlways)
	}
	var faults []error
	all := func(flag string, names []string) (files []string) {
		for _, name := range names {
			file, err := r.keep(flag, name)
			files, faults = append(files, file), append(faults, err)
		}
		return files
	}
	if own := r.flags.Node + ".env"; r.flags.Node != "" && r.exists(own) {
		named.Variables = all("-n", []string{own})
	}
	named.Variables = append(named.Variables, all("-N", r.flags.Nodes)...)
	named.Project = all("-P", r.flags.Project)
	named.Compose = all("-f", r.flags.Compose)
	named.BindRoot = r.folder()
	named.Dir = strings.TrimPrefix(named.BindRoot, "/")
	if r.flags.Secrets != "" {
		file := all("-s", []string{r.flags.Secrets})[0]
		one := secrets.File{Path: file, Keyed: true}
		if kept := r.tree.read[file]; kept != nil {
			one.Data = kept.Data
		}
		if secrets.IsSOPS(one) {
			r.overrides = []secrets.File{one}
		} else {
			named.Overrides = file
		}
	}
	return named, errors.Join(faults...)
}

// folder gives the folder that the paths in compose files are relative to: that of the first
// one, as in docker stack deploy.
func (r *reading) folder() string {
	if len(r.flags.Compose) == 0 {
		return r.options.Dir
	}
	if !r.isFile(r.flags.Compose[0]) { // a pipe has no folder
		return r.options.Dir
	}
	return filepath.Dir(r.absolute(r.flags.Compose[0]))
}

// isFile reports whether a flag names a regular file, and not a pipe.
func (r *reading) isFile(name string) bool {
	info, err := os.Stat(r.absolute(name))
	return err == nil && info.Mode().IsRegular()
}

func (r *reading) absolute(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(r.options.Dir, name)
}

func (r *reading) exists(name string) bool {
	_, err := os.Stat(r.absolute(name))
	return err == nil
}

// keep reads a file that a flag names.
func (r *reading) keep(flag, name string) (string, error) {
	absolute := r.absolute(name)
	file, err := r.tree.keep(absolute)
	if errors.Is(err, fs.ErrNotExist) {
		hint := "relative paths start at the current folder, " + r.options.Dir
		if near := near(absolute); near != "" {
			hint = "did you mean " + near + "? " + hint
		}
		return file, fault.New(fault.Place{File: file}, hint, "the file of %s is missing", flag)
	}
	if err != nil {
		return file, fault.New(fault.Place{File: file}, "name a readable file", "read the file of %s: %w", flag, err)
	}
	return file, nil
}

// near gives the file in the same folder whose name is similar, or "".
func near(absolute string) string {
	entries, _ := os.ReadDir(filepath.Dir(absolute)) // without it there is no hint
	var known []string
	for _, entry := range entries {
		if !entry.IsDir() {
			known = append(known, entry.Name())
		}
	}
	return fault.Nearest(filepath.Base(absolute), known)
}

// shown gives the faults with the paths that the user knows.
func (r *reading) shown(err error) error {
	var all []error
	for _, one := range fault.All(err) {
		if own, ok := errors.AsType[*fault.Error](one); ok && own.Error() == one.Error() {
			code := fault.CodeOf(one)
			if one = r.names.fault(own); code != "" {
				one = fault.WithCode(one, code)
			}
		}
		all = append(all, one)
	}
	return errors.Join(all...)
}

// files gives what was read.
func (r *reading) files(stack *compose.Stack) *Files {
	warnings := make([]*fault.Error, 0, len(r.warnings)+len(stack.Warnings))
	for _, one := range append(r.warnings, stack.Warnings...) { // the renderer's has those of the node
		warnings = append(warnings, r.names.fault(one))
	}
	stack.Warnings = nil
	return &Files{Node: r.node, Secrets: r.set, Stack: stack, Warnings: warnings, tree: r.tree}
}

func (r *reading) wipe() {
	r.set.Wipe()
	r.tree.wipe()
}
