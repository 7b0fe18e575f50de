package rotate

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

const (
	auto         = "auto"
	overrideFile = "secrets.override.env"
)

// raise gives the file that sets a version, and the next version: a number that it never
// had.
func (l *loaded) raise(variable string, before past) (Version, error) {
	version := Version{Variable: variable}
	set, plain := l.node.Variables[variable]
	if file, ok := l.set.VersionFile(variable); ok {
		version.File, version.Old = file, l.set.Versions()[variable]
	} else if plain {
		version.File, version.Old = set.Place.File, set.Value
	} else {
		file, err := l.home()
		if err != nil {
			return Version{}, err
		}
		version.File = file
	}
	if version.Old == "" {
		version.Old = l.defaultVersion(variable)
	}
	if version.Old == auto {
		version.File, version.New = "", auto
		return version, nil
	}
	number, err := strconv.ParseUint(version.Old, 10, 62)
	if err != nil {
		return Version{}, fault.New(fault.Place{File: version.File, Line: set.Place.Line}, "set it to a number that the secret never had as a version, and run the command again",
			"the version %s is not a number, so it cannot be raised", variable)
	}
	if before != nil {
		highest, err := before(l.node.Name, variable)
		if err != nil {
			return Version{}, err
		}
		number = max(number, highest)
	}
	version.New = strconv.FormatUint(number+1, 10)
	return version, nil
}

// defaultVersion gives the version that compose files give a variable that is not set.
func (l *loaded) defaultVersion(variable string) string {
	for _, secret := range l.found {
		if secret.Variable == variable {
			return secret.Version
		}
	}
	return "0"
}

// home gives the file for a version that no file sets yet: that of the node's other
// versions, else secrets.override.env.
func (l *loaded) home() (string, error) {
	folder := l.node.Home // also for the values that several stacks share
	if l.node.Dir != l.node.Home && strings.HasPrefix(l.location.File, l.node.Dir+"/") {
		folder = l.node.Dir
	}
	if file, holdsVersions := l.set.OverrideFile(folder); holdsVersions {
		return file, nil
	}
	file := path.Join(folder, overrideFile)
	_, err := fs.Stat(l.node.FS, file)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	for _, name := range slices.Sorted(maps.Keys(l.node.Variables)) {
		variable := l.node.Variables[name]
		if strings.HasPrefix(name, "SV_") && slices.Contains(l.node.VariableFiles, variable.Place.File) {
			return variable.Place.File, nil
		}
	}
	return file, nil
}
