package main

import (
	"path/filepath"
	"strings"

	"coin.internal/coin-agent/agent/settings"
)

// absolutePaths makes the paths in settings absolute: the daemon has another working folder than the
// user who names a file to agent init. Only the settings that a function chooses change.
func absolutePaths(in *settings.Settings, chosen func(name string) bool) error {
	for _, field := range in.Fields() {
		if !chosen(field.Name) || !namesPath(field) {
			continue
		}
		var all []string
		for path := range strings.SplitSeq(field.Default(), ",") {
			absolute, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			all = append(all, absolute)
		}
		if err := field.Set(strings.Join(all, ",")); err != nil {
			return err
		}
	}
	return nil
}

// absoluteYAML gives the settings as a file, with absolute paths: a user may have typed others.
func absoluteYAML(a *app) (string, error) {
	if err := absolutePaths(&a.settings, func(string) bool { return true }); err != nil {
		return "", err
	}
	return a.settings.YAML()
}

// namesPath reports whether a setting has a path, or several.
func namesPath(field settings.Field) bool {
	value := field.Default()
	switch {
	case value == "":
		return false
	case field.Name == "repository":
		return !strings.Contains(value, ":") && exists(value)
	}
	for _, end := range []string{"_file", "_files", "_dir", "_home"} {
		if strings.HasSuffix(field.Name, end) {
			return true
		}
	}
	return false
}
