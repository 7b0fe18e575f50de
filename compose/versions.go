package compose

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

const needKeys = "set age_key_files or pgp_key_files to the keys of this node's SOPS files"

// versions decides the values of the SV_ variables.
type versions struct {
	files       *files
	set         *secrets.Set
	allowSealed bool
	auto        func(before, after string) string // Options.Auto
}

// decide replaces the versions that are sealed or `auto` in the variables of the files.
func (d versions) decide(v *variables) error {
	fromVault, err := d.vaultVersions(v)
	faults := []error{err}
	d.autoDefaults(v)
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
		values := s.variables.values
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if values[name] == autoVersion && strings.HasPrefix(name, versionPrefix) && fromVault[name] == "" {
				version, err := d.autoVersion(name)
				d.files.auto[name] = true
				faults = append(faults, err)
				values[name] = version
			}
		}
	}
	return errors.Join(faults...)
}

// autoDefaults sets the unset versions whose default in a secret's name is `auto`.
func (d versions) autoDefaults(v *variables) {
	for _, s := range d.files.all {
		_, section := lookup(s.root, "secrets")
		for _, body := range pairs(section) {
			name := scalarAt(body, "name")
			variable, version := VersionIn(name, s.variables.lookup)
			if version == autoVersion {
				v.values[variable] = autoVersion
			}
		}
	}
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
			template := scalarAt(body, "name")
			if !slices.Contains(variablesIn(template), name) {
				continue
			}
			if d.auto == nil {
				return d.autoVersionOf(s, name, key, scalarAt(body, "file"))
			}
			return d.givenVersion(s, name, template), nil
		}
	}
	return "0", nil
}

// givenVersion gives the version by Options.Auto: no content of a secret is asked for.
func (d versions) givenVersion(s *source, name, template string) string {
	const version = "\x00"
	text, err := Substitute(template, func(variable string) (string, bool) {
		if variable == name {
			return version, true
		}
		return s.variables.lookup(variable)
	})
	before, after, found := strings.Cut(text, version)
	if err != nil || !found {
		return autoVersion // a malformed name is refused elsewhere
	}
	return d.auto(before, after)
}

func (d versions) autoVersionOf(s *source, name, key, fileTemplate string) (string, error) {
	place := s.place("secrets", key)
	file, err := Substitute(fileTemplate, s.variables.lookup)
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
