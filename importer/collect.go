package importer

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

const (
	overridePlain  = "secrets.override.env"
	overrideSealed = "secrets.override.enc"
	keysFile       = "secrets.enc"
	secretsFolder  = "secrets"
)

// file reads a regular file of the directory.
func (r *run) file(name string) ([]byte, error) {
	place := fault.Place{File: name}
	file, err := os.Open(filepath.Join(r.request.Dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, fault.New(place, "check that it is a readable regular file", "read the file: %w", fault.WithoutPath(err))
	}
	defer file.Close() //nolint:errcheck // only read from
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fault.New(place, "check that it is a readable regular file", "it is not a regular file")
	}
	data, err := bounded.ReadAll(file, r.request.Limits.OrDefault().FileBytes)
	if err != nil {
		return nil, fault.New(place, "", "read the file: %w", err)
	}
	return data, nil
}

// collect takes the files that the flags name.
func (r *run) collect(context.Context) error {
	flags := r.request.Flags
	names := slices.Concat(flags.Compose, flags.Nodes, flags.Project)
	if own := flags.Node + ".env"; flags.Node != "" {
		names = append(names, r.present(own)...)
	}
	var faults []error
	for _, name := range names {
		inside, err := r.inside(name)
		if err == nil {
			r.plain[inside], err = r.file(inside)
		}
		faults = append(faults, err)
	}
	if flags.Secrets != "" {
		faults = append(faults, r.overrides(flags.Secrets))
	}
	return errors.Join(faults...)
}

// overrides takes the versions of secrets. Other assignments of the file are secrets.
func (r *run) overrides(name string) error {
	inside, err := r.inside(name)
	if err != nil {
		return err
	}
	data, err := r.file(inside)
	if err != nil {
		return err
	}
	if secrets.IsSOPS(secrets.File{Path: inside, Data: data, Keyed: true}) {
		r.plain[overrideSealed] = data
		return nil
	}
	assigned := manifests.Assignments(inside+".env", data, r.read.Node.Variables)
	versions := manifests.Assignments(overridePlain, data, r.read.Node.Variables)
	if len(assigned) == len(versions) {
		r.plain[overridePlain] = data
		return nil
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		text.WriteString(name + "=" + versions[name].Value + "\n")
	}
	r.plain[overridePlain] = []byte(text.String())
	for _, name := range slices.Sorted(maps.Keys(assigned)) {
		switch {
		case strings.HasPrefix(name, "SV_") || strings.HasSuffix(name, "_VERSION"):
		case name == "TAG" || strings.HasPrefix(name, "TAG_"):
			if err := r.tag(name, assigned[name].Value); err != nil {
				return err
			}
		case assigned[name].Value != "":
			r.keyed[name] = secrets.NewValue([]byte(assigned[name].Value))
		}
	}
	return nil
}

// tag adds a tag, which the overrides set, to the last of the node's files of variables.
func (r *run) tag(name, value string) error {
	nodes := r.request.Flags.Nodes
	if len(nodes) == 0 {
		return fault.New(fault.Place{File: overridePlain}, "move it into node.env", "%s is set here, and the directory has no node.env", name)
	}
	last, err := r.inside(nodes[len(nodes)-1])
	if err != nil {
		return err
	}
	quoted, err := syntax.Quote(value, syntax.LangBash)
	if err != nil {
		return fault.New(fault.Place{File: overridePlain}, "move it into node.env", "the value of %s is not a text", name)
	}
	content := r.plain[last]
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(slices.Clone(content), '\n')
	}
	r.plain[last] = append(slices.Clone(content), (name + "=" + quoted + "\n")...)
	return nil
}

// collectSecrets takes the value of each secret of the stack, and the other files in secrets/.
func (r *run) collectSecrets(context.Context) error {
	used := map[string]bool{}
	for _, secret := range r.read.Stack.Secrets {
		name, inside := r.treeName(secret.File)
		if !secret.Value.Known() {
			r.result.Warnings = append(r.result.Warnings, Note{Message: "the directory has no value of the secret " + secret.Key, Hint: "add it with sops; until then Swarm must have " + secret.Spec.Name})
			continue
		}
		value := secret.Value
		if inside {
			used[name] = true
		}
		if inside && path.Dir(name) == secretsFolder && path.Ext(name) != ".json" {
			r.sealed[name+".enc"] = value
		} else {
			r.keyed[secret.Key] = value
		}
	}
	entries, err := os.ReadDir(filepath.Join(r.request.Dir, secretsFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Place{File: secretsFolder}, "check that it is a readable folder", "list the folder: %w", err)
	}
	for _, entry := range entries {
		name := path.Join(secretsFolder, entry.Name())
		switch {
		case used[name]:
			continue
		case manifests.OfGit(entry.Name()):
			r.result.Left = append(r.result.Left, name)
			continue
		}
		if err := r.unused(name); err != nil {
			return err
		}
	}
	return nil
}

// unused takes a file in secrets/ that no compose file names.
func (r *run) unused(name string) error {
	info, err := os.Stat(filepath.Join(r.request.Dir, filepath.FromSlash(name)))
	switch {
	case err != nil || !info.Mode().IsRegular():
		r.result.Left = append(r.result.Left, name)
		r.warn(name, "import it by hand, if it is needed", "it is not a regular file: it is not imported")
		return nil
	case info.Size() == 0:
		r.result.Left = append(r.result.Left, name)
		r.warn(name, "", "the file is empty: it is not imported")
		return nil
	}
	data, err := r.file(name)
	if err != nil {
		return err
	}
	r.warn(name, "remove it from the repository, if it is not needed", "no compose file names this secret: it is imported, too")
	if path.Ext(name) == ".json" {
		r.keyed[path.Base(name)] = secrets.NewValue(data)
	} else {
		r.sealed[name+".enc"] = secrets.NewValue(data)
	}
	return nil
}

func (r *run) warn(place, hint, message string) {
	r.result.Warnings = append(r.result.Warnings, Note{place, message, hint})
}

// encrypt makes the SOPS files, in memory.
func (r *run) encrypt(context.Context) error {
	maps.Copy(r.data, r.plain)
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(r.sealed)) {
		data, err := r.rules.Encrypt(path.Join(r.folder, name), r.sealed[name])
		r.data[name], faults = data, append(faults, err)
	}
	if len(r.keyed) > 0 {
		data, err := r.rules.EncryptKeys(path.Join(r.folder, keysFile), r.keyed)
		r.data[keysFile], faults = data, append(faults, err)
	}
	return errors.Join(faults...)
}
