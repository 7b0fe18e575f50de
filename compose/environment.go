package compose

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/docker/cli/pkg/kvfile"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
)

// adaptEnvironment adds a service's env_file list to `environment`. A name without = gets
// the value of the interpolation variable, never that of the process's environment.
func (a *adapter) adaptEnvironment(m *serviceModel) error {
	settings := map[string]setting{}
	alone := len(a.files.main) == 1 // no other file is compared with it, so only empty values count
	for key, value := range pairsOf(m.model["environment"]) {
		if !alone || value == "" {
			settings[key] = setting{value: value, own: true}
		}
	}
	m.source.settings[m.name] = settings
	values, err := a.addFiles(m, "env_file", "environment")
	for key, value := range values {
		if _, own := settings[key]; !own && (!alone || value == "") {
			settings[key] = setting{value: value}
		}
	}
	return err
}

// addFiles adds the lines of the files in a service's list, read raw as `docker stack
// deploy` does, to a mapping of the service, which takes precedence. It returns them all.
func (a *adapter) addFiles(m *serviceModel, files, into string) (map[string]any, error) {
	items := list(m.model[files])
	delete(m.model, files)
	if len(items) == 0 {
		return nil, nil
	}
	var faults []error
	all := map[string]any{}
	for _, item := range items {
		lines, err := a.envFile(m.place(files), files, item)
		if err == nil {
			err = a.files.budget.more(m.place(files), len(lines))
		}
		if errors.Is(err, limits.ErrExceeded) {
			return nil, err
		}
		faults = append(faults, err)
		for _, line := range lines {
			all[line.key] = line.value
		}
		if format := mapping(item)["format"]; !isEmpty(format) && format != "raw" {
			faults = append(faults, m.fault(files, "write format: raw, or remove it", "env_file has the format %v, but is read raw", format))
		}
	}
	maps.Copy(all, pairsOf(m.model[into]))
	m.model[into] = all
	return all, errors.Join(faults...)
}

// pairsOf returns a mapping that may be written as a list of NAME=value.
func pairsOf(value any) map[string]any {
	all := maps.Clone(mapping(value))
	if all == nil {
		all = map[string]any{}
	}
	for _, item := range list(value) {
		key, text, ok := strings.Cut(fmt.Sprint(item), "=")
		all[key] = text
		if !ok {
			all[key] = nil
		}
	}
	return all
}

// envLine is a line of an env_file. Its value is a text.
type envLine struct {
	key   string
	value any
}

// envFile returns the lines of the file that an item of the list at key names. An item of
// env_file is a mapping. Services that name the same file share its lines.
func (a *adapter) envFile(place fault.Place, key string, item any) ([]envLine, error) {
	name := item
	if entry := mapping(item); entry != nil {
		name = entry["path"]
	}
	resolved, err := manifests.Resolve(a.files.node.Dir, fmt.Sprint(name), place)
	if err != nil {
		return nil, err
	}
	data, err := a.files.readNamed(place, key, resolved)
	if required, ok := mapping(item)["required"].(bool); ok && !required && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if lines, read := a.envLines[resolved]; read {
		return lines, nil
	}
	exported := func(name string) (string, bool) {
		value, ok := a.exported[name]
		return value, ok
	}
	texts, err := kvfile.ParseFromReader(bytes.NewReader(data), exported)
	if err != nil {
		return nil, badLine(resolved, data)
	}
	lines := make([]envLine, len(texts))
	for i, text := range texts {
		key, value, _ := strings.Cut(text, "=")
		lines[i] = envLine{key, value}
	}
	a.envLines[resolved] = lines
	return lines, nil
}

// badLine finds the invalid line of an env_file. The library's error would show its
// content.
func badLine(file string, data []byte) error {
	place := fault.Place{File: file}
	for line := range strings.Lines(string(data)) {
		place.Line++
		if _, err := kvfile.ParseFromReader(strings.NewReader(line), nil); err != nil {
			break
		}
	}
	return fault.New(place, "write NAME=value in UTF-8, without export and without spaces around the name", "the line is not an assignment")
}

// readNamed reads a file that a compose file names at place. what names it in errors.
func (f *files) readNamed(place fault.Place, what, file string) ([]byte, error) {
	if err := notSecret(f.node, place, file); err != nil {
		return nil, err
	}
	if f.budget.exceeded != nil {
		return nil, f.budget.exceeded
	}
	data, err := fs.ReadFile(f.node.FS, file)
	if err == nil {
		err = f.budget.copied(place, limits.Bytes(len(data)))
	}
	if errors.Is(err, limits.ErrExceeded) {
		return nil, err
	}
	if err != nil {
		return nil, fault.New(place, cmp.Or(fault.Hint(err), "add the file, or correct its path"), "read %s: %w", what, err)
	}
	return data, nil
}

// notSecret refuses to copy a secret file to a spec, where every user can read it.
func notSecret(node *manifests.Node, place fault.Place, file string) error {
	if !slices.Contains(node.SecretFiles, file) {
		return nil
	}
	return fault.New(place, "define it under the top-level secrets", "%s contains secrets", file)
}
