package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// report describes the deployment of the program. It has the names of settings and
// secrets, never their values.
type report struct {
	Service     string   `json:"service"`
	Environment string   `json:"environment"`
	Node        string   `json:"node"`
	Release     string   `json:"release"`
	Settings    []string `json:"settings"`
	Secrets     []secret `json:"secrets"`
}

// secret is a mounted secret. Version is the number in its line "version: N", or ""
// without such a line.
type secret struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func look() (report, error) {
	secrets, err := mountedSecrets()
	if err != nil {
		return report{}, err
	}
	return report{
		Service:     os.Getenv("SERVICE_NAME"),
		Environment: os.Getenv("ENVIRONMENT"),
		Node:        os.Getenv("NODE_NAME"),
		Release:     os.Getenv("APP_RELEASE"),
		Settings:    settingNames(),
		Secrets:     secrets,
	}, nil
}

func settingNames() []string {
	names := []string{}
	for _, line := range os.Environ() {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// mountedSecrets returns the secrets, sorted by name.
func mountedSecrets() ([]secret, error) {
	dir := os.Getenv("SECRETS_DIR")
	if dir == "" {
		dir = "/run/secrets"
	}
	secrets := []secret{}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return secrets, nil // the engine mounts the folder only for services with secrets
	}
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read secret: %w", err)
		}
		secrets = append(secrets, secret{Name: entry.Name(), Version: marker(content)})
	}
	return secrets, nil
}

// marker returns the number of the first line "version: N". It never returns other
// content of a secret.
func marker(content []byte) string {
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		text, found := strings.CutPrefix(lines.Text(), "version: ")
		if !found {
			continue
		}
		if number, err := strconv.ParseUint(text, 10, 16); err == nil {
			return strconv.FormatUint(number, 10)
		}
	}
	return ""
}
