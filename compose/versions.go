package compose

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

const (
	autoVersion = "auto"

	needKeys = "set age_key_files or pgp_key_files to the keys of this node's SOPS files"
)

// versions decides the values of the SV_ variables.
type versions struct {
	files       *files
	set         *secrets.Set
	allowSealed bool
}

// decide replaces the versions that are sealed or `auto` in the variables of the files.
func (d versions) decide(v *variables) error {
	var faults []error
	for _, path := range d.set.Opaque() {
		if !d.allowSealed {
			faults = append(faults, fault.New(fault.Place{File: path}, needKeys, "the agent has no key to read the versions in this file"))
		}
	}
	for _, name := range d.set.SealedVersions() {
		if _, known := v.values[name]; known {
			continue
		}
		mentions := mentions(d.files.all, name)
		switch {
		case len(mentions) == 0:
		case d.allowSealed:
			v.values[name] = "0"
		default:
			faults = append(faults, fault.New(mentions[0], needKeys,
				"the version %s is encrypted, and the agent has no key for it", name))
		}
	}
	for _, s := range d.files.all {
		faults = append(faults, d.autoVersions(s.variables))
	}
	return errors.Join(faults...)
}

func (d versions) autoVersions(v *variables) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(v.values)) {
		if v.values[name] == autoVersion && strings.HasPrefix(name, versionPrefix) {
			version, err := d.autoVersion(name)
			faults = append(faults, err)
			v.values[name] = version
		}
	}
	return errors.Join(faults...)
}

// autoVersion derives a version from the content of the secret whose name contains the
// variable.
func (d versions) autoVersion(name string) (string, error) {
	for _, s := range d.files.all {
		if s.only != nil {
			continue // only its services count
		}
		_, section := lookup(s.root, "secrets")
		for key, body := range pairs(section) {
			if slices.Contains(variablesIn(scalarAt(body, "name")), name) {
				return d.autoVersionOf(s, name, key, scalarAt(body, "file"))
			}
		}
	}
	return "0", nil
}

func (d versions) autoVersionOf(s *source, name, key, fileTemplate string) (string, error) {
	place := s.place("secrets", key)
	file, err := template.Substitute(fileTemplate, s.variables.lookup)
	if err == nil {
		file, err = manifests.Resolve(s.dir, file, place)
	}
	if err != nil {
		return "", fault.New(place, "", "secret %s: %w", key, err)
	}
	value, ok := d.set.Lookup(key, file)
	switch {
	case !ok, !value.Known() && d.allowSealed:
		return "0", nil // convertSecrets reports a missing value
	case !value.Known():
		return "", fault.New(place, needKeys, "%s=auto needs the secret's value, but the agent has no key for it", name)
	}
	version, err := d.set.AutoVersion(key, value)
	if err != nil {
		return "", fault.New(place, fault.Hint(err), "%s=auto: %w", name, err)
	}
	return version, nil
}
