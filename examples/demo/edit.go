package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// workingCopy is a folder with the files of the repository, for the edits of the demo.
type workingCopy string

func (dir workingCopy) path(name string) string { return filepath.Join(string(dir), name) }

// set sets a variable in node.env: in its line, which may be commented out, or in a
// new one.
func (dir workingCopy) set(variable, value string) error {
	path := dir.path(nodeDir + "/node.env")
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("set %s: %w", variable, err)
	}
	line := fmt.Sprintf("export %s=%s", variable, value)
	pattern := regexp.MustCompile(`(?m)^#?\s*(export\s+)?` + regexp.QuoteMeta(variable) + `=.*$`)
	text := pattern.ReplaceAllLiteralString(string(content), line)
	if !pattern.Match(content) {
		text += line + "\n"
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// configure adds lines to the environment's config.yml.
func (dir workingCopy) configure(lines string) error {
	path := dir.path("environments/" + environment + "/config.yml")
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("configure %s: %w", environment, err)
	}
	return os.WriteFile(path, append(content, "\n"+lines...), 0o644)
}

// replace replaces a text in a file.
func (dir workingCopy) replace(name, before, after string) error {
	path := dir.path(name)
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("change %s: %w", name, err)
	}
	if !bytes.Contains(content, []byte(before)) {
		return fmt.Errorf("change %s: it does not contain %q", name, before)
	}
	return os.WriteFile(path, bytes.Replace(content, []byte(before), []byte(after), 1), 0o644)
}

// raise sets a new value and version of a secret. Secrets in Swarm cannot change, so
// a new value needs a new version.
func (dir workingCopy) raise(keyFile, secret, variable string, version int, value string) error {
	return errors.Join(
		editSOPS(dir.path(nodeDir+"/secrets.enc"), keyFile, secret, value),
		editSOPS(dir.path(nodeDir+"/secrets.override.enc"), keyFile, variable, version),
	)
}
